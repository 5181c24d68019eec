"""Names and order of the ledger's queue, and what marks and saves do: pure, the same for every adapter.

Imports the model only. Invariant: dues and moments written here compare as text in the order of time.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from kbsync.model import (
    Attributes,
    Mark,
    Save,
    SaveOutcome,
    Stage,
    State,
    SyncRecord,
    Transition,
)

LATEST_DUE = "~"
"""An upper bound of every due there can be."""


def is_closed(attributes: Attributes, closed_statuses: Iterable[str]) -> bool:
    """Whether a status is a closed one, the same for all who ask; blanks around it do not count."""
    status = attributes.get("status")
    return isinstance(status, str) and status.strip() in closed_statuses


def utc_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with microseconds: fixed width, so that text order is time order.

    Raises:
        ValueError: the moment has no time zone, so nobody can say when it was.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be stored")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def queue_name(stage: Stage, incident_id: str, shards: int) -> str:
    """Return the queue of one incident: stage and shard, the same for ever for one count of shards."""
    digest = hashlib.sha256(incident_id.encode("utf-8", "surrogatepass")).digest()
    return shard_queue(stage, int.from_bytes(digest) % shards)


def shard_queue(stage: Stage, shard: int) -> str:
    """Return the name under which the entries of one stage and shard are found."""
    return f"{stage}#{shard}"


def due_at(moment: datetime) -> str:
    """Return a new due for this moment; two calls never return the same, so each mark can be told apart."""
    return f"{utc_text(moment)}#{secrets.token_hex(4)}"


def due_until(moment: datetime) -> str:
    """Return the upper bound that includes every due at or before this moment and none after it."""
    return f"{utc_text(moment)}#~"


def in_stage(record: SyncRecord, stage: Stage) -> bool:
    """Whether the record waits in this stage's queue, whatever its shard."""
    return record.queue.startswith(f"{stage}#")


def outcome_of(save: Save, stored: SyncRecord | None) -> SaveOutcome:
    """Judge a conditional write: a newer publisher owns it, a newer mark stands, or nothing is in its way."""
    if stored is None:
        return SaveOutcome.FENCED if save.read_due else SaveOutcome.SAVED
    if stored.generation > save.record.generation:
        return SaveOutcome.FENCED
    return SaveOutcome.SAVED if stored.due == save.read_due else SaveOutcome.MARKED_MEANWHILE


def with_newer_mark(record: SyncRecord, stored: SyncRecord) -> SyncRecord:
    """Return a record to write where a newer mark stands: what that mark said is kept."""
    return replace(
        record,
        queue=stored.queue,
        due=stored.due,
        pending_since=stored.pending_since,
        deleted=stored.deleted,
        purged_at=stored.purged_at,
    )


def marked(record: SyncRecord | None, mark: Mark, shards: int) -> SyncRecord | None:
    """Return the record as a mark leaves it, due in the publish queue; None where the mark creates nothing.

    State and content stay as they are; where there is doubt, the fingerprint goes. A deletion is noted as
    such, a purge with its moment. A reset gives the attempts back and ends quarantine, also one that still
    waits for its withdrawal.
    """
    if record is None:
        if not mark.create:
            return None
        record = SyncRecord(incident_id=mark.incident_id)
    if mark.doubt:
        record = replace(record, fingerprint="")
    if mark.deleted:
        record = replace(record, deleted=True)
    if mark.purge is not None:
        record = replace(record, purged_at=(record.purged_at or mark.at) if mark.purge else None)
    if mark.reset:
        record = replace(record, attempts=0)
        if record.state is State.QUARANTINED:
            record = record.with_step(Transition(mark.at, "", State.PENDING, "retry requested"))
        elif record.state is State.WITHDRAWING and record.target is State.QUARANTINED:
            record = replace(record, target=State.PENDING)
    return replace(
        record,
        queue=queue_name(Stage.PUBLISH, mark.incident_id, shards),
        due=due_at(mark.at),
        pending_since=record.pending_since or mark.at,
        expires_at=None,
    )
