"""Search results that are true now: what is no longer to be found is left out, and said (CASES.md, O-63).

Imports the model, ports and errors. Invariant: hits are checked against the incident store in one batch read,
so no incident that was reopened, deleted or excluded since the last run is shown as a solution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kbsync.engine import Engine
from kbsync.errors import UnknownIncidentError, UsageError
from kbsync.knowledge import Hit
from kbsync.model import Attributes, State, StoredIncident, SyncRecord
from kbsync.views.passages import cut, excerpt_of, sections_of, title_of, words_of
from kbsync.views.question import MOST_HITS, Question, retrieval_filter
from kbsync.views.report import View
from kbsync.views.standing import is_ours, is_stale, metadata_of, standing_of

UNSEARCHABLE_LOOKED_AT = 50
"""Most incidents of each state that is not searchable whose titles are compared with the query."""
IDS_LOOKED_AT = 20
"""Most words of a query that are looked up as ids: a stack trace has thousands."""
_ID_CHARACTERS = 200
_LABELS = ("source_system", "environment", "severity", "category")
_DATE_CHARACTERS = 64


@runtime_checkable
class SelfDescribing(Protocol):
    """A knowledge base that can say how it searches."""

    def describe(self) -> Mapping[str, str | int]:
        """Return the mode (hybrid, or lexical: words only) and the embedding model."""
        ...


def search_mode(engine: Engine) -> View:
    """Return how the knowledge base searches, as far as it says so."""
    knowledge_base = engine.knowledge_base
    return dict(knowledge_base.describe()) if isinstance(knowledge_base, SelfDescribing) else {}


@dataclass(frozen=True, slots=True)
class _Known:
    """What ledger and table say, each read once, of the hits and of what the query may mean besides."""

    records: Mapping[str, SyncRecord]
    incidents: Mapping[str, StoredIncident]
    named: frozenset[str]


def search_view(engine: Engine, question: Question) -> View:
    """Return the best hits, each with what it was and how it was solved, and what was left out and why.

    One retrieval, one batch read of the incidents, and the ledger: whatever the knowledge base still holds,
    the incident as it is now decides. A question `like` an incident reads that one first. `further_hits` were
    found and not looked at; `next_offset` shows them.

    Raises:
        UsageError: neither query nor condition, or a condition that is none.
        UnknownIncidentError: there is no incident to be like.
    """
    query = _like(engine, question.like) if question.like else question.query
    found = engine.knowledge_base.retrieve(
        query,
        limit=min((question.offset + question.limit) * 2 + 10, MOST_HITS),
        filter=retrieval_filter(question, engine.now()),
    )
    found = [hit for hit in found if not question.like or _incident_id(hit) != question.like]
    known = _look_up(engine, question, found)
    last = question.offset + question.limit
    good: list[View] = []
    left_out: list[View] = []
    for hit in found:
        if len(good) == last:
            break
        shown = _hit_view(engine, query, hit, known)
        (left_out if "reason" in shown else good).append(shown)
    hits = good[question.offset :]
    further = len(found) - len(good) - len(left_out)
    told = {str(each["incident_id"]) for each in (*good, *left_out)}
    return {
        "query": question.query,
        "like": question.like or None,
        **search_mode(engine),
        "hits": hits,
        "further_hits": further,
        "next_offset": last if further else None,
        "left_out": left_out,
        "not_searchable": _not_searchable(question, known, told),
    }


def _like(engine: Engine, incident_id: str) -> str:
    """Return what an incident reports as a query; it may be open, and is redacted before it leaves."""
    stored = engine.incidents.read([incident_id]).get(incident_id)
    if stored is None:
        raise UnknownIncidentError(
            f"there is no incident {incident_id} to be like", hint="ids are compared letter by letter"
        )
    text = engine.transform.symptom(stored).text
    if not text:
        raise UsageError(
            f"{incident_id} has no text to search by", hint="it is empty, or a rule says it is confidential"
        )
    return text


def _incident_id(hit: Hit) -> str:
    return str(hit.metadata.get("incident_id", ""))


def _look_up(engine: Engine, question: Question, found: list[Hit]) -> _Known:
    """Read the records, then all incidents that matter, in one batch."""
    named = {
        text.partition("=")[2].strip() for text in question.conditions if text.startswith("incident_id=")
    }
    words = (word for word in question.query.split() if len(word) <= _ID_CHARACTERS and _may_be_id(word))
    named |= set(list(dict.fromkeys(words))[:IDS_LOOKED_AT])
    ids = dict.fromkeys(filter(None, map(_incident_id, found)))
    records = engine.ledger.records(list(ids | dict.fromkeys(sorted(named))))
    if question.query.strip():
        for state in (State.QUARANTINED, State.PENDING):
            page = engine.ledger.list_records(state=state, cursor="", limit=UNSEARCHABLE_LOOKED_AT)
            records |= {record.incident_id: record for record in page.items}
    incidents = engine.incidents.read(list(ids | dict.fromkeys(records)))
    return _Known(records, incidents, frozenset(named))


def _may_be_id(word: str) -> bool:
    return any(character.isdigit() or character in "-_" for character in word)


def _hit_view(engine: Engine, query: str, hit: Hit, known: _Known) -> View:
    """Return a hit as it is shown, or its id and the reason why it must not be."""
    incident_id = _incident_id(hit)
    record, stored = known.records.get(incident_id), known.incidents.get(incident_id)
    checked = is_ours(engine, hit, incident_id, record)
    document = None
    if checked:
        standing = standing_of(engine, record, stored)
        if standing.why_gone:
            return {"incident_id": incident_id, "reason": standing.why_gone}
        document = standing.document
    text = document.body.decode() if document else _whole_document(engine, hit)
    metadata = metadata_of(document) if document else hit.metadata
    sections = sections_of(text, engine.transform.sections)
    return {
        "incident_id": incident_id,
        "title": document.title if document else str(hit.metadata.get("title") or title_of(text)),
        "score": round(hit.score, 4),
        "excerpt": excerpt_of(hit.text, query),
        "symptom": sections["problem"],
        **{name: sections[name] for name in ("error_message", "root_cause", "resolution", "steps")},
        "affected_systems": sections["affected_systems"],
        **{name: metadata.get(name) for name in _LABELS},
        "link": metadata.get("source_url"),
        "closed_at": _closed_at(engine, stored.attributes) if stored else None,
        "document_key": hit.document_key,
        "state": str(record.state) if record else None,
        "stale": checked and is_stale(hit, record, document),
        "checked": checked,
    }


def _whole_document(engine: Engine, hit: Hit) -> str:
    """Return the document that a passage is from; the passage itself where that is gone meanwhile."""
    try:
        return engine.documents.get(hit.document_key).decode("utf-8", "replace")
    except KeyError:
        return hit.text


def _closed_at(engine: Engine, attributes: Attributes) -> str | None:
    """Return when the incident was closed, as somebody wrote it, redacted."""
    resolution = attributes.get("resolution")
    inner = resolution.get("resolved_at") if isinstance(resolution, Mapping) else None
    closed_at = attributes.get("resolved_at") or inner
    return cut(engine.transform.shown(closed_at), _DATE_CHARACTERS) if isinstance(closed_at, str) else None


def _not_searchable(question: Question, known: _Known, told: set[str]) -> list[View]:
    """Return known incidents that the question names, by id or title, and that cannot be found, and why."""
    wanted = set(words_of(question.query))
    return [
        {"incident_id": name, "state": str(record.state), "reason": record.reason}
        for name, record in sorted(known.records.items())
        if record.state is not State.INDEXED
        and name not in told
        and (name in known.named or _is_meant(wanted, known.incidents.get(name)))
    ]


def _is_meant(wanted: set[str], stored: StoredIncident | None) -> bool:
    """Whether the whole query stands in the incident's title."""
    title = stored.attributes.get("title") if stored else None
    return bool(wanted) and isinstance(title, str) and wanted <= set(words_of(title))
