"""Search results that are true now: what is no longer to be found is left out, and said (CASES.md, O-63).

Imports the model, ports and errors. Invariant: no hit of an incident that was reopened, deleted, excluded or
withdrawn, also before its removal is confirmed; every text is bounded.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.knowledge import Hit
from kbsync.model import Attributes, State, StoredIncident, SyncRecord
from kbsync.views.passages import excerpt_of, section_of, title_of, words_of
from kbsync.views.report import View

MOST_HITS = 100
"""Source: Bedrock API Reference, KnowledgeBaseVectorSearchConfiguration, numberOfResults."""
NOT_INDEXED_LOOKED_AT = 100

_GONE = frozenset({State.WITHDRAWING, State.WITHDRAWN, State.EXCLUDED})
_CONDITION = re.compile(r"([^=<>!]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_OPERATORS = {
    "=": "equals",
    "!=": "notEquals",
    ">": "greaterThan",
    ">=": "greaterThanOrEquals",
    "<": "lessThan",
    "<=": "lessThanOrEquals",
}
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")


@runtime_checkable
class SelfDescribing(Protocol):
    """A knowledge base that can say how it searches."""

    def describe(self) -> Mapping[str, str | int]:
        """Return the mode (hybrid, or lexical: words only) and the embedding model."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; `solution_headings` name the sections that solve an incident, best first."""

    query: str
    limit: int = 5
    conditions: tuple[str, ...] = ()
    solution_headings: tuple[str, ...] = ()


def search_mode(engine: Engine) -> View:
    """Return how the knowledge base searches, as far as it says so."""
    knowledge_base = engine.knowledge_base
    return dict(knowledge_base.describe()) if isinstance(knowledge_base, SelfDescribing) else {}


def filter_of(conditions: Sequence[str]) -> Mapping[str, object] | None:
    """Return the retrieval filter of conditions such as `severity=high`, all of which must hold.

    Raises:
        UsageError: a condition that is none, or a range over what is no number.
    """
    parts = [_condition(condition) for condition in conditions]
    if len(parts) > 1:
        return {"andAll": parts}
    return parts[0] if parts else None


def _condition(text: str) -> Mapping[str, object]:
    match = _CONDITION.fullmatch(text)
    if not match or not match[1].strip() or not match[3].strip():
        raise UsageError(
            "a filter is written name=value", hint="for example severity=high or resolved_date>=20250101"
        )
    name, operator, value = match[1].strip(), _OPERATORS[match[2]], match[3].strip()
    number = (float(value) if "." in value else int(value)) if _NUMBER.fullmatch(value) else None
    if match[2] not in ("=", "!="):
        if number is None:
            raise UsageError(f"{match[2]} compares numbers", hint="dates are numbers such as 20250131")
        return {operator: {"key": name, "value": number}}
    as_text = {operator: {"key": name, "value": value}}
    if number is None:
        return as_text
    # Only the attribute knows whether its digits are a number or a text, so both are asked for.
    return {"andAll" if match[2] == "!=" else "orAll": [as_text, {operator: {"key": name, "value": number}}]}


def search_view(engine: Engine, question: Question) -> View:
    """Return the best hits with the passage that fits and the resolution, and what was left out and why.

    Raises:
        UsageError: neither query nor condition, or a limit that is out of range.
    """
    if not 1 <= question.limit <= MOST_HITS:
        raise UsageError(f"the limit is {question.limit}", hint=f"give a number from 1 to {MOST_HITS}")
    found = engine.knowledge_base.retrieve(
        question.query,
        limit=min(question.limit * 2 + 10, MOST_HITS),
        filter=filter_of(question.conditions),
    )
    ids = list(dict.fromkeys(_incident_id(hit) for hit in found))
    incidents, records = engine.incidents.read(ids), engine.ledger.records(ids)
    hits: list[View] = []
    left_out: list[View] = []
    for hit in found:
        incident_id = _incident_id(hit)
        record, stored = records.get(incident_id), incidents.get(incident_id)
        reason = _why_gone(engine, record, stored)
        if len(hits) == question.limit:
            break
        if reason:
            left_out.append({"incident_id": incident_id, "reason": reason})
        else:
            hits.append(_hit_view(engine, question, hit, record, stored))
    return {
        "query": question.query,
        **search_mode(engine),
        "hits": hits,
        "left_out": left_out,
        "not_searchable": _not_searchable(engine, question, {str(hit["incident_id"]) for hit in hits}),
    }


