"""Reconcile, the decision: what differs about one incident, and what mends it. Pure.

Four are compared: the incident, our record, the objects in the document store, the knowledge base's word.
Imports the model, queueing and plan.py. Invariant: an incident with an entry in a queue is in work and not
judged, unless the deletion brake holds it and it is wanted again; a stranger's object has no remedy.
"""

from dataclasses import dataclass
from enum import StrEnum

from kbsync.knowledge import DocumentStatus
from kbsync.model import ObjectHead, Stage, State, SyncRecord
from kbsync.pipeline.plan import holds_document
from kbsync.queueing import in_stage


class Drift(StrEnum):
    """One kind of difference between what should be and what is."""

    MISSING = "missing"
    """Closed and eligible, and the store has no document of it."""
    STALE = "stale"
    """Published from another content, or the store holds other bytes than the ledger says."""
    ORPHAN = "orphan"
    """A document of ours that no incident wants."""
    GHOST = "ghost"
    """The knowledge base lists a document that neither the store has nor an incident wants."""
    SIDECAR_LOST = "sidecar_lost"
    """The document stands, and its metadata file is gone."""
    FAILED = "failed"
    """The knowledge base failed on, or ignored, a document that the ledger calls indexed."""
    PARTIALLY_INDEXED = "partially_indexed"
    """The knowledge base took in a part of a document that the ledger calls indexed."""
    UNLISTED = "unlisted"
    """The ledger calls it indexed, the knowledge base does not know it."""
    STATUS_LIE = "status_lie"
    """`kb_sync_status.synced` says something else than the ledger."""
    UNSETTLED = "unsettled"
    """No document is wrong, but the ledger's state is out of date and nothing is queued to renew it."""
    FOREIGN = "foreign"
    """An object under our prefix that we did not put, or that no incident can be named for."""


class Remedy(StrEnum):
    """What a repair does; the publisher then reads everything again and decides."""

    LOOK = "look"
    """Mark it: the publisher sees the difference by itself."""
    PUT_AGAIN = "put_again"
    """Mark it and forget the fingerprint: by the ledger alone the publisher would call it unchanged."""
    WITHDRAW = "withdraw"
    """Quarantined, and yet something of ours stands in the store: it goes, the quarantine stays."""
    UNSAY = "unsay"
    """Make the incident say `synced: false`."""
    JOB = "job"
    """Owe an ingestion job: it drops what the store no longer has."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an incident wants, in few bytes: the state where it should rest, and of what content."""

    incident_id: str
    rest: State
    """INDEXED, WITHDRAWN or EXCLUDED; QUARANTINED where it cannot be read or rendered."""
    exists: bool
    fingerprint: str = ""
    source_version: str = ""
    rendered_by: str = ""
    says_synced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All that is known of one incident at one moment; objects and listing only where they were asked for."""

    wish: Wish
    record: SyncRecord | None
    document_key: str
    objects_seen: bool = False
    body: ObjectHead | None = None
    sidecar: ObjectHead | None = None
    json_record: ObjectHead | None = None
    listed: DocumentStatus | None = None

    @property
    def objects(self) -> tuple[ObjectHead, ...]:
        """What stands in the store under this incident's keys."""
        return tuple(head for head in (self.body, self.sidecar, self.json_record) if head is not None)

    @property
    def has_ours(self) -> bool:
        """Whether one of the objects carries a fingerprint of ours."""
        return any(head.fingerprint for head in self.objects)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; `subject` is what a person is shown: the incident's id, or a key where none is."""

    subject: str
    drift: Drift
    remedy: Remedy
    look: Look | None = None


def claims_document(record: SyncRecord | None) -> bool:
    """Whether the record says that the store holds something, so that the store must be asked."""
    return record is not None and (record.state is State.INDEXED or holds_document(record))


def judge(look: Look) -> Difference | None:
    """Return the first difference of one incident, the one whose remedy mends the others too, or None."""
    if look.record is not None and look.record.queue:
        return _judge_in_work(look, look.record)
    wanted = look.wish.rest in (State.INDEXED, State.QUARANTINED)
    found = _judge_wanted(look) if wanted else _judge_unwanted(look)
    found = found or _judge_status(look)
    if found is None:
        return None
    drift, remedy = found
    subject = look.document_key if drift is Drift.FOREIGN else look.wish.incident_id
    return Difference(subject, drift, remedy, look)


