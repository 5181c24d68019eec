"""Our own ways to change incidents: close, reopen, update, delete, import, retry.

Each writes the incident and its ledger mark in one transaction, so what is changed here is never missed.
Invariant: the mark follows the incident; nobody else's attribute is touched, `kb_sync_status` least of all.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from kbsync.engine import Engine
from kbsync.errors import UnknownIncidentError, UsageError, WriteConflictError
from kbsync.model import SYNC_STATUS, Attributes, Mark, State, StoredIncident, SyncRecord
from kbsync.ports import IncidentChange
from kbsync.shards import before_marking

TRIES = 5
RETRY_PAGE = 100


class Upsert(StrEnum):
    """What an import did with one item."""

    IMPORTED = "imported"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


def close_incident(
    engine: Engine, incident_id: str, *, resolution: Mapping[str, object] | None = None
) -> None:
    """Close an incident: it becomes searchable with the next run. A closed one gets the new resolution.

    Sets status, resolution (where given), resolved_at, updated_at and an unsynced `kb_sync_status`, as the
    original's snippet does.

    Raises:
        UnknownIncidentError: no such incident; nothing was created.
    """
    now = _stamp(engine)
    changes: dict[str, object] = {
        "status": engine.policy.closed_statuses[0],
        "resolved_at": now,
        SYNC_STATUS: {"synced": False, "sync_attempts": 0},
    }
    if resolution is not None:
        changes["resolution"] = dict(resolution)
    _update(engine, incident_id, changes, now)


def reopen_incident(engine: Engine, incident_id: str, *, status: str = "REOPENED") -> None:
    """Reopen an incident: its document is withdrawn with the next run. Repeating changes nothing more.

    Raises:
        UnknownIncidentError: no such incident.
        UsageError: the status counts as closed.
    """
    if status in engine.policy.closed_statuses:
        raise UsageError(f"{status} counts as closed", hint="name a status that is not in CLOSED_STATUSES")
    _update(engine, incident_id, {"status": status}, _stamp(engine))


def update_incident(engine: Engine, incident_id: str, changes: Mapping[str, object]) -> None:
    """Change attributes of an incident; `None` removes one. Its document follows with the next run.

    Raises:
        UnknownIncidentError: no such incident.
        UsageError: `incident_id` and `kb_sync_status` cannot be changed.
    """
    if {"incident_id", SYNC_STATUS} & changes.keys():
        raise UsageError("incident_id and kb_sync_status cannot be changed")
    _update(engine, incident_id, changes, _stamp(engine))


def delete_incident(engine: Engine, incident_id: str) -> None:
    """Delete an incident; its document is withdrawn with the next run.

    Raises:
        UnknownIncidentError: no such incident.
    """
    before_marking(engine)
    for _ in range(TRIES):
        stored = _read(engine, incident_id)
        mark = Mark(incident_id, engine.now(), deleted=True)
        if engine.incidents.change([IncidentChange(incident_id, None, stored.token, mark)])[0]:
            return
    raise WriteConflictError(f"{incident_id} keeps changing", hint="try again")


def upsert_incidents(engine: Engine, items: Sequence[Attributes]) -> list[Upsert]:
    """Write items by their `incident_id`: new ones are added, known ones replaced, equal ones left alone.

    A known incident keeps its own `kb_sync_status`. Several items with one id: the last counts, the earlier
    ones are reported as the last is. An absent id is never a deletion.
    """
    before_marking(engine)
    latest = {str(item["incident_id"]): item for item in items}
    for _ in range(TRIES):
        stored = engine.incidents.read(list(latest))
        outcomes, changes = {}, []
        for incident_id, item in latest.items():
            known = stored.get(incident_id)
            attributes = _merged(item, known)
            if known is not None and attributes == dict(known.attributes):
                outcomes[incident_id] = Upsert.UNCHANGED
                continue
            outcomes[incident_id] = Upsert.UPDATED if known else Upsert.IMPORTED
            mark = Mark(incident_id, engine.now())
            token = known.token if known else ""
            changes.append(IncidentChange(incident_id, attributes, token, mark))
        if all(engine.incidents.change(changes)):
            return [outcomes[str(item["incident_id"])] for item in items]
    raise WriteConflictError("the incidents keep changing", hint="import again: it goes on where it stopped")


def retry_incidents(engine: Engine, incident_ids: Sequence[str] | None) -> int:
    """Give quarantined incidents their attempts back and queue them; None means all of them.

    Returns how many were released. Ids that are not quarantined are only queued again.

    Raises:
        UnknownIncidentError: kbsync knows nothing of one of the ids; nothing was released.
    """
    if incident_ids is not None:
        unknown = sorted(set(incident_ids) - engine.ledger.records(incident_ids).keys())
        if unknown:
            raise UnknownIncidentError(f"no sync record of {unknown[0]}", hint="see `kbsync quarantine`")
        _release(engine, incident_ids)
        return len(incident_ids)
    return _release_in(engine, State.QUARANTINED) + _release_in(engine, State.WITHDRAWING)


def _release_in(engine: Engine, state: State) -> int:
    """Release what is set aside in a state, or will be once its document is gone, page by page."""
    released, cursor = 0, ""
    while True:
        page = engine.ledger.list_records(state=state, cursor=cursor, limit=RETRY_PAGE)
        ids = [record.incident_id for record in page.items if _is_set_aside(record)]
        _release(engine, ids)
        released, cursor = released + len(ids), page.cursor
        if not cursor:
            return released


def _is_set_aside(record: SyncRecord) -> bool:
    return State.QUARANTINED in (record.state, record.target)


def _release(engine: Engine, incident_ids: Sequence[str]) -> None:
    before_marking(engine)
    engine.ledger.mark([Mark(each, engine.now(), create=False, reset=True) for each in incident_ids])


def _stamp(engine: Engine) -> str:
    return engine.now().isoformat().replace("+00:00", "Z")


def _read(engine: Engine, incident_id: str) -> StoredIncident:
    stored = engine.incidents.read([incident_id]).get(incident_id)
    if stored is None:
        raise UnknownIncidentError(f"there is no incident {incident_id}")
    return stored


def _merged(item: Attributes, known: StoredIncident | None) -> dict[str, object]:
    """Return the item with the sync status that the table has: that one is not the importer's."""
    attributes = dict(item)
    if known is not None:
        attributes.pop(SYNC_STATUS, None)
        if SYNC_STATUS in known.attributes:
            attributes[SYNC_STATUS] = known.attributes[SYNC_STATUS]
    return attributes


def _update(engine: Engine, incident_id: str, changes: Mapping[str, object], stamp: str) -> None:
    """Replace attributes of the item as it stands, together with its mark."""
    before_marking(engine)
    for _ in range(TRIES):
        stored = _read(engine, incident_id)
        attributes = {**stored.attributes, **changes, "updated_at": stamp}
        attributes = {name: value for name, value in attributes.items() if value is not None}
        mark = Mark(incident_id, engine.now())
        if engine.incidents.change([IncidentChange(incident_id, attributes, stored.token, mark)])[0]:
            return
    raise WriteConflictError(f"{incident_id} keeps changing", hint="try again")
