"""Homes with a long history: closed incidents that are searchable and say so, written as rows."""

from datetime import UTC, datetime

from pydantic import TypeAdapter

from builders import an_incident
from kbsync.local.attributes_codec import encode_attributes
from kbsync.local.database import LocalDatabase
from kbsync.model import State, SyncRecord, SyncStatus

_ID = "OLD-0000000"
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_INCIDENTS = """
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT ?1),
    ids(id) AS (SELECT printf('OLD-%07d', i) FROM n)
INSERT INTO incidents (incident_id, status, attributes) SELECT id, 'CLOSED', replace(?2, ?3, id) FROM ids
"""
_RECORDS = """
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT ?1),
    ids(id) AS (SELECT printf('OLD-%07d', i) FROM n)
INSERT INTO records (incident_id, state, queue, due, incident_exists, generation, content)
SELECT id, 'indexed', '', '', 1, 0, replace(?2, ?3, id) FROM ids
"""


def settle(database: LocalDatabase, count: int, rendered_by: str) -> None:
    """Write so many incidents to which nothing is owed, each with its record."""
    status = SyncStatus(synced=True, synced_at=_AT, last_sync_attempt=_AT).as_map()
    attributes = encode_attributes(an_incident(incident_id=_ID, kb_sync_status=status))
    record = SyncRecord(
        incident_id=_ID,
        state=State.INDEXED,
        source_version="a" * 64,
        fingerprint="b" * 64,
        document_key=f"incidents/{_ID}.md",
        rendered_by=rendered_by,
        published_at=_AT,
        indexed_at=_AT,
    )
    content = TypeAdapter(SyncRecord).dump_json(record).decode()
    with database.transaction():
        database.query(_INCIDENTS, (count, attributes, _ID))
        database.query(_RECORDS, (count, content, _ID))
