"""Golden questions, made from the incidents themselves: whoever meets one again will ask like this.

Three sets: the title, the error message, and the first sentence of what was seen; right is the incident it
is from. They come from the incidents and not from their documents, so that a template that loses a part is
found out. Imports the engine and the model. Invariant: what is asked is redacted, and never confidential.
"""

import hashlib
import heapq
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from kbsync.engine import Engine
from kbsync.errors import IncidentRejectedError
from kbsync.model import State, Symptom
from kbsync.paging import each_of
from kbsync.quality.questions import Asked

MOST_LOOKED_THROUGH = 200_000
"""Records from which a sample is taken; of a larger ledger its first part, which on DynamoDB has no order."""
MOST_QUERY_CHARACTERS = 2_000
_MOST_SENTENCE_CHARACTERS = 400
_LEAST_WORDS = 3
_PAGE = 100
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)|\n")
_WORD = re.compile(r"\w{2,}")
_LANGUAGE = re.compile(r"[A-Za-z]{2}(?=$|[-_])")


def golden_questions(engine: Engine, *, sample: int) -> list[Asked]:
    """Return the questions of so many searchable incidents: always the same ones, by the hash of their ids.

    New incidents join the sample, or not, without moving the others. A text that several of them share is
    one question, which any of them answers.
    """
    ids = sampled_ids(engine, sample)
    questions: dict[tuple[str, str], Asked] = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        incidents = engine.incidents.read(page)
        for incident_id in page:
            if incident_id not in incidents:
                continue
            try:
                symptom = engine.transform.symptom(incidents[incident_id])
            except IncidentRejectedError:
                continue
            for asked in questions_of(incident_id, symptom):
                known = questions.get((asked.set_name, asked.query))
                relevant = asked.relevant | known.relevant if known else asked.relevant
                questions[asked.set_name, asked.query] = Asked(
                    asked.query, relevant, asked.set_name, asked.language
                )
    return list(questions.values())


def sampled_ids(engine: Engine, sample: int) -> list[str]:
    """Return the searchable incidents whose ids have the lowest hashes, in that order."""
    records = each_of(partial(engine.ledger.list_records, state=State.INDEXED, limit=_PAGE))
    ids = (record.incident_id for record in islice(records, MOST_LOOKED_THROUGH))
    hashes = ((hashlib.sha256(each.encode("utf-8", "replace")).digest(), each) for each in ids)
    return [incident_id for _, incident_id in heapq.nsmallest(sample, hashes)]


def questions_of(incident_id: str, symptom: Symptom) -> Iterator[Asked]:
    """Yield the questions of one incident; a text of under three words asks nothing."""
    match = _LANGUAGE.match(symptom.language.strip())
    language = match[0].lower() if match else ""
    texts = {
        "title": symptom.title,
        "error": symptom.error_message,
        "symptom": first_sentence(symptom.problem, other_than=symptom.title),
    }
    for set_name, text in texts.items():
        query = text.strip()[:MOST_QUERY_CHARACTERS]
        if len(_WORD.findall(query)) >= _LEAST_WORDS:
            yield Asked(query, frozenset({incident_id}), set_name, language)


def first_sentence(text: str, *, other_than: str = "") -> str:
    """Return the first sentence that says something, at most 400 characters of it."""
    parts: Sequence[str] = _SENTENCE.split(text[: 10 * _MOST_SENTENCE_CHARACTERS])
    for part in parts:
        sentence = part.strip(" \t#>*-")
        if len(_WORD.findall(sentence)) >= _LEAST_WORDS and sentence.rstrip(".") != other_than.rstrip("."):
            return sentence[:_MOST_SENTENCE_CHARACTERS]
    return ""
