"""Plan: decide what one incident needs, from what it says and what we did. Pure; `plan_once` only reads.

Batch, stream event, reopen, delete, template change, retry and repair all come through `decide`.
Invariant: "unchanged" means this key holds this fingerprint, never "this content exists somewhere".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from kbsync.engine import Engine
from kbsync.errors import IncidentRejectedError, MissingExtraError, RedactionFailedError
from kbsync.model import (
    SYNC_STATUS,
    Desired,
    Document,
    NoDocument,
    Stage,
    State,
    StoredIncident,
    SyncRecord,
    WithdrawReason,
)
from kbsync.pipeline.run import reason_of
from kbsync.queueing import due_until, shard_queue
from kbsync.shards import covered_shards
from kbsync.withdrawal import in_force


class Action(StrEnum):
    """What the publisher does for one incident."""

    PUBLISH = "publish"
    PUBLISH_SIDECAR = "publish_sidecar"
    UNCHANGED = "unchanged"
    RECONFIRM = "reconfirm"
    WITHDRAW = "withdraw"
    LOOK = "look"
    """Wants no document and none is known: look whether a killed run left one behind."""
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One decision, with everything that carrying it out needs."""

    incident_id: str
    action: Action
    reason: str
    document_key: str
    record: SyncRecord
    stored: StoredIncident | None = None
    document: Document | None = None
    source_version: str = ""
    target: State = State.WITHDRAWN
    unasked: bool = False
    """A withdrawal that nobody asked for: the deletion brake decides on it (brake.py)."""


UNTIL_RELEASED = NoDocument(WithdrawReason.PURGED, "until `kbsync purge --release`")


def desired_of(
    engine: Engine, record: SyncRecord | None, stored: StoredIncident | None
) -> Desired | IncidentRejectedError:
    """Return what an incident wants, or why that cannot be told; a missing or purged one wants nothing.

    Raises:
        MissingExtraError (fatal): it may want a document, and redaction cannot run at all.
    """
    if record is not None and record.purged_at:
        return UNTIL_RELEASED
    if stored is None:
        return NoDocument(WithdrawReason.DELETED, "the incident is no longer in the table")
    try:
        return engine.transform.desired(stored)
    except IncidentRejectedError as error:
        return error
    except MissingExtraError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this incident's
        # A hole in the transform is one incident's trouble, never the run's: name the class, not the text.
        rejection = IncidentRejectedError(f"the incident could not be rendered ({type(error).__name__})")
        rejection.__cause__ = error
        return rejection


def holds_document(record: SyncRecord) -> bool:
    """Whether the document store holds, or may still hold, something that we know of."""
    return bool(record.body_etag or record.sidecar_etag or record.json_etag)


def says_synced(stored: StoredIncident | None) -> bool:
    """Whether the incident's own map claims `synced: true`: a real boolean, nothing else (CASES O-14)."""
    status = stored.attributes.get(SYNC_STATUS) if stored is not None else None
    return isinstance(status, dict) and status.get("synced") is True


def decide(
    record: SyncRecord,
    stored: StoredIncident | None,
    wanted: Desired | IncidentRejectedError,
    *,
    source_version: str,
    rendered_by: str,
) -> PlannedChange:
    """Return the one change that brings this incident closer to what it wants."""
    base = _unchanged(record, stored, source_version)
    same_source = (record.source_version, record.rendered_by) == (source_version, rendered_by)
    if isinstance(wanted, NoDocument):
        return _decide_nothing(base, wanted, rendered_by)
    if same_source and record.state is State.WITHDRAWING and record.target is State.QUARANTINED:
        return replace(base, action=Action.WITHDRAW, target=State.QUARANTINED)
    if isinstance(wanted, Document):
        return _decide_document(base, wanted)
    if isinstance(wanted, RedactionFailedError) and holds_document(record):
        return replace(base, action=Action.WITHDRAW, reason=reason_of(wanted), target=State.QUARANTINED)
    if record.state is State.WITHDRAWING:
        return replace(base, action=Action.WITHDRAW, reason=reason_of(wanted), target=State.PENDING)
    return replace(base, action=Action.REJECT, reason=reason_of(wanted))


