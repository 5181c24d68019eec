"""The single effects of publishing: one object put or deleted, one `synced: true` unsaid.

Knows the ports; called by publish.py under the lease. Invariant: each effect is conditional on something
that was known before the incident was read, so a stalled publisher cannot overwrite or remove what a newer
one put.
"""

from collections.abc import Iterable
from datetime import datetime

from kbsync.errors import WriteConflictError
from kbsync.model import Document, PutReply, StoredIncident, SyncStatus
from kbsync.pipeline.plan import says_synced
from kbsync.pipeline.run import Run


def unsay_synced(run: Run, incidents: Iterable[StoredIncident]) -> set[str]:
    """Make incidents that say `synced: true` say false before their documents change.

    Returns the ids of those that are no longer what was read: they must be read again first.
    """
    saying = [stored for stored in incidents if says_synced(stored)]
    if not saying:
        return set()
    run.lease.ensure()
    outcomes = run.engine.incidents.write_sync_statuses(
        [(stored, SyncStatus(synced=False)) for stored in saying]
    )
    return {stored.incident_id for stored, said in zip(saying, outcomes, strict=True) if not said}


def put_object(
    run: Run, document: Document, key: str, content: bytes, etag: str, incident_id: str
) -> PutReply:
    """Put one object on a known ETag; our own fingerprint under the key counts as our put."""
    run.lease.ensure()
    documents = run.engine.documents
    try:
        reply = documents.put(
            key, content, fingerprint=document.fingerprint, incident_id=incident_id, if_etag=etag
        )
    except WriteConflictError:
        head = documents.head(key)
        if head is None or head.fingerprint != document.fingerprint:
            raise
        return PutReply(head.etag, head.modified_at)
    run.count(objects_written=1)
    return reply


def delete_object(run: Run, key: str, etag: str) -> datetime | None:
    """Delete one object that holds what we know it holds; an absent one is what we want."""
    if not etag:
        if run.engine.documents.head(key) is not None:
            raise WriteConflictError("an object stands where none was known")
        return None
    run.lease.ensure()
    at = run.engine.documents.delete(key, if_etag=etag)
    if at is not None:
        run.count(objects_deleted=1)
    return at
