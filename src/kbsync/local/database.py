"""The one SQLite file of local mode: incidents, ledger and leases share its transactions.

May import apsw, the model, ports and errors. Invariant: what a committed transaction wrote survives a killed
process and a power cut (WAL with synchronous=FULL), and a file of a newer kbsync is left untouched.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kbsync.errors import (
    AccessDeniedError,
    FatalError,
    MissingExtraError,
    SchemaTooNewError,
    UnavailableError,
)
from kbsync.local.os_errors import translated_os_errors
from kbsync.ports import Page

try:
    import apsw
except ImportError as missing:
    raise MissingExtraError("local mode needs apsw", hint="pip install 'kbsync[local]'") from missing

T = TypeVar("T")
Row = tuple[Any, ...]  # the schema below says each column's type; SQLite does not

MIGRATIONS = (
    """
    CREATE TABLE incidents (
        incident_id TEXT PRIMARY KEY,
        status TEXT,  -- NULL where the attribute is not text: such an item is in no status listing
        attributes TEXT NOT NULL
    );
    CREATE INDEX incidents_by_status ON incidents (status, incident_id);
    CREATE TABLE records (
        incident_id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        queue TEXT NOT NULL,
        due TEXT NOT NULL,
        pending_since TEXT,
        incident_exists INTEGER NOT NULL,
        expires_at TEXT,
        generation INTEGER NOT NULL,
        content TEXT NOT NULL
    );
    CREATE INDEX records_by_due ON records (queue, due, incident_id, pending_since) WHERE queue <> '';
    CREATE INDEX records_by_state ON records (state, incident_id, incident_exists);
    CREATE INDEX records_by_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        generation INTEGER NOT NULL,
        expires_at TEXT NOT NULL,
        released INTEGER NOT NULL
    );
    CREATE TABLE named_values (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE runs (run_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, report TEXT NOT NULL);
    CREATE INDEX runs_by_start ON runs (started_at, run_id);
    """,
)
"""The n-th script brings a file from version n - 1 to n; a published script is never edited."""


class LocalDatabase:
    """One connection to the SQLite file, safe to share between threads; each process opens its own.

    Opening creates the file and its folder, or migrates an older file one version at a time.

    Raises:
        SchemaTooNewError (fatal): a newer kbsync wrote the file; it was not changed.
        UnavailableError (retriable): another process held the file longer than the busy timeout.
        AccessDeniedError, FatalError: the file cannot be opened, or is no sound database.
    """

    def __init__(
        self, path: Path, *, migrations: Sequence[str] = MIGRATIONS, busy_timeout_seconds: float = 10.0
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        with translated_os_errors(f"the folder of {path.name}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _translated(path.name):
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(round(busy_timeout_seconds * 1000))
        try:
            self._prepare(migrations)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, migrations: Sequence[str]) -> None:
        newest = len(migrations)
        self._refuse_newer(newest)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF"):
            self.query(f"PRAGMA {pragma}")
        while self._version() < newest:
            with self.transaction():
                version = self._version()  # another process may have migrated while we waited
                if version < newest:
                    self.query(migrations[version])
                    self.query(f"PRAGMA user_version={version + 1}")
        self._refuse_newer(newest)

    def _version(self) -> int:
        return int(self.query("PRAGMA user_version")[0][0])

    def _refuse_newer(self, newest: int) -> None:
        version = self._version()
        if version > newest:
            raise SchemaTooNewError(
                f"{self.path.name} has schema version {version}; this kbsync knows versions up to {newest}",
                hint="install the newer kbsync that wrote this file, or point it at another folder",
            )

    def query(self, sql: str, bindings: Sequence[object] = ()) -> list[Row]:
        """Run one statement, or a script without bindings, and return all rows; joins an open transaction."""
        with self._lock, _translated(self.path.name):
            return list(self._connection.execute(sql, tuple(bindings)))

    def write(self, sql: str, bindings: Sequence[object]) -> int:
        """Run one writing statement and return how many rows it changed; joins an open transaction."""
        with self._lock:
            self.query(sql, bindings)
            return self._connection.changes()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block's writes happen together or not at all; nobody else writes meanwhile.

        An error in the block, or of the commit itself, undoes all of it and is raised on.
        """
        with self._lock:
            self.query("BEGIN IMMEDIATE")
            try:
                yield
                self.query("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.query("ROLLBACK")
                raise

    def integrity_check(self) -> list[str]:
        """Return what SQLite finds wrong with the file; an empty list means that it is sound."""
        return [str(row[0]) for row in self.query("PRAGMA integrity_check") if row[0] != "ok"]

    def compact(self) -> None:
        """Write the file anew, so that what was deleted is in no freed page of it or of its log.

        Raises:
            UnavailableError (retriable): another process has the file open for a read or a write.
        """
        with self._lock:
            self.query("VACUUM")
            busy = self.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
        if busy:
            raise UnavailableError(
                f"{self.path.name} is in use, so its log could not be emptied",
                hint="end other kbsync processes of this home, then repeat it",
            )

    def close(self) -> None:
        """Close the connection; a repeat does nothing."""
        with self._lock:
            self._connection.close()


def cut_page(items: Iterable[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """Return the first `limit` of up to `limit + 1` items; the last one's cursor only where more follow.

    Raises:
        ValueError: a limit below 1 would never get anywhere.
    """
    if limit < 1:
        raise ValueError("a page holds at least one item")
    found = tuple(items)
    kept = found[:limit]
    return Page(kept, cursor_of(kept[-1]) if len(found) > limit else "")


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise UnavailableError(f"{name} is in use by another process", hint="try again") from error
    except (apsw.FullError, apsw.IOError) as error:
        raise UnavailableError(f"{name}: {error}", hint="check the free space of the disk") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise AccessDeniedError(f"{name}: {error}", hint="make the file and its folder writable") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise FatalError(
            f"{name} is not a sound kbsync database: {error}",
            hint="restore a copy, or import again into a new folder",
        ) from error