def _incident_id(hit: Hit) -> str:
    return str(hit.metadata.get("incident_id", ""))


def _why_gone(engine: Engine, record: SyncRecord | None, stored: StoredIncident | None) -> str:
    """Return why a document that the knowledge base still holds must not be shown, or an empty text."""
    if record is None:
        return ""  # a document that is not ours, or whose sidecar had no room for the whole id
    if stored is None:
        return "deleted; its removal waits for the next run"
    status = stored.attributes.get("status")
    if not isinstance(status, str) or status.strip() not in engine.policy.closed_statuses:
        return "no longer closed; its removal waits for the next run"
    return f"{record.state}: {record.reason}" if record.state in _GONE else ""


def _hit_view(
    engine: Engine, question: Question, hit: Hit, record: SyncRecord | None, stored: StoredIncident | None
) -> View:
    resolution = section_of(hit.text, question.solution_headings)
    if not resolution:
        resolution = section_of(_whole_document(engine, hit), question.solution_headings)
    return {
        "incident_id": _incident_id(hit),
        "title": str(hit.metadata.get("title") or title_of(hit.text)),
        "score": round(hit.score, 4),
        "excerpt": excerpt_of(hit.text, question.query),
        "resolution": resolution,
        "document_key": hit.document_key,
        "closed_at": _closed_at(stored.attributes) if stored else None,
        "stale": record is not None and (record.state is not State.INDEXED or bool(record.queue)),
    }


def _whole_document(engine: Engine, hit: Hit) -> str:
    """Return the document that a passage is from; an empty text where it is gone meanwhile."""
    try:
        return engine.documents.get(hit.document_key).decode("utf-8", "replace")
    except KeyError:
        return ""


def _closed_at(attributes: Attributes) -> str | None:
    """Return when the incident was closed, as somebody wrote it."""
    resolution = attributes.get("resolution")
    inner = resolution.get("resolved_at") if isinstance(resolution, Mapping) else None
    closed_at = attributes.get("resolved_at") or inner
    return closed_at if isinstance(closed_at, str) else None


def _not_searchable(engine: Engine, question: Question, shown: set[str]) -> list[View]:
    """Return known incidents that the question names, by id or title, and that cannot be found, and why."""
    wanted = set(words_of(question.query))
    named = {
        text.partition("=")[2].strip() for text in question.conditions if text.startswith("incident_id=")
    }
    named |= set(question.query.split()[:NOT_INDEXED_LOOKED_AT])
    candidates = dict(engine.ledger.records(sorted(named)))
    for state in (State.QUARANTINED, State.PENDING):
        page = engine.ledger.list_records(state=state, cursor="", limit=NOT_INDEXED_LOOKED_AT)
        candidates |= {record.incident_id: record for record in page.items}
    incidents = engine.incidents.read(list(candidates))
    return [
        {"incident_id": name, "state": str(record.state), "reason": record.reason}
        for name, record in sorted(candidates.items())
        if record.state is not State.INDEXED
        and name not in shown
        and (name in named or _is_meant(wanted, incidents.get(name)))
    ]


def _is_meant(wanted: set[str], stored: StoredIncident | None) -> bool:
    """Whether the whole query stands in the incident's title."""
    title = stored.attributes.get("title") if stored else None
    return bool(wanted) and isinstance(title, str) and wanted <= set(words_of(title))
