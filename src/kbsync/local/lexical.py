"""Words of a query and what they are worth: the part of search that needs no model.

The index itself cuts the words of queries too, so that both sides meet. May import the file and nothing else
of ours. Invariant: the caller holds a snapshot, so that all numbers are of one moment.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from math import log

from kbsync.local.kb_schema import KnowledgeBaseFile

_COMPOUND = re.compile(r"(?<![^\W_])[^\W_]++(?:[-_./:][^\W_]++){1,5}")
_MOST_TERMS = 64
_MOST_COMPOUNDS = 8
_MOST_POSTINGS = 200_000
_K1, _B = 1.2, 0.75
"""Source: the usual constants of BM25 (Robertson and Zaragoza 2009); FTS5 has the same."""

STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have how i if in into is it
    its me my no not of on or our so than that the their then there these they this to too up us was we
    were what when where which who why will with would you your al algo ante como con contra cual cuando
    de del desde donde dos e el ella en entre era es esa ese eso esta estaba este esto fue ha han hasta
    hay la las le les lo los mas mi muy nos o os otra otro para pero por porque puede que se si sin
    sobre son su sus tambien tiene todo tras tu un una uno y ya
    """.split()  # noqa: SIM905 - a list of 130 quoted words reads worse
)


def match_words(file: KnowledgeBaseFile, query: str) -> dict[int, float]:
    """Return how well each document's words fit the query, 0 to 1, where it has one of them at all.

    The measure is BM25 over the sum that no document reaches, so a document that has little of the query
    scores little even where it is the best. A long query counts by its rarest words.
    """
    count, average = file.query("SELECT count(*), avg(word_count) FROM documents WHERE status = 'INDEXED'")[0]
    if not count:
        return {}
    terms = sorted(set(file.words(query)) - STOP_WORDS)
    spread = _spread(file, terms)
    postings = _postings(file, spread) | _compound_postings(file, query)
    lengths = _lengths(file, {document_id for found in postings.values() for document_id in found})
    worth = {term: _worth(count, len(found)) for term, found in postings.items()}
    ceiling = (sum(worth.values()) + (len(terms) - len(spread)) * _worth(count, 0)) * (_K1 + 1)
    scores: defaultdict[int, float] = defaultdict(float)
    for term, found in postings.items():
        for document_id, times in found.items():
            length_part = 1 - _B + _B * lengths[document_id] / average
            scores[document_id] += worth[term] * times * (_K1 + 1) / (times + _K1 * length_part) / ceiling
    return scores


def _worth(count: int, found: int) -> float:
    return log(1 + (count - min(found, count) + 0.5) / (found + 0.5))


def _spread(file: KnowledgeBaseFile, terms: Sequence[str]) -> dict[str, int]:
    """Return in how many documents each term is, rarest first; terms that are in none are left out."""
    return dict(
        file.query(
            "SELECT term, doc FROM word_documents WHERE term IN (SELECT value FROM json_each(?))"
            " ORDER BY doc, term",
            (json.dumps(terms),),
        )
    )


def _postings(file: KnowledgeBaseFile, spread: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Return per term the documents that have it and how often; the rarest terms within the bounds."""
    postings: dict[str, dict[int, int]] = {}
    size = 0
    for term, documents in islice(spread.items(), _MOST_TERMS):
        size += documents
        if postings and size > _MOST_POSTINGS:
            break
        postings[term] = dict(
            file.query("SELECT doc, count(*) FROM word_places WHERE term = ? GROUP BY doc", (term,))
        )
    return postings


def _compound_postings(file: KnowledgeBaseFile, query: str) -> dict[str, dict[int, int]]:
    """Return the documents that have a code such as ORA-00060 as it is written, its parts side by side."""
    postings: dict[str, dict[int, int]] = {}
    compounds = [found for found in _COMPOUND.findall(query) if any(map(str.isdigit, found))]
    for compound in list(dict.fromkeys(compounds))[:_MOST_COMPOUNDS]:
        phrase = " ".join(file.words(compound))
        found = file.query(
            "SELECT rowid FROM document_words WHERE document_words MATCH ? LIMIT ?",
            (f'"{phrase}"', _MOST_POSTINGS),
        )
        if found and " " in phrase:
            postings[phrase] = {int(row[0]): 1 for row in found}
    return postings


def _lengths(file: KnowledgeBaseFile, document_ids: set[int]) -> dict[int, int]:
    return dict(
        file.query(
            "SELECT document_id, word_count FROM documents"
            " WHERE document_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(document_ids)),),
        )
    )
