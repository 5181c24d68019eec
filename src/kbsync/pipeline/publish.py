"""Publish: put or delete the documents of one page. Knows the ports; who calls it holds the lease.

    1 ledger    what is about to change loses its fingerprint (an edit: pending, a removal: withdrawing)
    2 incident  `synced: true` becomes false before the first put or delete
    3 store     put sidecar, then document; delete document, then sidecar; each on a known ETag
    4 ledger    published or withdrawing, waiting for confirmation

Killed after 1: the next run puts or deletes again. After 3: the put meets its own ETag, HEAD shows our
fingerprint, and that is success. Invariant: the ledger's fingerprint is never one the store may not hold.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from kbsync.errors import OutageError, RetriableError, WriteConflictError
from kbsync.model import Save, Stage, State, SyncRecord, sidecar_key
from kbsync.pipeline.ingest import owe_job
from kbsync.pipeline.mark import moved, queued, save_records, settled, tombstone
from kbsync.pipeline.objects import (
    NO_ROOM,
    delete_json_record,
    delete_object,
    etag_of,
    put_document,
    unsay_synced,
)
from kbsync.pipeline.plan import Action, PlannedChange, holds_document, says_synced
from kbsync.pipeline.run import Run
from kbsync.ports import Noted
from kbsync.queueing import in_stage

OUTAGE_AFTER_REFUSALS = 5
_TOUCHING = frozenset({Action.PUBLISH, Action.PUBLISH_SIDECAR, Action.WITHDRAW})
"""What puts or deletes an object, and so must not find `synced: true` on the incident."""


def apply_page(run: Run, planned: Sequence[PlannedChange]) -> None:
    """Carry out one page of decisions; a failure of one incident never stops the others.

    Raises:
        OutageError: refused several times in a row; what was not reached stays in the queue as it was.
        LeaseLostError (fatal): another run took over.
    """
    announced = _announce(run, planned)
    unsaid = unsay_synced(
        run, (change.stored for change, _ in announced if change.stored and change.action in _TOUCHING)
    )
    finished: list[tuple[SyncRecord, str]] = []
    try:
        for change, record in announced:
            if unsaid.get(change.incident_id) is Noted.CHANGED:
                run.again.append(change.incident_id)
                continue
            possible = _unless_it_says_synced(change, unsaid.get(change.incident_id))
            finished.extend((done, record.due) for done in _carry_out(run, possible, record))
    finally:
        _owe(run, finished)
        save_records(run, finished)
    # With our generation: a record that this very run has saved would fence off its own older copy.
    ours = run.lease.generation
    run.engine.ledger.drop([Save(replace(record, generation=ours), due) for record, due in run.forget])
    run.forget.clear()


def _unless_it_says_synced(change: PlannedChange, unsaid: Noted | None) -> PlannedChange:
    """Replace no document whose incident goes on to say `synced: true`; a withdrawal is made all the same."""
    if unsaid is Noted.REFUSED and change.action is not Action.WITHDRAW:
        return replace(change, action=Action.REJECT, reason=NO_ROOM)
    return change


def _owe(run: Run, finished: Sequence[tuple[SyncRecord, str]]) -> None:
    """Owe a job before the entries leave the publish queue: killed in between, they owe it again."""
    touched = [r.published_at for r, _ in finished if in_stage(r, Stage.CONFIRM) and r.published_at]
    if touched:
        owe_job(run, max(touched))


def _announce(run: Run, planned: Sequence[PlannedChange]) -> list[tuple[PlannedChange, SyncRecord]]:
    """Write ahead which documents are about to change, so that a kill leaves no false fingerprint."""
    now = run.engine.now()
    before: list[tuple[SyncRecord, str]] = []
    announced = []
    for change in planned:
        record = replace(change.record, incident_exists=change.stored is not None)
        if change.action is Action.WITHDRAW:
            record = moved(record, State.WITHDRAWING, change.reason, run_id=run.run_id, at=now)
            record = replace(record, fingerprint="", target=change.target, searchable_seconds=None)
        elif change.action in (Action.PUBLISH, Action.PUBLISH_SIDECAR) and holds_document(record):
            record = moved(record, State.PENDING, "its document is being replaced", run_id=run.run_id, at=now)
            record = replace(record, fingerprint="")
        if record != change.record:
            before.append((record, record.due))
        announced.append((change, record))
    if before:
        run.lease.ensure()
        save_records(run, before)
    return announced


def _carry_out(run: Run, change: PlannedChange, record: SyncRecord) -> list[SyncRecord]:
    """Carry one decision out; returns the record to save, or nothing where the entry stays as it is."""
    try:
        done = _EFFECTS[change.action](run, change, record)
    except WriteConflictError:
        run.again.append(change.incident_id)
        return [_with_known_etags(run, record, change)]
    except RetriableError as error:
        run.refusals_in_a_row += 1
        run.waiting += 1
        if run.refusals_in_a_row >= OUTAGE_AFTER_REFUSALS:
            raise OutageError(f"{run.refusals_in_a_row} refusals in a row, the last: {error}") from error
        # Behind the others: what a service always refuses must not keep them from their turn.
        wait = timedelta(seconds=run.engine.policy.backoff_seconds)
        return [queued(record, Stage.PUBLISH, at=run.later() + wait, shards=run.engine.policy.shards)]
    if change.action is not Action.REJECT:
        run.refusals_in_a_row = 0
        run.tried += 1
    return [done] if done is not None else []


def _with_known_etags(run: Run, record: SyncRecord, change: PlannedChange) -> SyncRecord:
    """Return the record with the ETags that stand now: the incident is read again before they are used."""
    key = change.document_key
    json_key = record.json_key or run.engine.transform.json_key(change.incident_id)
    return replace(
        record,
        document_key=key,
        body_etag=etag_of(run, key),
        sidecar_etag=etag_of(run, sidecar_key(key)),
        json_key=json_key,
        json_etag=etag_of(run, json_key) if json_key else "",
        fingerprint="",
    )


def _publish(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    document = change.document
    assert document is not None  # noqa: S101 - decide() pairs these actions with a document
    whole = change.action is Action.PUBLISH
    record = put_document(run, document, record, whole=whole)
    run.count(**{"published" if whole else "metadata_only": 1})
    record = replace(
        _rendered(run, change, record),
        attempts=_attempts_so_far(run, change, record),
        document_key=document.key,
        fingerprint=document.fingerprint,
        body_hash=document.body_hash,
        sidecar_hash=document.sidecar_hash,
        redactions=document.redactions,
        notes=document.notes,
    )
    return _await_confirmation(run, record, State.PUBLISHED, "")


def _attempts_so_far(run: Run, change: PlannedChange, record: SyncRecord) -> int:
    """Return the attempts of this very content under these very rules: anything else begins anew."""
    known = (record.source_version, record.rendered_by)
    return record.attempts if known == (change.source_version, run.engine.transform.rendered_by) else 0


def _rendered(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    return replace(
        record,
        source_version=change.source_version,
        rendered_by=run.engine.transform.rendered_by,
        expires_at=None,
        deleted=change.stored is None and record.deleted,
    )


def _await_confirmation(run: Run, record: SyncRecord, state: State, reason: str) -> SyncRecord:
    now = run.engine.now()
    record = moved(record, state, reason, run_id=run.run_id, at=now)
    return queued(record, Stage.CONFIRM, at=now, shards=run.engine.policy.shards)


def _reconfirm(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    run.count(unchanged=1)
    return _await_confirmation(run, _rendered(run, change, record), State.PUBLISHED, "")


def _unchanged(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord | None:
    """Nothing to put; an indexed incident whose map was reset by its owner says `synced: true` again."""
    run.count(unchanged=1)
    if record.state is State.QUARANTINED:
        return settled(record)
    record = _rendered(run, change, record)
    if record.reason:  # the deletion brake held it, and it is wanted again
        record = moved(record, record.state, "", run_id=run.run_id, at=run.engine.now())
    if says_synced(change.stored):
        return settled(record)
    return queued(record, Stage.CONFIRM, at=run.engine.now(), shards=run.engine.policy.shards)


def _withdraw(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    """Delete the document, then its sidecar; gone is a fact only when the knowledge base says so.

    What is absent already was deleted at an unknown moment by a killed run: now is an upper bound of it.
    """
    each, key = record.incident_id, record.document_key
    removed_at = delete_object(run, each, key, record.body_etag) or run.engine.now()
    sidecar_at = delete_object(run, each, sidecar_key(key), record.sidecar_etag) or removed_at
    run.count(withdrawn=1)
    gone_at = max(removed_at, sidecar_at)
    if record.published_at and record.state is State.WITHDRAWING and not holds_document(record):
        gone_at = record.published_at  # deleted by an earlier run: nothing new to wait for
    record = _rendered(run, change, delete_json_record(run, record))
    record = replace(record, published_at=gone_at, body_etag="", sidecar_etag="")
    return _await_confirmation(run, record, State.WITHDRAWING, change.reason)


def _look(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord | None:
    """Nothing is known to be published: make sure, then note the exclusion or forget the record."""
    key = change.document_key or run.engine.transform.document_key(change.incident_id)
    json_key = run.engine.transform.json_key(change.incident_id)
    if any(etag_of(run, each) for each in (key, sidecar_key(key), json_key) if each):
        run.again.append(change.incident_id)
        return _with_known_etags(run, record, replace(change, document_key=key))
    if change.target is State.EXCLUDED:
        if record.state is not State.EXCLUDED:
            run.count(excluded=1)
        record = _rendered(run, change, record)
        return settled(moved(record, State.EXCLUDED, change.reason, run_id=run.run_id, at=run.engine.now()))
    if record.state is State.WITHDRAWN:
        return settled(tombstone(record, at=run.engine.now()))
    run.forget.append((record, record.due))
    return None


def _reject(run: Run, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    """Put the incident back with its reason; the last good document stays, shown as stale."""
    run.fail(change.incident_id, change.reason)
    attempts = _attempts_so_far(run, change, record)
    record = replace(_rendered(run, change, record), attempts=attempts)
    record = moved(record, State.PENDING, change.reason, run_id=run.run_id, at=run.engine.now())
    return queued(record, Stage.PUBLISH, at=run.later(), shards=run.engine.policy.shards)


_EFFECTS = {
    Action.PUBLISH: _publish,
    Action.PUBLISH_SIDECAR: _publish,
    Action.UNCHANGED: _unchanged,
    Action.RECONFIRM: _reconfirm,
    Action.WITHDRAW: _withdraw,
    Action.LOOK: _look,
    Action.REJECT: _reject,
}
