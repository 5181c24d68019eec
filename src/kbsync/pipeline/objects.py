"""The single effects of publishing: one object put or deleted, one `synced: true` unsaid.

Knows the ports; called by publish.py under the lease. Invariant: each effect is conditional on something
that was known before the incident was read, so a stalled publisher cannot overwrite or remove what a newer
one put; where equal bytes or an absence make it hold all the same, the newer one is told to look again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from kbsync.errors import LeaseLostError, WriteConflictError
from kbsync.model import Document, Mark, PutReply, StoredIncident, SyncRecord, SyncStatus
from kbsync.pipeline.hand import Hand
from kbsync.pipeline.plan import says_synced
from kbsync.pipeline.run import Run
from kbsync.ports import Noted

NO_ROOM = "the incident's item has no room for kb_sync_status: DynamoDB takes 400 KB, make it smaller"


def unsay_synced(run: Run, incidents: Iterable[StoredIncident]) -> dict[str, Noted]:
    """Make incidents that say `synced: true` say false before their documents change.

    Returns what became of each; one that is no longer what was read must be read again first.
    """
    return say(run, [stored for stored in incidents if says_synced(stored)], SyncStatus(synced=False))


def say(run: Run, incidents: Sequence[StoredIncident], status: SyncStatus) -> dict[str, Noted]:
    """Write one `kb_sync_status` on incidents as they were read; returns what became of each."""
    if not incidents:
        return {}
    run.lease.ensure()
    outcomes = run.engine.incidents.write_sync_statuses([(stored, status) for stored in incidents])
    return {stored.incident_id: said for stored, said in zip(incidents, outcomes, strict=True)}


def etag_of(hand: Hand, key: str) -> str:
    """Return the ETag that stands under a key, or an empty text where nothing does."""
    head = hand.engine.documents.head(key)
    return head.etag if head else ""


@contextmanager
def _held(hand: Hand, incident_id: str) -> Iterator[None]:
    """Hold the lease around one put or delete; where that outlasted it, have the new publisher look again.

    The object itself is left to that publisher: it may have adopted, as its own, what came too late.
    """
    hand.lease.ensure()
    try:
        yield
    finally:
        try:
            hand.lease.ensure_outlived()
        except LeaseLostError:
            hand.engine.ledger.mark([Mark(incident_id, hand.engine.now(), doubt=True)])
            raise


def put_object(
    hand: Hand, document: Document, key: str, content: bytes, etag: str, incident_id: str
) -> PutReply:
    """Put one object on a known ETag; our own fingerprint under the key counts as our put."""
    documents = hand.engine.documents
    try:
        with _held(hand, incident_id):
            reply = documents.put(
                key, content, fingerprint=document.fingerprint, incident_id=incident_id, if_etag=etag
            )
    except WriteConflictError:
        head = documents.head(key)
        if head is None or head.fingerprint != document.fingerprint:
            raise
        return PutReply(head.etag, head.modified_at)
    hand.count(objects_written=1)
    return reply


def put_document(hand: Hand, document: Document, record: SyncRecord, *, whole: bool) -> dict[str, Any]:
    """Put sidecar, then document, then JSON record, each only where it differs or nothing is known of it.

    Returns what the record is to say of it: the ETags, and the time of the last put that the knowledge base
    will see.
    """
    incident_id = record.incident_id
    said: dict[str, Any] = {}
    if whole or record.sidecar_hash != document.sidecar_hash:
        known = record.sidecar_etag
        reply = put_object(hand, document, document.sidecar_key, document.sidecar, known, incident_id)
        said.update(sidecar_etag=reply.etag, published_at=reply.published_at)
    if whole:
        reply = put_object(hand, document, document.key, document.body, record.body_etag, incident_id)
        said.update(body_etag=reply.etag, published_at=reply.published_at)
    return said | _put_json_record(hand, document, record, whole=whole)


def _put_json_record(hand: Hand, document: Document, record: SyncRecord, *, whole: bool) -> dict[str, Any]:
    said: dict[str, Any] = {}
    known, stands = record.json_etag, record.json_hash
    if record.json_key and record.json_key != document.json_key:
        delete_json_record(hand, record)
        known = stands = ""
        said.update(json_key="", json_hash="", json_etag="")
    if not document.json_key or (stands == document.json_hash and not whole):
        return said
    key = document.json_key
    reply = put_object(hand, document, key, document.json_record, known, record.incident_id)
    return {"json_key": key, "json_hash": document.json_hash, "json_etag": reply.etag}


def delete_json_record(hand: Hand, record: SyncRecord) -> SyncRecord:
    """Delete the JSON record, or what a killed run left under its key; returns the record without it."""
    key = record.json_key or hand.engine.transform.json_key(record.incident_id)
    if key:
        delete_object(hand, record.incident_id, key, record.json_etag)
    return replace(record, json_key="", json_hash="", json_etag="")


def delete_object(hand: Hand, incident_id: str, key: str, etag: str) -> datetime | None:
    """Delete one object that holds what we know it holds; an absent one is what we want."""
    if not etag:
        if hand.engine.documents.head(key) is not None:
            raise WriteConflictError("an object stands where none was known")
        return None
    with _held(hand, incident_id):
        at = hand.engine.documents.delete(key, if_etag=etag)
    if at is not None:
        hand.count(objects_deleted=1)
    return at
