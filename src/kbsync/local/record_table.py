"""Sync records as rows: one text holds the whole record, the columns beside it are for its indexes.

May import the database, the model and queueing. Invariant: callers that read before they write hold a
transaction of the same database, so nobody writes in between.
"""

import json
from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter

from kbsync.local.database import LocalDatabase
from kbsync.model import Mark, SyncRecord
from kbsync.queueing import marked, utc_text

_RECORD = TypeAdapter(SyncRecord)
_COLUMNS = "incident_id, state, queue, due, pending_since, incident_exists, expires_at, generation, content"


class RecordTable:
    """The `records` table of the home database."""

    def __init__(self, database: LocalDatabase, shards: int) -> None:
        self._database = database
        self._shards = shards

    def read(self, incident_ids: Iterable[str]) -> dict[str, SyncRecord]:
        """Return the records with these ids; ids without one are left out."""
        rows = self._database.query(
            "SELECT content FROM records WHERE incident_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(incident_ids)),),
        )
        return {record.incident_id: record for record in map(record_of, rows)}

    def write(self, record: SyncRecord) -> None:
        """Store a record in place of the one with its id."""
        row = (
            record.incident_id,
            str(record.state),
            record.queue,
            record.due,
            utc_text(record.pending_since) if record.pending_since else None,
            record.incident_exists,
            utc_text(record.expires_at) if record.expires_at else None,
            record.generation,
            _RECORD.dump_json(record).decode(),
        )
        self._database.query(
            f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - fixed text
            row,
        )

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put each incident into the publish queue; the caller holds a transaction."""
        held = self.read({mark.incident_id for mark in marks})
        for mark in marks:
            record = marked(held.get(mark.incident_id), mark, self._shards)
            if record is not None:
                held[mark.incident_id] = record
                self.write(record)


def record_of(row: Sequence[object]) -> SyncRecord:
    """Return the record that a row's `content`, its only column, holds."""
    return _RECORD.validate_json(str(row[0]))
