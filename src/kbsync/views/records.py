"""Many incidents on one page: by what we know of them, or by their own status. Imports the model and ports.

Invariant: one page of one listing, and one batch read for what it lacks, whatever the table's size.
"""

from kbsync.engine import Engine
from kbsync.model import State, StoredIncident, SyncRecord
from kbsync.views.passages import cut
from kbsync.views.report import View, iso

TITLE_CHARACTERS = 160


def records_view(engine: Engine, *, state: State | None, cursor: str, limit: int) -> View:
    """Return a page of the incidents with a record, in one state or all, with their titles as they are now.

    An empty `cursor` begins; an empty `next` says that this was the last page.
    """
    page = engine.ledger.list_records(state=state, cursor=cursor, limit=limit)
    stored = engine.incidents.read([record.incident_id for record in page.items])
    rows = [_row(engine, record.incident_id, record, stored.get(record.incident_id)) for record in page.items]
    return {"rows": rows, "next": page.cursor}


def incidents_view(engine: Engine, *, status: str, cursor: str, limit: int) -> View:
    """Return a page of the incidents with this status, read anew, each with what we know of it.

    The status index may lag: an incident whose status is another by now shows that one.
    """
    page = engine.incidents.list_by_status(status, cursor=cursor, limit=limit)
    ids = [each.incident_id for each in page.items]
    stored = engine.incidents.read(ids)
    records = engine.ledger.records(ids)
    return {
        "rows": [_row(engine, each, records.get(each), stored.get(each)) for each in ids],
        "next": page.cursor,
    }


def _row(engine: Engine, incident_id: str, record: SyncRecord | None, stored: StoredIncident | None) -> View:
    return {
        "incident_id": incident_id,
        "title": _cut(engine.transform.title(stored)) if stored else None,
        "severity": _text(engine, stored, "severity"),
        "status": _text(engine, stored, "status"),
        "incident_exists": stored is not None,
        "state": str(record.state) if record else None,
        "reason": record.reason if record else "",
        "attempts": record.attempts if record else 0,
        "since": iso(record.transitions[-1].at) if record and record.transitions else None,
        "pending_since": iso(record.pending_since) if record else None,
    }


def _text(engine: Engine, stored: StoredIncident | None, name: str) -> str | None:
    value = stored.attributes.get(name) if stored else None
    return _cut(engine.transform.shown(value)) if isinstance(value, str) else None


def _cut(text: str | None) -> str | None:
    return cut(text, TITLE_CHARACTERS) if text is not None else None
