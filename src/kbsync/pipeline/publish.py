"""Publish: put or delete the documents of one page. Knows the ports; who calls it holds the lease.

    1 ledger    what is about to change loses its fingerprint (an edit: pending, a removal: withdrawing)
    2 incident  `synced: true` becomes false before the first put or delete
    3 store     put sidecar, then document; delete document, then sidecar; each on a known ETag
    4 ledger    published or withdrawing, waiting for confirmation

Killed after 1: the next run puts or deletes again. After 3: the put meets its own ETag, HEAD shows our
fingerprint, and that is success. Invariant: the ledger's fingerprint is never one the store may not hold.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from kbsync.errors import OutageError, RetriableError, WriteConflictError
from kbsync.model import Save, Stage, State, SyncRecord, sidecar_key
from kbsync.pipeline.hand import Hand
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
from kbsync.pipeline.pace import OUTAGE_AFTER_REFUSALS
from kbsync.pipeline.plan import Action, PlannedChange, holds_document, says_synced
from kbsync.pipeline.run import Run
from kbsync.pipeline.side_by_side import carry_out
from kbsync.ports import Noted
from kbsync.queueing import in_stage

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
    hands = []
    for change, record in announced:
        said = unsaid.get(change.incident_id)
        if said is Noted.CHANGED:
            run.again.append(change.incident_id)
        else:
            hands.append(Hand(run, _unless_it_says_synced(change, said), record))
    try:
        carry_out(run, hands, _work)
    finally:
        finished = [saved for hand in hands for saved in _tell(run, hand)]
        run.count(**sum((hand.counts for hand in hands), Counter()))
        _owe(run, finished)
        save_records(run, finished)
    _end_of_page(run, hands)
    # With our generation: a record that this very run has saved would fence off its own older copy.
    ours = run.lease.generation
    run.engine.ledger.drop([Save(replace(record, generation=ours), due) for record, due in run.forget])
    run.forget.clear()


def _end_of_page(run: Run, hands: Sequence[Hand]) -> None:
    """Count what the deadline left; where the service is down, leave the drain.

    That is so after refusals in a row, or where many were in hand at once and none of them was done.
    """
    refused = [hand.refusal for hand in hands if hand.refusal is not None]
    none_done = len(refused) >= OUTAGE_AFTER_REFUSALS and not any(hand.counts_as_tried for hand in hands)
    if none_done or any(hand.is_last_straw for hand in hands):
        raise OutageError(f"{len(refused)} refusals, the last: {refused[-1]}")
    run.waiting += sum(not hand.began for hand in hands)


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


def _work(hand: Hand) -> None:
    """Carry one decision out; what came of it stands in the hand."""
    change, record = hand.change, hand.record
    try:
        hand.saved = _EFFECTS[change.action](hand, change, record)
    except WriteConflictError:
        hand.again = True
        hand.saved = _with_known_etags(hand, record, change)
    except RetriableError as error:
        hand.refusal = error
    hand.is_done = True


def _tell(run: Run, hand: Hand) -> list[tuple[SyncRecord, str]]:
    """Tell the run what one hand did; returns the record to save with the due that was read, if any."""
    if hand.again:
        run.again.append(hand.change.incident_id)
    if hand.forget:
        run.forget.append((hand.record, hand.record.due))
    if hand.failure:
        run.fail(hand.change.incident_id, hand.failure)
    saved = hand.saved
    if hand.refusal is not None:
        run.waiting += 1
        saved = None if hand.is_last_straw else _behind_the_others(run, hand.record)
    elif hand.counts_as_tried:
        run.tried += 1
    return [(saved, hand.record.due)] if saved is not None else []


def _behind_the_others(run: Run, record: SyncRecord) -> SyncRecord:
    """Put an incident back whose put was refused: it must not keep the others from their turn."""
    wait = timedelta(seconds=run.engine.policy.backoff_seconds)
    return queued(record, Stage.PUBLISH, at=run.later() + wait, shards=run.engine.policy.shards)


def _with_known_etags(hand: Hand, record: SyncRecord, change: PlannedChange) -> SyncRecord:
    """Return the record with the ETags that stand now: the incident is read again before they are used."""
    key = change.document_key
    json_key = record.json_key or hand.engine.transform.json_key(change.incident_id)
    return replace(
        record,
        document_key=key,
        body_etag=etag_of(hand, key),
        sidecar_etag=etag_of(hand, sidecar_key(key)),
        json_key=json_key,
        json_etag=etag_of(hand, json_key) if json_key else "",
        fingerprint="",
    )


def _publish(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    document = change.document
    assert document is not None  # noqa: S101 - decide() pairs these actions with a document
    whole = change.action is Action.PUBLISH
    said = put_document(hand, document, record, whole=whole)
    hand.count(**{"published" if whole else "metadata_only": 1})
    record = replace(
        record,
        **_source(hand, change, record),
        **said,
        attempts=_attempts_so_far(hand, change, record),
        document_key=document.key,
        fingerprint=document.fingerprint,
        body_hash=document.body_hash,
        sidecar_hash=document.sidecar_hash,
        redactions=document.redactions,
        notes=document.notes,
    )
    return _await_confirmation(hand, record, State.PUBLISHED, "")


def _attempts_so_far(hand: Hand, change: PlannedChange, record: SyncRecord) -> int:
    """Return the attempts of this very content under these very rules: anything else begins anew."""
    known = (record.source_version, record.rendered_by)
    return record.attempts if known == (change.source_version, hand.engine.transform.rendered_by) else 0


def _rendered(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    return replace(record, **_source(hand, change, record))


def _source(hand: Hand, change: PlannedChange, record: SyncRecord) -> dict[str, Any]:
    """Return what the record is to say of the incident as it was read."""
    return {
        "source_version": change.source_version,
        "rendered_by": hand.engine.transform.rendered_by,
        "expires_at": None,
        "deleted": change.stored is None and record.deleted,
    }


def _await_confirmation(hand: Hand, record: SyncRecord, state: State, reason: str) -> SyncRecord:
    now = hand.engine.now()
    record = moved(record, state, reason, run_id=hand.run_id, at=now)
    return queued(record, Stage.CONFIRM, at=now, shards=hand.engine.policy.shards)


def _reconfirm(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    hand.count(unchanged=1)
    return _await_confirmation(hand, _rendered(hand, change, record), State.PUBLISHED, "")


def _unchanged(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord | None:
    """Nothing to put; an indexed incident whose map was reset by its owner says `synced: true` again."""
    hand.count(unchanged=1)
    if record.state is State.QUARANTINED:
        return settled(record)
    record = _rendered(hand, change, record)
    if record.reason:  # the deletion brake held it, and it is wanted again
        record = moved(record, record.state, "", run_id=hand.run_id, at=hand.engine.now())
    if says_synced(change.stored):
        return settled(record)
    return queued(record, Stage.CONFIRM, at=hand.engine.now(), shards=hand.engine.policy.shards)


def _withdraw(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    """Delete the document, then its sidecar; gone is a fact only when the knowledge base says so.

    What is absent already was deleted at an unknown moment by a killed run: now is an upper bound of it.
    """
    each, key = record.incident_id, record.document_key
    removed_at = delete_object(hand, each, key, record.body_etag) or hand.engine.now()
    sidecar_at = delete_object(hand, each, sidecar_key(key), record.sidecar_etag) or removed_at
    hand.count(withdrawn=1)
    gone_at = max(removed_at, sidecar_at)
    if record.published_at and record.state is State.WITHDRAWING and not holds_document(record):
        gone_at = record.published_at  # deleted by an earlier run: nothing new to wait for
    record = _rendered(hand, change, delete_json_record(hand, record))
    record = replace(record, published_at=gone_at, body_etag="", sidecar_etag="")
    return _await_confirmation(hand, record, State.WITHDRAWING, change.reason)


def _look(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord | None:
    """Nothing is known to be published: make sure, then note the exclusion or forget the record."""
    key = change.document_key or hand.engine.transform.document_key(change.incident_id)
    json_key = hand.engine.transform.json_key(change.incident_id)
    if any(etag_of(hand, each) for each in (key, sidecar_key(key), json_key) if each):
        hand.again = True
        return _with_known_etags(hand, record, replace(change, document_key=key))
    if change.target is State.EXCLUDED:
        if record.state is not State.EXCLUDED:
            hand.count(excluded=1)
        record = _rendered(hand, change, record)
        return settled(moved(record, State.EXCLUDED, change.reason, run_id=hand.run_id, at=hand.engine.now()))
    if record.state is State.WITHDRAWN:
        return settled(tombstone(record, at=hand.engine.now()))
    hand.forget = True
    return None


def _reject(hand: Hand, change: PlannedChange, record: SyncRecord) -> SyncRecord:
    """Put the incident back with its reason; the last good document stays, shown as stale."""
    hand.failure = change.reason
    attempts = _attempts_so_far(hand, change, record)
    record = replace(_rendered(hand, change, record), attempts=attempts)
    record = moved(record, State.PENDING, change.reason, run_id=hand.run_id, at=hand.engine.now())
    return queued(record, Stage.PUBLISH, at=hand.later(), shards=hand.engine.policy.shards)


_EFFECTS = {
    Action.PUBLISH: _publish,
    Action.PUBLISH_SIDECAR: _publish,
    Action.UNCHANGED: _unchanged,
    Action.RECONFIRM: _reconfirm,
    Action.WITHDRAW: _withdraw,
    Action.LOOK: _look,
    Action.REJECT: _reject,
}
