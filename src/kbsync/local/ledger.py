"""Ledger of local mode: sync records, queue, leases, values and runs in the home database.

May import the database, queueing, the model and ports. Invariant: every conditional write reads and writes
inside one transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from kbsync.local.database import LocalDatabase, cut_page
from kbsync.local.leases import LocalLeases
from kbsync.local.record_table import RecordTable, record_of
from kbsync.model import Lease, Mark, QueueEntry, Save, SaveOutcome, State, SyncRecord
from kbsync.ports import Page
from kbsync.queueing import outcome_of, utc_text, with_newer_mark
from kbsync.run_report import RunReport
from kbsync.traces import Traces

RUNS_KEPT = 1000
_REPORT = TypeAdapter(RunReport)


class LocalLedger:
    """Implements ports.Ledger over the SQLite file that the incidents share."""

    def __init__(self, database: LocalDatabase, lease_folder: Path, shards: int) -> None:
        self._database = database
        self._records = RecordTable(database, shards)
        self._leases = LocalLeases(database, lease_folder)

    def acquire_lease(
        self, name: str, owner: str, *, now: datetime, seconds: float, grace_seconds: float
    ) -> Lease:
        """Take a lease that is free, left by a dead process, or long expired; else raise BusyError."""
        return self._leases.acquire(name, owner, now=now, seconds=seconds, grace_seconds=grace_seconds)

    def renew_lease(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
        """Extend a lease that is still ours; raise LeaseLostError where another holder has it."""
        return self._leases.renew(lease, now=now, seconds=seconds)

    def release_lease(self, lease: Lease) -> None:
        """Free the lease if it is still ours; otherwise nothing happens."""
        self._leases.release(lease)

    def records(self, incident_ids: Sequence[str]) -> dict[str, SyncRecord]:
        """Return the records with these ids; ids without one are left out."""
        return self._records.read(incident_ids)

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put each incident into the publish queue with a due of its own."""
        with self._database.transaction():
            self._records.mark(marks)

    def save(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Write records, each on its own condition; all of them in one transaction."""
        with self._database.transaction():
            return [self._save(save) for save in saves]

    def _save(self, save: Save) -> SaveOutcome:
        record = save.record
        stored = self._records.read([record.incident_id]).get(record.incident_id)
        outcome = outcome_of(save, stored)
        if outcome is SaveOutcome.SAVED:
            self._records.write(record)
        elif outcome is SaveOutcome.MARKED_MEANWHILE and stored is not None:
            self._records.write(with_newer_mark(record, stored))
        return outcome

    def drop(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Forget the records whose due is still the one read."""
        with self._database.transaction():
            return [self._drop(save) for save in saves]

    def _drop(self, save: Save) -> SaveOutcome:
        stored = self._records.read([save.record.incident_id]).get(save.record.incident_id)
        outcome = outcome_of(save, stored) if stored is not None else SaveOutcome.SAVED
        if outcome is SaveOutcome.SAVED:
            self._database.query("DELETE FROM records WHERE incident_id = ?", (save.record.incident_id,))
        return outcome

    def due(self, queue: str, *, until: str, after: str, limit: int) -> list[QueueEntry]:
        """Return the oldest entries with `after < due <= until`, by due."""
        rows = self._database.query(
            "SELECT incident_id, queue, due FROM records"
            " WHERE queue = ? AND queue <> '' AND due > ? AND due <= ? ORDER BY due LIMIT ?",
            (queue, after, until, limit),
        )
        return [QueueEntry(*row) for row in rows]

    def list_records(self, *, state: State | None, cursor: str, limit: int) -> Page[SyncRecord]:
        """Return one page of all records, or of those in one state, by incident id."""
        select, order = "SELECT content FROM records", "ORDER BY incident_id LIMIT ?"
        if state is None:
            rows = self._database.query(f"{select} WHERE incident_id > ? {order}", (cursor, limit + 1))
        else:
            rows = self._database.query(
                f"{select} WHERE state = ? AND incident_id > ? {order}", (state, cursor, limit + 1)
            )
        return cut_page(map(record_of, rows), limit, lambda record: record.incident_id)

    def count_records(self) -> tuple[dict[State, int], int]:
        """Return the number of records of incidents that exist, by state, and the number of tombstones."""
        rows = self._database.query(
            "SELECT state, sum(incident_exists), count(*) FROM records GROUP BY state"
        )
        states = {State(state): int(existing) for state, existing, _ in rows if existing}
        return states, sum(int(count) - int(existing) for _, existing, count in rows)

    def oldest_pending(self) -> datetime | None:
        """Return the earliest `pending_since` of all queued entries."""
        rows = self._database.query("SELECT min(pending_since) FROM records WHERE queue <> ''")
        return datetime.fromisoformat(rows[0][0]) if rows[0][0] else None

    def read_value(self, name: str) -> str:
        """Return a small named value, or an empty string where there is none."""
        rows = self._database.query("SELECT value FROM named_values WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def write_value(self, name: str, value: str, *, expected: str | None = None) -> bool:
        """Store a small named value; False where a given `expected` does not stand."""
        with self._database.transaction():
            if expected is not None and self.read_value(name) != expected:
                return False
            if value:
                self._database.query(
                    "INSERT OR REPLACE INTO named_values (name, value) VALUES (?, ?)", (name, value)
                )
            else:
                self._database.query("DELETE FROM named_values WHERE name = ?", (name,))
            return True

    def save_run(self, run: RunReport) -> None:
        """Store a run record; the newest thousand stay, and tombstones whose time has come go."""
        started_at = utc_text(run.started_at)
        with self._database.transaction():
            self._database.query(
                "INSERT OR REPLACE INTO runs (run_id, started_at, report) VALUES (?, ?, ?)",
                (run.run_id, started_at, _REPORT.dump_json(run).decode()),
            )
            self._database.query(
                "DELETE FROM runs WHERE run_id IN"
                " (SELECT run_id FROM runs ORDER BY started_at DESC, run_id DESC LIMIT -1 OFFSET ?)",
                (RUNS_KEPT,),
            )
            self._database.query("DELETE FROM records WHERE expires_at <= ?", (started_at,))

    def forget(self, traces: Traces) -> None:
        """Empty the freed pages and the log of the file, which the incidents share; rows stay as they are."""
        del traces  # the pipeline has rewritten the rows
        self._database.compact()

    def runs(self, *, limit: int) -> list[RunReport]:
        """Return the newest run records, newest first."""
        rows = self._database.query(
            "SELECT report FROM runs ORDER BY started_at DESC, run_id DESC LIMIT ?", (limit,)
        )
        return [_REPORT.validate_json(str(row[0])) for row in rows]
