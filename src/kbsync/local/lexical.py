"""Words of a query and what they are worth: the part of search that needs no model.

The index itself cuts the words of queries too, so that both sides meet. May import the file and its columns.
Invariant: the caller holds a snapshot, so that all numbers are of one moment.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from math import log

import numpy as np
from numpy.typing import NDArray

from kbsync.local.columns import Columns, Posting, numbers_of
from kbsync.local.kb_schema import KnowledgeBaseFile

Scores = NDArray[np.float64]

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


def match_words(file: KnowledgeBaseFile, columns: Columns, query: str) -> Scores:
    """Return how well each document's words fit the query, 0 to 1, by document number; 0 is not at all.

    The measure is BM25 over the sum that no document reaches, so a document that has little of the query
    scores little even where it is the best. A long query counts by its rarest words.
    """
    scores = np.zeros(len(columns.indexed))
    lengths = columns.word_counts[columns.indexed]
    count = len(lengths)
    if not count:
        return scores
    terms = sorted(set(file.words(query)) - STOP_WORDS)
    spread = _spread(file, columns, terms)
    postings = _postings(file, columns, spread) | _compound_postings(file, query)
    worth = {term: _worth(count, len(found.documents)) for term, found in postings.items()}
    ceiling = (sum(worth.values()) + (len(terms) - len(spread)) * _worth(count, 0)) * (_K1 + 1)
    length_parts = 1 - _B + _B * columns.word_counts / (float(lengths.mean()) or 1.0)
    for term, found in postings.items():
        times = found.times * (_K1 + 1) / (found.times + _K1 * length_parts[found.documents])
        scores[found.documents] += worth[term] / ceiling * times
    return scores


def _worth(count: int, found: int) -> float:
    return log(1 + (count - min(found, count) + 0.5) / (found + 0.5))


def _spread(file: KnowledgeBaseFile, columns: Columns, terms: Sequence[str]) -> dict[str, int]:
    """Return in how many documents each term is, rarest first; terms that are in none are left out."""
    kept = columns.postings.by_term
    found = {term: len(kept[term].documents) for term in terms if term in kept}
    unread = [term for term in terms if term not in found]
    found |= dict(
        file.query(
            "SELECT term, doc FROM word_documents WHERE term IN (SELECT value FROM json_each(?))",
            (json.dumps(unread),),
        )
    )
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def _postings(file: KnowledgeBaseFile, columns: Columns, spread: Mapping[str, int]) -> dict[str, Posting]:
    """Return per term the documents that have it and how often; the rarest terms within the bounds."""
    postings: dict[str, Posting] = {}
    size = 0
    for term, documents in islice(spread.items(), _MOST_TERMS):
        size += documents
        if postings and size > _MOST_POSTINGS:
            break
        postings[term] = columns.postings.by_term.get(term) or _read_posting(file, columns, term)
    return postings


def _read_posting(file: KnowledgeBaseFile, columns: Columns, term: str) -> Posting:
    found = file.query("SELECT group_concat(doc) FROM word_places WHERE term = ?", (term,))
    times = np.bincount(numbers_of(found[0][0]))
    numbers = np.flatnonzero(times)
    posting = Posting(numbers, times[numbers])
    columns.postings.keep(term, posting)
    return posting


def _compound_postings(file: KnowledgeBaseFile, query: str) -> dict[str, Posting]:
    """Return the documents that have a code such as ORA-00060 as it is written, its parts side by side."""
    postings: dict[str, Posting] = {}
    compounds = [found for found in _COMPOUND.findall(query) if any(map(str.isdigit, found))]
    for compound in list(dict.fromkeys(compounds))[:_MOST_COMPOUNDS]:
        phrase = " ".join(file.words(compound))
        if " " not in phrase:
            continue
        found = numbers_of(file.query(_PHRASE, (f'"{phrase}"', _MOST_POSTINGS))[0][0])
        if len(found):
            postings[phrase] = Posting(found, np.ones(len(found), dtype=np.int64))
    return postings


_PHRASE = """
SELECT group_concat(number)
FROM (SELECT rowid AS number FROM document_words WHERE document_words MATCH ? LIMIT ?)
"""
