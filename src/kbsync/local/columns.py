"""What search computes with: vectors and word counts of all documents, as arrays by document number.

They are read once and kept while the file stays as it is: a search after a change reads them anew. May import
the file. Invariant: the caller holds a snapshot, so that columns and what is read beside them are of one
moment.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from kbsync.local.e5_model import Floats
from kbsync.local.kb_schema import KnowledgeBaseFile

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_VECTORS = 200_000
"""More are left in the file, where sqlite-vec goes through them at each search: 300 MB are enough to hold."""
MOST_POSTINGS_KEPT = 1_000_000
"""Pairs of a term and a document, 16 bytes each."""
_VECTORS_A_BLOCK = 4_096


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass(frozen=True, slots=True)
class Posting:
    """The documents that have a term, each once, and how often they have it."""

    documents: Numbers
    times: Numbers


class KeptPostings:
    """Terms that earlier searches have read: most queries share their frequent words."""

    def __init__(self) -> None:
        self.by_term: dict[str, Posting] = {}
        self._size = 0

    def keep(self, term: str, posting: Posting) -> None:
        """Keep what was read of a new term; where the bound is passed, all others are let go."""
        if self._size + len(posting.documents) > MOST_POSTINGS_KEPT:
            self.by_term.clear()
            self._size = 0
        self.by_term[term] = posting
        self._size += len(posting.documents)


@dataclass(frozen=True, slots=True)
class Columns:
    """One moment of the file; each array has a place for every number up to the highest document's."""

    indexed: Flags
    """Whether search may find it."""
    word_counts: Numbers
    vector_rows: Numbers
    """Where its vector stands in `vectors`, -1 without one, or where none are held."""
    vectors: Floats | None
    """Unit vectors; None where there are more than are held."""
    postings: KeptPostings = field(default_factory=KeptPostings)

    def cosines(self, vectors: Floats, query: Floats) -> Floats:
        """Return the cosine to each document's vector, NaN where there is none."""
        with _blas().limit(limits=1, user_api="blas"):  # threads of BLAS spin while they wait
            by_row = vectors @ query
        found = np.full(len(self.vector_rows), np.nan, dtype=np.float32)
        has_one = self.vector_rows >= 0
        found[has_one] = by_row[self.vector_rows[has_one]]
        return found


class ColumnCache:
    """The columns of one file and one space of vectors."""

    def __init__(self, file: KnowledgeBaseFile, space: str, dimension: int) -> None:
        self._file = file
        self._space = space
        self._dimension = dimension
        self._kept: tuple[tuple[int, int], Columns] | None = None

    def current(self) -> Columns:
        """Return the columns of this moment, read anew if anything was written since."""
        version = self._file.version()
        if self._kept is None or self._kept[0] != version:
            self._kept = None  # so that never two of them are held
            self._kept = (version, self._read())
        return self._kept[1]

    def _read(self) -> Columns:
        documents, flags, counts, embeddings = (numbers_of(each) for each in self._file.query(_DOCUMENTS)[0])
        size = int(documents.max(initial=-1)) + 1
        indexed, word_counts = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.int64)
        indexed[documents], word_counts[documents] = flags, counts
        rows, vectors = np.full(size, -1, dtype=np.int64), None
        held = int(self._file.query(_COUNT, (self._space,))[0][0])
        if held <= MOST_VECTORS:
            numbers, vectors = self._vectors(held)
            places = np.searchsorted(numbers, embeddings)
            found = np.append(numbers, -2)[places] == embeddings  # one place lies behind the last
            rows[documents] = np.where(found, places, -1)
        return Columns(indexed, word_counts, rows, vectors)

    def _vectors(self, count: int) -> tuple[Numbers, Floats]:
        """Return the numbers of the space's vectors, ascending, and the vectors, read block by block."""
        numbers = np.empty(count, dtype=np.int64)
        vectors = np.empty((count, self._dimension), dtype=np.float32)
        after = -1
        for start in range(0, count, _VECTORS_A_BLOCK):
            found = self._file.query(_VECTORS, (after, self._space, _VECTORS_A_BLOCK))
            block = slice(start, start + len(found))
            numbers[block] = [row[0] for row in found]
            read = np.frombuffer(b"".join(row[1] for row in found), dtype=np.float32)
            vectors[block] = read.reshape(len(found), self._dimension)
            after = found[-1][0]
        return numbers, vectors


_DOCUMENTS = """
SELECT group_concat(document_id), group_concat(status = 'INDEXED'), group_concat(word_count),
    group_concat(coalesce(embedding_id, -1))
FROM documents
"""
_COUNT = "SELECT count(*) FROM embeddings WHERE space = ?"
_VECTORS = """
SELECT embedding_id, vector FROM embeddings WHERE embedding_id > ? AND space = ? ORDER BY embedding_id LIMIT ?
"""


def numbers_of(text: str | None) -> Numbers:
    """Return the numbers of a text that `group_concat` made, or none of its NULL.

    A row for each number would cost ten times as much as all that search then does with it.
    """
    return np.fromstring(text, dtype=np.int64, sep=",") if text else np.empty(0, dtype=np.int64)
