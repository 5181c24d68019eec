"""The embedded home: folder, disk, both databases, embedding model, documents, clock, and the ledger's word.

Imports bootstrap's names, the local adapters and findings. Invariant: nothing is created, migrated or
written; a database is opened by our own adapter only after a read-only look found it current.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw

from kbsync.bootstrap import DATABASE, DOCUMENTS, KNOWLEDGE_BASE, LEASES, LOCAL_HINT
from kbsync.doctor.finding import (
    SKEW_WARNING,
    Check,
    Code,
    Finding,
    FindingError,
    clock_finding,
    error,
    warning,
    well,
)
from kbsync.doctor.lease_check import StoredLease, check_lease
from kbsync.doctor.ledger_checks import check_brake, check_pause, check_queue, check_runs
from kbsync.errors import FatalError, MissingExtraError
from kbsync.local.database import MIGRATIONS, LocalDatabase
from kbsync.local.documents_folder import scan_folder
from kbsync.local.embedder import choose_embedder
from kbsync.local.kb_schema import KB_MIGRATIONS, KnowledgeBaseFile
from kbsync.local.ledger import LocalLedger
from kbsync.model import Clock, State
from kbsync.pipeline.lease import PUBLISHER
from kbsync.settings import Settings

LEAST_FREE_BYTES = 100_000_000
"""Below this a sync may fail between two documents."""
LOW_FREE_BYTES = 1_000_000_000

_HAS_DOCUMENT = (State.PUBLISHED, State.INDEXED)
_MAY_HAVE_DOCUMENT = (State.PENDING, State.WITHDRAWING, State.QUARANTINED)
_BEGIN = "begin one with `kbsync init` or `kbsync import FILE`, or name another with --home"
_RESTORE = "restore the folder from a copy, or import the incidents into a new --home"


class HomeChecks:
    """All checks of one home; `now` is this machine's clock."""

    def __init__(self, settings: Settings, now: Clock) -> None:
        self._settings = settings
        self._home = settings.home
        self._now = now

    def checks(self) -> list[tuple[str, Check]]:
        """Return every check with its name, those first that say why later ones fail."""
        return [
            ("home", self.check_home),
            ("disk", self.check_disk),
            ("clock", self.check_clock),
            ("embedding model", self.check_embedder),
            (DATABASE, self.check_database),
            (KNOWLEDGE_BASE, self.check_knowledge_base),
            ("ledger", self.check_ledger),
        ]

    def check_home(self) -> Iterator[Finding]:
        """Look for the folder and whether it can be written to; without it there is nothing to check."""
        if not self._home.is_dir():
            missing = error(Code.HOME_MISSING, "home", f"there is no folder {self._home}", _BEGIN)
            raise FindingError(missing, ends_all=True)
        locked = [path for path in self._written_paths() if not os.access(path, os.W_OK)]
        if locked:
            remedy = f"give this user write access: chown -R or chmod -R u+w {self._home}"
            yield error(Code.HOME_READ_ONLY, "home", f"{locked[0]} cannot be written", remedy)
        else:
            yield well(Code.HOME, "home", f"{self._home} can be written")

    def _written_paths(self) -> list[Path]:
        below = (DATABASE, KNOWLEDGE_BASE, DOCUMENTS, LEASES)
        return [self._home, *(path for path in map(self._home.joinpath, below) if path.exists())]

    def check_disk(self) -> Iterator[Finding]:
        """Judge the free space where the home is."""
        free_bytes = shutil.disk_usage(self._home).free
        seen = f"{free_bytes / 1e9:.1f} GB free"
        remedy = "make room on this disk, or move the folder and name it with --home"
        if free_bytes < LEAST_FREE_BYTES:
            yield error(Code.DISK_FULL, "disk", seen, remedy)
        elif free_bytes < LOW_FREE_BYTES:
            yield warning(Code.DISK_FULL, "disk", seen, remedy)
        else:
            yield well(Code.DISK_SPACE, "disk", seen)

    def check_clock(self) -> Iterator[Finding]:
        """Compare the clock with the home's newest file: nothing can have been written later than now."""
        written = [path.stat().st_mtime for path in self._home.glob("*") if path.is_file()]
        newest = datetime.fromtimestamp(max(written, default=0.0), UTC)
        if newest - self._now() < SKEW_WARNING:
            yield well(Code.CLOCK, "clock", "no file of the home is of a later time")
        else:
            yield clock_finding(self._now() - newest, "the home's newest file")

    def check_embedder(self) -> Iterator[Finding]:
        """Look for the model that the settings ask for, without loading it."""
        name, subject = self._settings.embedder, "embedding model"
        if name == "none":
            yield well(Code.EMBEDDER, subject, "EMBEDDER=none: search goes by words, as was asked for")
            return
        try:
            embedder = choose_embedder(name)
        except MissingExtraError as absent:
            make = warning if name == "auto" else error
            seen = f"{absent}: search goes by words only" if name == "auto" else str(absent)
            yield make(Code.EMBEDDER_MISSING, subject, seen, LOCAL_HINT)
            return
        if name == "hash":
            seen = "EMBEDDER=hash knows spelling and no meaning"
            yield warning(
                Code.EMBEDDER_FOR_TESTS, subject, seen, "take EMBEDDER out of the settings, then sync"
            )
        elif embedder is not None:
            yield well(Code.EMBEDDER, subject, f"{embedder.id}, {embedder.dimension} numbers a vector")

    def check_database(self) -> Iterator[Finding]:
        """Judge the file of incidents and ledger: there, of our version, and sound."""
        path = self._home / DATABASE
        _require_current(path, len(MIGRATIONS), _BEGIN)
        yield _soundness(LocalDatabase(path))

    def check_knowledge_base(self) -> Iterator[Finding]:
        """Judge the search index likewise; it can be built anew from the documents."""
        path = self._home / KNOWLEDGE_BASE
        _require_current(path, len(KB_MIGRATIONS), "`kbsync sync` makes it")
        yield _soundness(KnowledgeBaseFile(path))

    def check_ledger(self) -> Iterator[Finding]:
        """Ask the ledger for runs, queue, pause and lease, and count its documents against the folder.

        A database that is not current or not sound was told before; the ledger is then left alone.
        """
        path = self._home / DATABASE
        if _stored_version(path) != len(MIGRATIONS):
            return
        database = LocalDatabase(path)
        try:
            ledger, now = LocalLedger(database, self._home / LEASES, self._settings.queue_shards), self._now()
            yield from check_runs(ledger, now)
            yield from check_queue(ledger, now)
            yield from check_pause(ledger)
            yield from check_brake(ledger)
            yield from check_lease(_stored_lease(database), now)
            yield _documents_finding(ledger, self._home / DOCUMENTS, self._settings.s3_prefix)
        finally:
            database.close()


