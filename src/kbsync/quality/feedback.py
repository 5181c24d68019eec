"""What people said was useful: which incident answered which question, kept in the ledger, asked by `eval`.

May import the pipeline's redaction and purge. Invariant: a question is redacted before it is kept, a purge
takes it along, and all of it stays within one small value, whose oldest entries go first.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from kbsync.engine import Engine
from kbsync.errors import UnknownIncidentError
from kbsync.model import State
from kbsync.pipeline.kept import change_value
from kbsync.pipeline.purge_texts import FEEDBACK
from kbsync.pipeline.transform.clean import clean
from kbsync.pipeline.transform.redact import redact
from kbsync.quality.questions import Asked
from kbsync.query import telling_part

SET = "useful"
MOST_BYTES = 200_000
"""Half of what an item of DynamoDB holds. Source: DynamoDB Developer Guide, "Service quotas", item size."""
MOST_QUERY_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Useful:
    """One person's word; the query is empty where none was given."""

    incident_id: str
    query: str
    at: datetime


_STORED = TypeAdapter(tuple[Useful, ...])


def read_feedback(engine: Engine) -> tuple[Useful, ...]:
    """Return what was said, oldest first."""
    return _STORED.validate_json(engine.ledger.read_value(FEEDBACK) or "[]")


def say_useful(engine: Engine, incident_id: str, query: str) -> Useful:
    """Keep that this incident answered this question; said again, it counts once, as the newest.

    Raises:
        UnknownIncidentError: there is no such incident; nothing was kept.
        RedactionFailedError: the question could not be redacted; nothing was kept.
    """
    if not engine.incidents.read([incident_id]):
        raise UnknownIncidentError(f"there is no incident {incident_id}")
    said = Useful(incident_id, _kept_query(query), engine.now())

    def added(text: str) -> str:
        stored = _STORED.validate_json(text or "[]")
        return _within([*(each for each in stored if not _is_same(each, said)), said])

    change_value(engine, FEEDBACK, added)
    return said


def take_back(engine: Engine, incident_id: str, query: str) -> int:
    """Forget what was said of this incident, to this question where one is given; returns how much it was."""
    wanted = _kept_query(query)
    taken = 0

    def rest(text: str) -> str:
        nonlocal taken
        stored = _STORED.validate_json(text or "[]")
        kept = [
            each for each in stored if each.incident_id != incident_id or (wanted and each.query != wanted)
        ]
        taken = len(stored) - len(kept)
        return _within(kept)

    change_value(engine, FEEDBACK, rest)
    return taken


def useful_questions(engine: Engine) -> list[Asked]:
    """Return the questions that people have an answer to, which is still searchable; each once."""
    said = [each for each in read_feedback(engine) if each.query]
    records = engine.ledger.records(sorted({each.incident_id for each in said}))
    answers: dict[str, set[str]] = {}
    for each in said:
        record = records.get(each.incident_id)
        if record and record.state is State.INDEXED:
            answers.setdefault(each.query, set()).add(each.incident_id)
    return [Asked(query, frozenset(ids), SET) for query, ids in answers.items()]


def _kept_query(query: str) -> str:
    told = telling_part(clean(query, lambda _: None)).strip()
    return redact(told, Counter())[:MOST_QUERY_CHARACTERS].strip()


def _is_same(one: Useful, other: Useful) -> bool:
    return (one.incident_id, one.query) == (other.incident_id, other.query)


def _within(kept: Sequence[Useful]) -> str:
    """Return the newest that fit as they are stored; an empty text for none, which removes the value."""
    texts: list[bytes] = []
    size = 2
    for each in reversed(kept):
        text = TypeAdapter(Useful).dump_json(each)
        size += len(text) + 1
        if size > MOST_BYTES:
            break
        texts.append(text)
    return f"[{b','.join(reversed(texts)).decode()}]" if texts else ""
