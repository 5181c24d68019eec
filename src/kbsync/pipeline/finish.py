"""Finish: what is proven becomes `synced: true` and indexed, or withdrawn. The last effects of confirm.py.

Invariant: the incident is read again first; a changed one goes back to the publisher instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kbsync.freshness import note_wait, seconds_to_searchable, severity_name
from kbsync.model import (
    Stage,
    State,
    StoredIncident,
    SyncRecord,
    SyncStatus,
    sidecar_key,
)
from kbsync.pipeline.mark import moved, queued, save_records, settled, tombstone
from kbsync.pipeline.objects import NO_ROOM, say
from kbsync.pipeline.plan import says_synced
from kbsync.pipeline.run import Run
from kbsync.ports import Noted


@dataclass(frozen=True, slots=True)
class Finished:
    """One entry that the knowledge base has proven: searchable, or gone."""

    record: SyncRecord
    searchable: bool


def finish_page(run: Run, finished: Sequence[Finished], job_id: str) -> int:
    """Say what is proven on the incidents, then in the ledger; returns how many are done."""
    if not finished:
        return 0
    incidents = run.engine.incidents.read([each.record.incident_id for each in finished])
    said = _say_synced(run, [(each, incidents.get(each.record.incident_id)) for each in finished])
    became: list[tuple[SyncRecord, SyncRecord]] = []
    for each in finished:
        incident_id = each.record.incident_id
        record = _finish(run, each, incidents.get(incident_id), job_id, said=said.get(incident_id))
        if record is not None:
            became.append((each.record, record))
    save_records(run, ((after, before.due) for before, after in became))
    for before, after in became:
        _count_wait(run, before, after, incidents.get(after.incident_id))
        if not after.queue:
            run.note_finished(after.incident_id, searchable=after.state is State.INDEXED)
    return len(became)


def _count_wait(run: Run, before: SyncRecord, after: SyncRecord, stored: StoredIncident | None) -> None:
    """Count what has become searchable for the first time since it was closed; an edit counts no more."""
    seconds = after.searchable_seconds
    if before.searchable_seconds is None and seconds is not None and stored is not None:
        severity = severity_name(run.engine.transform.severity(stored))
        limit = run.engine.policy.searchable_within_seconds
        note_wait(run.waits, severity, seconds, objective_seconds=limit)


def _is_as_published(run: Run, record: SyncRecord, stored: StoredIncident | None) -> bool:
    """Whether the incident is still what its document, or the lack of one, was made from."""
    version = run.engine.transform.source_version(stored.attributes) if stored is not None else ""
    return version == record.source_version


def _say_synced(run: Run, finished: Sequence[tuple[Finished, StoredIncident | None]]) -> dict[str, Noted]:
    """Write `synced: true` where it is proven and not said yet; returns what became of each."""
    now = run.engine.now()
    status = SyncStatus(synced=True, synced_at=now, last_sync_attempt=now)
    silent = [
        stored
        for each, stored in finished
        if stored is not None
        and each.searchable
        and not says_synced(stored)
        and _is_as_published(run, each.record, stored)
    ]
    return say(run, silent, status)


def _finish(
    run: Run, each: Finished, stored: StoredIncident | None, job_id: str, *, said: Noted | None
) -> SyncRecord | None:
    """Return the record as it now stands, or None where it must wait a little longer."""
    record = replace(each.record, incident_exists=stored is not None)
    if said is Noted.REFUSED:
        return _unsaid(run, record)
    if said is Noted.CHANGED or not _is_as_published(run, record, stored):
        return queued(record, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)
    if not each.searchable or stored is None:
        return _gone(run, record)
    return _indexed(run, record, stored, job_id)


def _unsaid(run: Run, record: SyncRecord) -> SyncRecord:
    """Count it against the incident: searchable as it is, it cannot say so before its owner makes room."""
    run.fail(record.incident_id, NO_ROOM)
    record = moved(record, State.PENDING, NO_ROOM, run_id=run.run_id, at=run.engine.now())
    record = replace(record, refused=False)
    return queued(record, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)


def _indexed(run: Run, record: SyncRecord, stored: StoredIncident, job_id: str) -> SyncRecord:
    now, waited = run.engine.now(), record.searchable_seconds
    run.count(indexed=1)
    if waited is None:
        waited = seconds_to_searchable(run.engine.transform.closed_at(stored), record.pending_since, now)
    record = moved(record, State.INDEXED, "", run_id=run.run_id, at=now)
    record = replace(record, indexed_at=now, ingestion_job_id=job_id, attempts=0, refused=False)
    return settled(replace(record, searchable_seconds=waited))


def _gone(run: Run, record: SyncRecord) -> SyncRecord | None:
    """Make sure that nothing was put back, then close the withdrawal with what was meant to follow it."""
    now = run.engine.now()
    if now < removal_look_at(run, record):
        return None
    keys = (record.document_key, sidecar_key(record.document_key))
    if any(run.engine.documents.head(key) is not None for key in keys):
        return queued(record, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)
    if record.target is State.QUARANTINED and not record.refused:  # a refused one was counted when it failed
        run.count(quarantined=1)
        run.quarantined.append(record.incident_id)
    record = moved(record, record.target, record.reason, run_id=run.run_id, at=now)
    if record.target is State.PENDING:
        return queued(record, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)
    return settled(tombstone(record, at=now))


def removal_look_at(run: Run, record: SyncRecord) -> datetime:
    """Return when a deleted object may be looked for: after anything that could still put it back."""
    late = run.engine.documents.late_effects or run.lease.lease.forced
    wait = run.engine.policy.lease_seconds if late else 0.0
    return (record.published_at or run.engine.now()) + timedelta(seconds=wait)


def refuse_page(run: Run, refused: Iterable[tuple[SyncRecord, str]]) -> None:
    """Send refused documents back to be put again, each with its reason; their content counts as unknown."""
    changes = []
    for record, reason in refused:
        run.fail(record.incident_id, reason)
        back = moved(record, State.PENDING, reason, run_id=run.run_id, at=run.engine.now())
        back = replace(back, refused=True, fingerprint="")
        back = queued(back, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)
        changes.append((back, record.due))
    save_records(run, changes)