def _stored_version(path: Path) -> int | None:
    """Return the schema version of a database file by a read-only look; None where it is not one."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return int(next(iter(connection.execute("PRAGMA user_version")))[0])
        finally:
            connection.close()
    except apsw.Error:
        return None


def _require_current(path: Path, newest: int, absent_remedy: str) -> None:
    """Return where the file is there and of this version.

    Raises:
        FindingError: what it is instead.
    """
    name = path.name
    if not path.is_file():
        raise FindingError(error(Code.DATABASE_MISSING, name, f"there is no {name}", absent_remedy))
    version = _stored_version(path)
    if version is None:
        raise FindingError(error(Code.DATABASE_BROKEN, name, "it cannot be read as a database", _RESTORE))
    seen = f"schema version {version}; this kbsync writes {newest}"
    if version > newest:
        remedy = "install the newer kbsync that wrote it, or name another --home"
        raise FindingError(error(Code.SCHEMA_TOO_NEW, name, seen, remedy))
    if version < newest:
        raise FindingError(warning(Code.SCHEMA_OLD, name, seen, "the next command that opens it migrates it"))


def _soundness(database: LocalDatabase) -> Finding:
    name = database.path.name
    try:
        faults = database.integrity_check()
    except FatalError as broken:
        faults = [str(broken)]
    finally:
        database.close()
    if faults:
        return error(
            Code.DATABASE_BROKEN, name, f"{len(faults)} faults, the first: {faults[0][:200]}", _RESTORE
        )
    return well(Code.DATABASE, name, "sound, and of this version")


def _stored_lease(database: LocalDatabase) -> StoredLease | None:
    rows = database.query("SELECT owner, expires_at, released FROM leases WHERE name = ?", (PUBLISHER,))
    if not rows:
        return None
    owner, expires_at, released = rows[0]
    return StoredLease(str(owner), datetime.fromisoformat(expires_at), bool(released))


def _documents_finding(ledger: LocalLedger, root: Path, prefix: str) -> Finding:
    """Compare how many documents the ledger knows of with how many files there are."""
    states, _ = ledger.count_records()
    least = sum(states.get(state, 0) for state in _HAS_DOCUMENT)
    most = least + sum(states.get(state, 0) for state in _MAY_HAVE_DOCUMENT)
    files = sum(not each.is_sidecar for each in scan_folder(root, prefix))
    seen = f"{files} in the folder, {least} published in the ledger"
    if files < least:
        remedy = "put the missing files back from a copy; or `kbsync export`, then import into a new --home"
        return error(Code.DOCUMENTS_MISSING, "documents", seen, remedy)
    if files > most:
        remedy = f"move what kbsync did not write out of {root / prefix}; it is searched like the rest"
        return warning(Code.DOCUMENTS_FOREIGN, "documents", seen, remedy)
    return well(Code.DOCUMENTS, "documents", seen)