def _decide_nothing(base: PlannedChange, wanted: NoDocument, rendered_by: str) -> PlannedChange:
    """Withdraw what is there; where nothing is known to be there, look."""
    known = holds_document(base.record) or base.record.state is State.WITHDRAWING
    return replace(
        base,
        action=Action.WITHDRAW if known else Action.LOOK,
        reason=f"{wanted.reason}: {wanted.detail}" if wanted.detail else str(wanted.reason),
        target=State.EXCLUDED if wanted.reason.is_rule else State.WITHDRAWN,
        unasked=known and _is_unasked(base, wanted.reason, rendered_by),
    )


def _is_unasked(base: PlannedChange, reason: WithdrawReason, rendered_by: str) -> bool:
    """Whether an absence or a changed setting, and nobody's act on this incident, takes its document away.

    Never what is confidential, what a person ordered, and never a withdrawal that has begun.
    """
    record = base.record
    asked_for = (WithdrawReason.CONFIDENTIAL, WithdrawReason.WITHDRAWN_ALL, WithdrawReason.PURGED)
    if reason in asked_for or record.state is State.WITHDRAWING:
        return False
    if reason is WithdrawReason.DELETED:
        return not record.deleted
    other_rules = record.rendered_by != rendered_by
    if reason is WithdrawReason.NOT_CLOSED:  # reopened, unless it is what it was and the settings are not
        return other_rules and record.source_version == base.source_version
    return other_rules


def _decide_document(base: PlannedChange, document: Document) -> PlannedChange:
    """Publish, unless this very key is known to hold this very fingerprint."""
    record = base.record
    base = replace(base, document=document, document_key=document.key, reason="")
    if holds_document(record) and record.document_key != document.key:
        return replace(
            base,
            action=Action.WITHDRAW,
            document_key=record.document_key,
            reason="its document key has changed",
            target=State.PENDING,
        )
    if record.fingerprint and record.fingerprint == document.fingerprint:
        return replace(base, action=Action.UNCHANGED if record.state is State.INDEXED else Action.RECONFIRM)
    # A dropped fingerprint means that a killed run may have put something else: then both are put again.
    if record.fingerprint and record.body_hash == document.body_hash:
        return replace(base, action=Action.PUBLISH_SIDECAR)
    return replace(base, action=Action.PUBLISH)


def plan_page(engine: Engine, records: Sequence[SyncRecord]) -> list[PlannedChange]:
    """Read the incidents of a page of records, consistently, and decide each; writes nothing.

    Where redaction cannot run, only those that want no document are decided on; the others are left out.
    """
    incidents = engine.incidents.read([record.incident_id for record in records])
    planned = []
    for record in records:
        stored = incidents.get(record.incident_id)
        version = engine.transform.source_version(stored.attributes) if stored is not None else ""
        if stored is not None and is_set_aside(engine, record, version):
            planned.append(_unchanged(record, stored, version))
            continue
        try:
            wanted = desired_of(engine, record, stored)
        except MissingExtraError:
            continue
        planned.append(
            decide(record, stored, wanted, source_version=version, rendered_by=engine.transform.rendered_by)
        )
    return planned


def is_set_aside(engine: Engine, record: SyncRecord | None, source_version: str) -> bool:
    """Whether this very content is in quarantine under these rules: rendering it may kill us again."""
    return (
        record is not None
        and record.state is State.QUARANTINED
        and not record.purged_at
        and (record.source_version, record.rendered_by) == (source_version, engine.transform.rendered_by)
    )


def _unchanged(record: SyncRecord, stored: StoredIncident | None, source_version: str) -> PlannedChange:
    change = PlannedChange(
        record.incident_id, Action.UNCHANGED, record.reason, record.document_key, record, stored
    )
    return replace(change, source_version=source_version)


def plan_once(engine: Engine) -> Iterator[PlannedChange]:
    """Yield what the next run would do for every due entry; reads only, so it may run beside a run.

    What discovery would find (a changed rule, an index that nobody marks from) is not in the list.
    """
    engine, until = in_force(engine), due_until(engine.now())
    for shard in range(covered_shards(engine)):
        queue = shard_queue(Stage.PUBLISH, shard)
        after = ""
        while entries := engine.ledger.due(queue, until=until, after=after, limit=engine.policy.page_size):
            after = entries[-1].due
            records = engine.ledger.records([entry.incident_id for entry in entries])
            yield from plan_page(engine, list(records.values()))
