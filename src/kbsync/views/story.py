"""One incident's whole story: what it says, what it wants, what we did, and what happens next.

Imports the model, ports and errors; reads only. Invariant: an incident that is known is never called missing.
"""

from datetime import timedelta

from kbsync.engine import Engine
from kbsync.errors import (
    IncidentRejectedError,
    KbSyncError,
    MissingExtraError,
    UnknownIncidentError,
    UsageError,
)
from kbsync.model import SYNC_STATUS, Document, Stage, State, StoredIncident, SyncRecord, sidecar_key
from kbsync.queueing import in_stage, is_closed, utc_text
from kbsync.views.report import View, iso
from kbsync.views.standing import UNMADE
from kbsync.withdrawal import in_force

_NEXT = {
    State.PENDING: "the next run looks at it",
    State.PUBLISHED: "the next run asks the knowledge base whether it is searchable",
    State.INDEXED: "nothing: it is searchable with its latest content",
    State.WITHDRAWING: "the next run makes sure that it is gone",
    State.WITHDRAWN: "nothing: its document is confirmed gone",
    State.QUARANTINED: "nothing until the incident is edited, or `kbsync retry` releases it",
    State.EXCLUDED: "nothing: a rule of the settings, or a person, wants no document",
}


def explain_view(engine: Engine, incident_id: str, *, paused: bool = False) -> View:
    """Return everything that is known of one incident, with times and run ids.

    Raises:
        UnknownIncidentError: neither the table nor the ledger knows the id.
    """
    engine = in_force(engine)
    stored = engine.incidents.read([incident_id]).get(incident_id)
    record = engine.ledger.records([incident_id]).get(incident_id)
    if stored is None and record is None:
        raise UnknownIncidentError(
            f"nothing is known of {incident_id}", hint="ids are compared letter by letter"
        )
    known = record or SyncRecord(incident_id=incident_id)
    return {
        "incident_id": incident_id,
        "incident_exists": stored is not None,
        "incident_status": _status(engine, stored),
        "title": engine.transform.title(stored) if stored else None,
        "state": str(record.state) if record else None,
        "reason": known.reason,
        "attempts": known.attempts,
        "max_attempts": engine.policy.max_attempts,
        "wants": _wants(engine, known, stored),
        "document": _document_view(engine, known),
        "indexed_at": iso(known.indexed_at),
        "ingestion_job_id": known.ingestion_job_id,
        "redactions": dict(known.redactions),
        "notes": list(known.notes),
        "incident_says": _own_status(engine, stored),
        "pending_since": iso(known.pending_since),
        "transitions": [
            {"at": iso(step.at), "run_id": step.run_id, "state": str(step.state), "reason": step.reason}
            for step in known.transitions
        ],
        "next": _next(engine, record, stored, paused=paused),
    }


def show_view(engine: Engine, incident_id: str) -> View:
    """Return the document as the store holds it, with its metadata.

    Raises:
        UnknownIncidentError: neither the table nor the ledger knows the id.
        UsageError: it is known and has no document; the message says why.
    """
    record = engine.ledger.records([incident_id]).get(incident_id)
    key = (record.document_key if record else "") or engine.transform.document_key(incident_id)
    try:
        body = engine.documents.get(key)
    except KeyError:
        story = explain_view(engine, incident_id)
        reason = story["reason"] or story["wants"]
        raise UsageError(
            f"{incident_id} is known and has no document: {story['state'] or 'no record'}, {reason}",
            hint=f"`kbsync explain {incident_id}` tells its story",
        ) from None
    return {
        "incident_id": incident_id,
        "document_key": key,
        "state": str(record.state) if record else None,
        "document": body.decode("utf-8", "replace"),
        "metadata": _sidecar(engine, key),
    }


def _sidecar(engine: Engine, key: str) -> str | None:
    try:
        return engine.documents.get(sidecar_key(key)).decode("utf-8", "replace")
    except KeyError:
        return None


def _text(stored: StoredIncident | None, name: str) -> str | None:
    value = stored.attributes.get(name) if stored else None
    return value if isinstance(value, str) else None


def _wants(engine: Engine, record: SyncRecord, stored: StoredIncident | None) -> str:
    """Return in words what the incident wants now; incident text is no part of it."""
    if record.purged_at:
        return "nothing: purged by a person; `kbsync purge --release` takes that back"
    if stored is None:
        return "nothing: the incident is no longer in the table"
    try:
        desired = engine.transform.desired(stored)
    except (IncidentRejectedError, MissingExtraError) as error:
        return f"a document that cannot be made: {error}"
    except UNMADE as error:
        return f"a document that cannot be made ({type(error).__name__})"
    if isinstance(desired, Document):
        return "a document"
    return f"nothing: {desired.reason}{f' ({desired.detail})' if desired.detail else ''}"


def _document_view(engine: Engine, record: SyncRecord) -> View:
    key = record.document_key or engine.transform.document_key(record.incident_id)
    head = engine.documents.head(key)
    try:
        found = engine.knowledge_base.documents([key]).get(key)
        word, updated_at = (str(found.status), iso(found.updated_at)) if found else (None, None)
    except KbSyncError:
        word, updated_at = None, None
    return {
        "key": key,
        "stored": head is not None,
        "size_bytes": head.size_bytes if head else None,
        "published_at": iso(record.published_at),
        "fingerprint": record.fingerprint or None,
        "knowledge_base_status": word,
        "knowledge_base_updated_at": updated_at,
    }


def _own_status(engine: Engine, stored: StoredIncident | None) -> View | None:
    """Return the incident's own `kb_sync_status` as far as it is readable; others write there, too."""
    status = stored.attributes.get(SYNC_STATUS) if stored else None
    if not isinstance(status, dict):
        return None
    plain = (bool, int, float, type(None))
    shown = engine.transform.shown
    return {
        shown(str(name)): value if isinstance(value, plain) else shown(str(value))
        for name, value in status.items()
    }


def _status(engine: Engine, stored: StoredIncident | None) -> str | None:
    status = _text(stored, "status")
    return engine.transform.shown(status) if status is not None else None


def _next(engine: Engine, record: SyncRecord | None, stored: StoredIncident | None, *, paused: bool) -> str:
    if record is None:
        closed = stored is not None and is_closed(stored.attributes, engine.policy.closed_statuses)
        text = (
            "the next run that looks at it"
            if closed
            else "nothing: it is not closed and nothing is published"
        )
    elif in_stage(record, Stage.HELD):
        text = "a person decides: too many withdrawals at once, and `kbsync approve` lists them"
    elif in_stage(record, Stage.PUBLISH):
        text = "the next run looks at it" + _wait(engine, record)
    else:
        text = _NEXT[record.state]
    return f"runs are paused; after `kbsync resume`: {text}" if paused else text


def _wait(engine: Engine, record: SyncRecord) -> str:
    """Return how long the entry is put off, where that is worth saying."""
    due_at, _, _ = record.due.partition("#")
    soon = utc_text(engine.now() + timedelta(seconds=1))
    return f", not before {due_at[:19]}Z" if due_at > soon else ""
