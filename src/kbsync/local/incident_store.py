"""IncidentStore of local mode: the incidents table as rows of the home database.

May import the database, the codec, the model and ports. Invariant: an incident of ours and its ledger mark
are written in one transaction, so there is never one without the other.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from kbsync.local.attributes_codec import decode_attributes, encode_attributes
from kbsync.local.database import LocalDatabase, Row, cut_page
from kbsync.local.record_table import RecordTable
from kbsync.model import SYNC_STATUS, Attributes, StoredIncident, SyncStatus
from kbsync.ports import IncidentChange, Noted, Page


class LocalIncidentStore:
    """Implements ports.IncidentStore; the token of an item is the SHA-256 of its encoded attributes."""

    def __init__(self, database: LocalDatabase, shards: int) -> None:
        self._database = database
        self._records = RecordTable(database, shards)

    def read(self, incident_ids: Sequence[str]) -> dict[str, StoredIncident]:
        """Return the items with these ids; ids without an item are left out."""
        rows = self._database.query(
            "SELECT incident_id, attributes FROM incidents"
            " WHERE incident_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(incident_ids)),),
        )
        return {str(row[0]): _stored(row) for row in rows}

    def list_by_status(self, status: str, *, cursor: str, limit: int) -> Page[StoredIncident]:
        """Return one page of the items with this status, by id."""
        rows = self._database.query(
            "SELECT incident_id, attributes FROM incidents WHERE status = ? AND incident_id > ?"
            " ORDER BY incident_id LIMIT ?",
            (status, cursor, limit + 1),
        )
        return _page(rows, limit)

    def scan(self, *, cursor: str, limit: int, part: int = 0, parts: int = 1) -> Page[StoredIncident]:
        """Return one page of all items, or of those whose id's last character is of this part, by id."""
        rows = self._database.query(
            "SELECT incident_id, attributes FROM incidents WHERE incident_id > ?"
            " AND (? = 1 OR unicode(substr(incident_id, -1)) % ? = ?) ORDER BY incident_id LIMIT ?",
            (cursor, parts, parts, part, limit + 1),
        )
        return _page(rows, limit)

    def count_by_status(self) -> dict[str, int]:
        """Return how many items there are by status; those without one in text are under an empty one."""
        rows = self._database.query("SELECT status, count(*) FROM incidents GROUP BY status")
        counts: Counter[str] = Counter()
        for status, count in rows:
            counts[status or ""] += count
        return dict(counts)

    def write_sync_statuses(self, writes: Sequence[tuple[StoredIncident, SyncStatus]]) -> list[Noted]:
        """Replace the map of items that still are what was read, all of them in one transaction."""
        with self._database.transaction():
            return [self._write_sync_status(read, status) for read, status in writes]

    def change(self, changes: Sequence[IncidentChange]) -> list[bool]:
        """Write incidents and their marks; False where a token no longer holds: nothing was written of it."""
        with self._database.transaction():
            return [self._change(change) for change in changes]

    def put_as_other_writer(self, attributes: Attributes) -> None:
        """Write an item without a mark, as a program that knows nothing of kbsync does."""
        self._write(str(attributes["incident_id"]), attributes)

    def delete_as_other_writer(self, incident_id: str) -> None:
        """Delete an item without a mark, as a program that knows nothing of kbsync does."""
        self._database.query("DELETE FROM incidents WHERE incident_id = ?", (incident_id,))

    def _write_sync_status(self, read: StoredIncident, status: SyncStatus) -> Noted:
        if self._token(read.incident_id) != read.token:
            return Noted.CHANGED
        self._write(read.incident_id, {**read.attributes, SYNC_STATUS: status.as_map()})
        return Noted.WRITTEN

    def _change(self, change: IncidentChange) -> bool:
        if self._token(change.incident_id) != change.token:
            return False
        if change.attributes is None:
            self.delete_as_other_writer(change.incident_id)
        else:
            self._write(change.incident_id, change.attributes)
        self._records.mark([change.mark])
        return True

    def _token(self, incident_id: str) -> str:
        rows = self._database.query("SELECT attributes FROM incidents WHERE incident_id = ?", (incident_id,))
        return _token_of(str(rows[0][0])) if rows else ""

    def _write(self, incident_id: str, attributes: Attributes) -> None:
        status = attributes.get("status")
        self._database.query(
            "INSERT OR REPLACE INTO incidents (incident_id, status, attributes) VALUES (?, ?, ?)",
            (incident_id, status if isinstance(status, str) else None, encode_attributes(attributes)),
        )


def _page(rows: Sequence[Row], limit: int) -> Page[StoredIncident]:
    return cut_page(map(_stored, rows), limit, lambda stored: stored.incident_id)


def _stored(row: Row) -> StoredIncident:
    text = str(row[1])
    return StoredIncident(str(row[0]), decode_attributes(text), _token_of(text))


def _token_of(encoded: str) -> str:
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()
