"""Mark: write what was done into the ledger. Knows the Ledger port and queueing only.

Invariant: a record's queue attributes change only while the due that was read still stands, so a mark made
by somebody else in the meantime survives and is worked on.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from kbsync.model import Save, SaveOutcome, Stage, State, SyncRecord, Transition
from kbsync.pipeline.run import MAX_REASON_CHARACTERS, Run
from kbsync.queueing import due_at, queue_name

TOMBSTONE_DAYS = 90


def moved(record: SyncRecord, state: State, reason: str, *, run_id: str, at: datetime) -> SyncRecord:
    """Return the record in another state, with the step added to its story; the same step is told once."""
    reason = reason[:MAX_REASON_CHARACTERS]
    last = record.transitions[-1] if record.transitions else None
    told = last is not None and (last.state, last.reason, last.run_id) == (state, reason, run_id)
    return record if told else record.with_step(Transition(at, run_id, state, reason))


def queued(record: SyncRecord, stage: Stage, *, at: datetime, shards: int) -> SyncRecord:
    """Return the record as an entry of a queue, due at a moment."""
    return replace(
        record,
        queue=queue_name(stage, record.incident_id, shards),
        due=due_at(at),
        pending_since=record.pending_since or at,
    )


def settled(record: SyncRecord) -> SyncRecord:
    """Return the record out of every queue: nothing is owed for it."""
    return replace(record, queue="", due="", pending_since=None)


def tombstone(record: SyncRecord, *, at: datetime) -> SyncRecord:
    """Return a withdrawn record that leaves the ledger by itself if its incident no longer exists.

    A purged one stays: an incident that comes back under its id must not be published again.
    """
    if record.incident_exists or record.purged_at:
        return replace(record, expires_at=None)
    return replace(record, expires_at=at + timedelta(days=TOMBSTONE_DAYS))


def save_records(run: Run, changes: Iterable[tuple[SyncRecord, str]]) -> list[SaveOutcome]:
    """Write records with this run's generation; a fenced one means that we are no longer the publisher.

    Raises:
        LeaseLostError (fatal): a newer publisher owns a record; that record was not written.
    """
    generation = run.lease.generation
    saves = [Save(replace(record, generation=generation), read_due) for record, read_due in changes]
    if not saves:
        return []
    outcomes = run.engine.ledger.save(saves)
    if SaveOutcome.FENCED in outcomes:
        run.lease.ensure_ours()
    return outcomes
