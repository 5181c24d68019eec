"""The home database: schema versions, durability settings, transactions, and what SQLite's errors mean."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from kbsync.errors import AccessDeniedError, FatalError, SchemaTooNewError, UnavailableError
from kbsync.local.database import MIGRATIONS, LocalDatabase, cut_page


@pytest.fixture
def database(tmp_path: Path) -> LocalDatabase:
    return LocalDatabase(tmp_path / "home" / "kbsync.db")


def test_new_file_is_durable_and_sound(database: LocalDatabase) -> None:
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]
    assert database.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert database.integrity_check() == []


def test_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kbsync.db"
    LocalDatabase(path, migrations=(*MIGRATIONS, "CREATE TABLE future (x)")).close()

    with pytest.raises(SchemaTooNewError, match="version 2; this kbsync knows versions up to 1"):
        LocalDatabase(path)

    assert LocalDatabase(path, migrations=(*MIGRATIONS, "-")).query("SELECT count(*) FROM future") == [(0,)]


def test_older_schema_is_migrated_one_version_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "kbsync.db"
    LocalDatabase(path, migrations=("CREATE TABLE a (x)",)).close()

    steps = ("CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y", "UPDATE a SET y = 1")
    database = LocalDatabase(path, migrations=steps)

    assert database.query("PRAGMA user_version") == [(3,)]
    assert database.query("SELECT x, y FROM a") == []


def test_migration_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "kbsync.db"
    LocalDatabase(path, migrations=("CREATE TABLE a (x)",)).close()

    with pytest.raises(apsw.SQLError):
        LocalDatabase(path, migrations=("CREATE TABLE a (x)", "CREATE TABLE b (x); broken"))

    database = LocalDatabase(path, migrations=("CREATE TABLE a (x)",))
    assert database.query("SELECT name FROM sqlite_schema") == [("a",)]


def test_transaction_undoes_everything_after_an_error(database: LocalDatabase) -> None:
    def fail() -> None:
        with database.transaction():
            database.write("INSERT INTO named_values VALUES (?, ?)", ("a", "1"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert database.query("SELECT * FROM named_values") == []
    assert database.write("INSERT INTO named_values VALUES (?, ?)", ("a", "1")) == 1


def test_file_held_by_another_process_is_an_outage_not_a_loss(tmp_path: Path) -> None:
    first = LocalDatabase(tmp_path / "kbsync.db")
    second = LocalDatabase(tmp_path / "kbsync.db", busy_timeout_seconds=0.01)

    with first.transaction(), pytest.raises(UnavailableError, match="in use by another process"):
        second.query("BEGIN IMMEDIATE")


def test_compact_file_holds_nothing_that_was_deleted(database: LocalDatabase) -> None:
    folder = database.path.parent
    database.write("INSERT INTO named_values VALUES ('a', ?)", ("quillfeather" * 1000,))
    database.write("DELETE FROM named_values", ())
    assert any(b"quillfeather" in path.read_bytes() for path in folder.iterdir())

    database.compact()

    assert not any(b"quillfeather" in path.read_bytes() for path in folder.iterdir())


def test_log_that_somebody_still_reads_is_not_called_empty(tmp_path: Path) -> None:
    reader = LocalDatabase(tmp_path / "kbsync.db")
    database = LocalDatabase(tmp_path / "kbsync.db", busy_timeout_seconds=0.01)
    reader.query("BEGIN")
    reader.query("SELECT count(*) FROM named_values")

    with pytest.raises(UnavailableError, match="in use"):
        database.compact()


def test_text_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "kbsync.db"
    path.write_text("not a database at all, but long enough to be read as one " * 20, encoding="utf-8")

    with pytest.raises(FatalError, match="not a sound kbsync database"):
        LocalDatabase(path)


def test_folder_in_the_files_place_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "kbsync.db").mkdir()

    with pytest.raises(AccessDeniedError, match=r"kbsync\.db"):
        LocalDatabase(tmp_path / "kbsync.db")


def test_full_disk_is_an_outage(database: LocalDatabase) -> None:
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(UnavailableError, match="full"):
        database.query("INSERT INTO named_values VALUES ('a', ?)", ("x" * 100_000,))


def test_closed_database_can_be_closed_again(database: LocalDatabase) -> None:
    database.close()
    database.close()


def test_committed_writes_survive_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from kbsync.local.database import LocalDatabase\n"
        "database = LocalDatabase(Path(sys.argv[1]))\n"
        "database.write('INSERT INTO named_values VALUES (?, ?)', ('kept', '1'))\n"
        "database.query('BEGIN IMMEDIATE')\n"
        "database.write('INSERT INTO named_values VALUES (?, ?)', ('lost', '1'))\n"
        "os.kill(os.getpid(), 9)"
    )

    subprocess.run([sys.executable, "-c", script, str(tmp_path / "kbsync.db")], check=False)

    database = LocalDatabase(tmp_path / "kbsync.db")
    assert database.query("SELECT name FROM named_values") == [("kept",)]
    assert database.integrity_check() == []


def test_page_of_exactly_the_limit_is_the_last_one() -> None:
    assert cut_page([1, 2], 2, str).cursor == ""
    assert cut_page([1, 2, 3], 2, str).cursor == "2"
    with pytest.raises(ValueError, match="at least one"):
        cut_page([], 0, str)
