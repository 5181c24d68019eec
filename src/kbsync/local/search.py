"""Finds the best documents by meaning and by words together.

score = cosine + 0.25 * words, where words is BM25 over its ceiling: a paraphrase is found by meaning, an
error code by its letters, and neither can push the other out. Of a query of several lines the headline counts
as much as the whole, and a pasted trace counts by its telling lines. How it was chosen: docs/QUALITY.md.
Filters hold exactly, whatever the limit. Vectors are compared exactly: up to a number in memory, beyond it in
the file (columns.py).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kbsync.errors import UsageError
from kbsync.knowledge import Hit
from kbsync.local.columns import ColumnCache, Columns, Flags, numbers_of
from kbsync.local.e5_model import Floats
from kbsync.local.embedder import Embedder
from kbsync.local.filters import ANY_DOCUMENT, Condition, filter_condition
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.lexical import Scores, match_words
from kbsync.query import headline, telling_part

MOST_QUERY_CHARACTERS = 4_000
_CANDIDATES = 200


def query_vector(embedder: Embedder, text: str) -> Floats:
    """Return a query's unit vector: the mean of the whole and its headline, where it has one."""
    whole = embedder.embed_query(text)
    first = headline(text)
    if not first:
        return whole
    mean: Floats = whole + embedder.embed_query(first)
    return mean / np.float32(np.linalg.norm(mean))


@dataclass(frozen=True, slots=True)
class _Found:
    """One query over one moment of the file: what its words are worth, and which documents may be found."""

    columns: Columns
    words: Scores
    allowed: Flags
    condition: Condition