def _judge_in_work(look: Look, record: SyncRecord) -> Difference | None:
    """Nobody looks at what the deletion brake holds, so an incident that is back would wait for a person."""
    if in_stage(record, Stage.HELD) and look.wish.rest is State.INDEXED:
        return Difference(look.wish.incident_id, Drift.UNSETTLED, Remedy.LOOK, look)
    return None


_Finding = tuple[Drift, Remedy] | None


def _judge_unwanted(look: Look) -> _Finding:
    """The publisher withdraws or forgets by itself whatever an unwanted incident has left."""
    record = look.record
    if look.has_ours or (record is not None and holds_document(record)):
        return Drift.ORPHAN, Remedy.LOOK
    if look.objects:
        return Drift.FOREIGN, Remedy.NONE
    rests = record.state if record is not None else State.WITHDRAWN
    lasting = record is not None and rests is State.WITHDRAWN and record.expires_at is None
    if rests is not look.wish.rest or (lasting and not look.wish.exists):
        return Drift.UNSETTLED, Remedy.LOOK
    return None


def _judge_wanted(look: Look) -> _Finding:
    record, wish = look.record, look.wish
    if record is None or record.state in (State.WITHDRAWN, State.EXCLUDED):
        return Drift.MISSING, Remedy.LOOK
    if record.state is State.QUARANTINED:
        return _judge_quarantined(look, record)
    if record.state is not State.INDEXED:
        return Drift.UNSETTLED, Remedy.LOOK
    if wish.rest is State.INDEXED and wish.fingerprint != record.fingerprint:
        return Drift.STALE, Remedy.LOOK
    if wish.rest is State.QUARANTINED and wish.source_version != record.source_version:
        return Drift.STALE, Remedy.LOOK
    return _judge_objects(look, record) or _judge_listing(look)


def _judge_quarantined(look: Look, record: SyncRecord) -> _Finding:
    """A quarantine holds for one content and one set of rules; what it has withdrawn must stay gone."""
    known = (record.source_version, record.rendered_by)
    if known != (look.wish.source_version, look.wish.rendered_by):
        return (Drift.STALE if holds_document(record) else Drift.MISSING), Remedy.LOOK
    if look.has_ours and not holds_document(record):
        return Drift.ORPHAN, Remedy.WITHDRAW
    return None


def _judge_objects(look: Look, record: SyncRecord) -> _Finding:
    if not look.objects_seen:
        return None
    if look.body is None:
        return Drift.MISSING, Remedy.PUT_AGAIN
    if look.sidecar is None:
        return Drift.SIDECAR_LOST, Remedy.PUT_AGAIN
    json_etag = look.json_record.etag if look.json_record is not None else ""
    stored = (look.body.etag, look.sidecar.etag, json_etag)
    if stored != (record.body_etag, record.sidecar_etag, record.json_etag):
        return Drift.STALE, Remedy.PUT_AGAIN
    return None


def _judge_listing(look: Look) -> _Finding:
    """What the knowledge base has not said, or has in work, is no difference."""
    if look.listed is None:
        return None
    if look.listed is DocumentStatus.NOT_FOUND:
        return Drift.UNLISTED, Remedy.PUT_AGAIN
    if look.listed in (DocumentStatus.PARTIALLY_INDEXED, DocumentStatus.METADATA_PARTIALLY_INDEXED):
        return Drift.PARTIALLY_INDEXED, Remedy.PUT_AGAIN
    return (Drift.FAILED, Remedy.PUT_AGAIN) if look.listed.is_refusal else None


def _judge_status(look: Look) -> _Finding:
    """Whether the incident's own map and the ledger say the same, nothing else being wrong."""
    indexed = look.record is not None and look.record.state is State.INDEXED
    if look.wish.says_synced and not indexed:
        return Drift.STATUS_LIE, Remedy.UNSAY
    if indexed and look.wish.rest is State.INDEXED and not look.wish.says_synced:
        return Drift.STATUS_LIE, Remedy.LOOK
    return None
