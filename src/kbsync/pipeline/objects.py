"""The single effects of publishing: one object put or deleted, one `synced: true` unsaid.

Knows the ports; called by publish.py under the lease. Invariant: each effect is conditional on something
that was known before the incident was read, so a stalled publisher cannot overwrite or remove what a newer
one put.
"""

from datetime import datetime

from kbsync.errors import WriteConflictError
from kbsync.model import Document, PutReply, StoredIncident, SyncStatus
from kbsync.pipeline.plan import says_synced
from kbsync.pipeline.run import Run


def unsay_synced(run: Run, stored: StoredIncident | None) -> None:
    """Make an incident that says `synced: true` say false before its document changes.

    Raises:
        WriteConflictError: the incident is no longer what was read; read it again first.
    """
    if stored is None or not says_synced(stored):
        return
    run.lease.ensure()
    if not run.engine.incidents.write_sync_status(stored, SyncStatus(synced=False)):
        raise WriteConflictError("the incident changed while it was worked on")


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