class Search:
    """Search over one knowledge base file; without an embedder, by words only (BM25)."""

    def __init__(
        self,
        file: KnowledgeBaseFile,
        embedder: Embedder | None,
        space: str,
        words_weight: float,
    ) -> None:
        self._file = file
        self._embedder = embedder
        self._space = space
        self._words_weight = words_weight
        self._columns = ColumnCache(file, space, embedder.dimension if embedder else 0)

    def retrieve(self, query: str, *, limit: int, given: Mapping[str, object] | None) -> list[Hit]:
        """Return the best hits, best first; equal scores in the order of their keys.

        Raises:
            UsageError: neither query nor filter, a limit below 1, or a filter that is none.
        """
        condition = filter_condition(given)
        if limit < 1:
            raise UsageError("a search returns at least one hit")
        clean = query.encode("utf-8", "replace").decode().replace("\x00", " ").strip()
        text = telling_part(clean)[:MOST_QUERY_CHARACTERS]
        if not text and given is None:
            raise UsageError("a search needs a query or a filter")
        vector = query_vector(self._embedder, text) if self._embedder and text else None
        with self._file.snapshot():
            if not text:
                return self._hits(self._matching(condition, limit))
            columns = self._columns.current()
            words = match_words(self._file, columns, text)
            found = _Found(columns, words, self._allowed(columns, condition), condition)
            return self._hits(self._best(self._scores(found, vector, max(limit, _CANDIDATES)), limit))

    def _allowed(self, columns: Columns, condition: Condition) -> Flags:
        """Return which document numbers may be found."""
        if condition is ANY_DOCUMENT:
            return columns.indexed
        numbers = self._file.query(
            "SELECT group_concat(d.document_id) FROM documents AS d"  # noqa: S608 - conditions bind their values
            f" WHERE d.status = 'INDEXED' AND {condition.sql}",
            condition.bindings,
        )[0][0]
        allowed = np.zeros_like(columns.indexed)
        allowed[numbers_of(numbers)] = True
        return allowed

    def _scores(self, found: _Found, vector: Floats | None, candidates: int) -> dict[int, float]:
        """Return the fused score of the best candidates of both sides, or the words' score without a vector.

        A document that has no vector yet (the embedder was changed) counts as an average candidate.
        """
        has_words = np.flatnonzero(found.allowed & (found.words > 0))
        order = np.argsort(-found.words[has_words], kind="stable")
        by_words = [int(number) for number in has_words[order[:candidates]]]
        if vector is None:
            return {number: float(found.words[number]) for number in by_words}
        cosines = self._cosines(found, vector, by_words, candidates)
        average = sum(cosines.values()) / max(len(cosines), 1)
        return {
            number: cosines.get(number, average) + self._words_weight * float(found.words[number])
            for number in {*cosines, *by_words}
        }

    def _cosines(
        self, found: _Found, vector: Floats, by_words: Sequence[int], candidates: int
    ) -> dict[int, float]:
        """Return the cosines of the nearest documents, and of those that the words have found."""
        held = found.columns.vectors
        if held is None:
            bound = vector.tobytes()
            return self._nearest(bound, found.condition, candidates) | self._cosines_of(bound, by_words)
        cosines = found.columns.cosines(held, vector)
        near = np.flatnonzero(found.allowed & ~np.isnan(cosines))
        if len(near) > candidates:  # those that share the last place are for _best to choose from
            worst = np.partition(cosines[near], -candidates)[-candidates]
            near = near[cosines[near] >= worst]
        nearest = self._best(dict(zip(near.tolist(), cosines[near].tolist(), strict=True)), candidates)
        return nearest | {
            number: float(cosines[number]) for number in by_words if not np.isnan(cosines[number])
        }

    def _best(self, scores: Mapping[int, float], limit: int) -> dict[int, float]:
        """Return the best; of equal ones at the cut the first by key, so that pages never overlap."""
        ordered = sorted(scores.items(), key=lambda pair: -pair[1])
        if len(ordered) <= limit:
            return dict(ordered)
        worst = ordered[limit - 1][1]
        better = {number: score for number, score in ordered if score > worst}
        equal = [number for number, score in ordered if score == worst]
        if len(better) + len(equal) == limit:
            return better | dict.fromkeys(equal, worst)
        rows = self._file.query(
            "SELECT d.document_id FROM json_each(?) AS wanted"
            " CROSS JOIN documents AS d ON d.document_id = wanted.value ORDER BY d.key LIMIT ?",
            (json.dumps(equal), limit - len(better)),
        )
        return better | {int(number): worst for (number,) in rows}

    def _nearest(self, vector: bytes, condition: Condition, candidates: int) -> dict[int, float]:
        return dict(
            self._file.query(
                "SELECT d.document_id, 1 - vec_distance_cosine(e.vector, ?) AS cosine FROM documents AS d"  # noqa: S608 - conditions bind their values
                " CROSS JOIN embeddings AS e ON e.embedding_id = d.embedding_id"
                f" WHERE d.status = 'INDEXED' AND e.space = ? AND {condition.sql}"
                " ORDER BY cosine DESC, d.key LIMIT ?",
                (vector, self._space, *condition.bindings, candidates),
            )
        )

    def _cosines_of(self, vector: bytes, document_ids: Iterable[int]) -> dict[int, float]:
        return dict(
            self._file.query(
                "SELECT d.document_id, 1 - vec_distance_cosine(e.vector, ?) FROM documents AS d"
                " JOIN embeddings AS e ON e.embedding_id = d.embedding_id"
                " WHERE e.space = ? AND d.document_id IN (SELECT value FROM json_each(?))",
                (vector, self._space, json.dumps(list(document_ids))),
            )
        )

    def _matching(self, condition: Condition, limit: int) -> dict[int, float]:
        rows = self._file.query(
            f"SELECT d.document_id FROM documents AS d WHERE d.status = 'INDEXED' AND {condition.sql}"  # noqa: S608 - conditions bind their values
            " ORDER BY d.key LIMIT ?",
            (*condition.bindings, limit),
        )
        return {int(row[0]): 0.0 for row in rows}

    def _hits(self, scores: Mapping[int, float]) -> list[Hit]:
        rows = self._file.query(
            "SELECT d.document_id, d.key, d.text, d.metadata FROM json_each(?) AS wanted"
            " CROSS JOIN documents AS d ON d.document_id = wanted.value WHERE d.status = 'INDEXED'",
            (json.dumps(list(scores)),),
        )
        hits = [Hit(key, scores[number], text, json.loads(metadata)) for number, key, text, metadata in rows]
        return sorted(hits, key=lambda hit: (-hit.score, hit.document_key))
