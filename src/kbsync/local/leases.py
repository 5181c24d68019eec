"""The publisher lease of local mode: a row that expires, and a lock of the system that dies with its holder.

May import the database, filelock, the model and ports. Invariant: rows and lock files change together inside
one transaction, so no two processes ever test or take a lease at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from kbsync.errors import BusyError, LeaseLostError
from kbsync.local.database import LocalDatabase
from kbsync.local.os_errors import translated_os_errors
from kbsync.model import Lease
from kbsync.queueing import utc_text


class LocalLeases:
    """Leases of any number of processes on one machine; see ports.Ledger for what each call promises."""

    def __init__(self, database: LocalDatabase, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._held: dict[tuple[str, int], FileLock] = {}

    def acquire(self, name: str, owner: str, *, now: datetime, seconds: float, grace_seconds: float) -> Lease:
        """Take a lease that is free, left by a dead process, or long expired; else raise BusyError."""
        with self._changing():
            rows = self._database.query(
                "SELECT owner, generation, expires_at, released FROM leases WHERE name = ?", (name,)
            )
            holder, generation, expires_at, released = rows[0] if rows else ("", 0, "", True)
            overdue = utc_text(now - timedelta(seconds=grace_seconds)) >= expires_at
            free = bool(released) or self._is_dead(name, generation)
            if not (free or overdue):
                raise BusyError(
                    f"another run is active ({holder}); its lease ends at {expires_at}",
                    hint="wait for it; `kbsync runs` shows it",
                )
            lease = Lease(name, owner, generation + 1, now + timedelta(seconds=seconds), forced=not free)
            self._lock(lease)
            self._database.query(
                "INSERT OR REPLACE INTO leases (name, owner, generation, expires_at, released)"
                " VALUES (?, ?, ?, ?, 0)",
                (name, owner, lease.generation, utc_text(lease.expires_at)),
            )
        return lease

    def renew(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
        """Extend a lease that is still ours; raise LeaseLostError where another holder has it."""
        expires_at = now + timedelta(seconds=seconds)
        renewed = self._database.write(
            "UPDATE leases SET expires_at = ?"
            " WHERE name = ? AND owner = ? AND generation = ? AND released = 0",
            (utc_text(expires_at), lease.name, lease.owner, lease.generation),
        )
        if not renewed:
            raise LeaseLostError(
                "another run took the publisher lease over", hint="nothing to do: the other run goes on"
            )
        return replace(lease, expires_at=expires_at)

    def release(self, lease: Lease) -> None:
        """Free the lease if it is still ours; its lock ends in any case."""
        with self._changing():
            self._database.query(
                "UPDATE leases SET released = 1 WHERE name = ? AND owner = ? AND generation = ?",
                (lease.name, lease.owner, lease.generation),
            )
            self._unlock(lease.name, lease.generation)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with translated_os_errors("the folder of leases"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._database.transaction():
                yield

    def _path(self, name: str, generation: int) -> Path:
        return self._folder / f"{name}-{generation}.lock"

    def _lock(self, lease: Lease) -> None:
        lock = FileLock(self._path(lease.name, lease.generation), thread_local=False)
        lock.acquire(timeout=0)
        self._held[lease.name, lease.generation] = lock

    def _unlock(self, name: str, generation: int) -> None:
        lock = self._held.pop((name, generation), None)
        if lock is not None:
            lock.release()
        self._path(name, generation).unlink(missing_ok=True)

    def _is_dead(self, name: str, generation: int) -> bool:
        """Whether the holder's lock has lost its process; a missing lock file proves nothing."""
        path = self._path(name, generation)
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        lock.release()
        path.unlink(missing_ok=True)
        return True
