"""What doctor finds in an embedded home: one thing broken at a time, named with its remedy."""

import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from doctor.naming import Expected, assert_named, cases
from kbsync.doctor import home_checks
from kbsync.doctor.composing import examine_backend
from kbsync.doctor.finding import Code, Finding, Severity
from kbsync.errors import MissingExtraError
from kbsync.model import Mark
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.pause import pause
from kbsync.pipeline.sync import sync_once
from kbsync.run_report import RunReport
from kbsync.settings import Settings

Space = namedtuple("Space", "total used free")  # noqa: PYI024 - what shutil answers, by its three names


@dataclass
class Patient:
    """A home with one searchable and one open incident, and the settings that name it."""

    home: Home
    settings: Settings
    monkeypatch: pytest.MonkeyPatch

    @property
    def folder(self) -> Path:
        return self.home.folder

    def change(self, **settings: object) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def findings(self) -> dict[Code, Finding]:
        return {each.code: each for each in examine_backend(self.settings, lambda: datetime.now(UTC))}

    def wrong(self) -> dict[str, Finding]:
        return {str(code): each for code, each in self.findings().items() if each.severity is not Severity.OK}

    def set_version(self, name: str, version: int) -> None:
        connection = sqlite3.connect(self.folder / name)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    home = a_home(tmp_path / "home", clock=TickingClock(at=datetime.now(UTC)))
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2", status="OPEN")])
    assert sync_once(home.engine).indexed == 1
    return Patient(home, Settings(home=home.folder, embedder="none"), monkeypatch)


def no_home(patient: Patient) -> None:
    patient.change(home=patient.folder / "elsewhere")


def file_in_place_of_home(patient: Patient) -> None:
    patient.change(home=patient.folder / "kbsync.db")


def read_only_home(patient: Patient) -> None:
    patient.monkeypatch.setattr(os, "access", lambda path, _: path.name != "documents")


def nearly_full_disk(patient: Patient) -> None:
    patient.monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(10**12, 10**12, 5 * 10**8))


def full_disk(patient: Patient) -> None:
    patient.monkeypatch.setattr(shutil, "disk_usage", lambda _: Space(10**12, 10**12, 10**6))


def _written_in(patient: Patient, ahead: timedelta) -> None:
    at = (datetime.now(UTC) + ahead).timestamp()
    os.utime(patient.folder / "alerts.jsonl", (at, at))


def clock_ten_minutes_behind(patient: Patient) -> None:
    (patient.folder / "alerts.jsonl").touch()
    _written_in(patient, timedelta(minutes=10))


def clock_a_minute_behind(patient: Patient) -> None:
    (patient.folder / "alerts.jsonl").touch()
    _written_in(patient, timedelta(minutes=1))


def embedder_for_tests(patient: Patient) -> None:
    patient.change(embedder="hash")


def embedder_that_is_not_installed(patient: Patient) -> None:
    patient.monkeypatch.setattr("kbsync.local.embedder.find_model_file", lambda: None)
    patient.change(embedder="e5")


def no_embedder_at_all(patient: Patient) -> None:
    patient.monkeypatch.setattr("kbsync.local.embedder.find_model_file", lambda: None)
    patient.monkeypatch.setattr("kbsync.local.embedder.find_spec", lambda _: None)
    patient.change(embedder="auto")


def search_index_lost(patient: Patient) -> None:
    for path in patient.folder.glob("knowledge_base.db*"):
        path.unlink()


def search_index_overwritten(patient: Patient) -> None:
    search_index_lost(patient)
    (patient.folder / "knowledge_base.db").write_bytes(b"no database at all " * 100)


def search_index_of_a_newer_version(patient: Patient) -> None:
    patient.set_version("knowledge_base.db", 99)


def search_index_of_an_older_version(patient: Patient) -> None:
    patient.set_version("knowledge_base.db", 0)


def database_lost(patient: Patient) -> None:
    for path in patient.folder.glob("kbsync.db*"):
        path.unlink()


def document_lost(patient: Patient) -> None:
    (patient.folder / "documents/incidents/INC-1001.md").unlink()


def foreign_documents(patient: Patient) -> None:
    (patient.folder / "documents/incidents/notes.md").write_text("# Notes\n", encoding="utf-8")


def run_that_failed(patient: Patient) -> None:
    at = datetime.now(UTC) + timedelta(minutes=1)
    patient.home.ledger.save_run(RunReport(run_id="run-x", status="failed", started_at=at, ended_at=at))


def runs_paused(patient: Patient) -> None:
    pause(patient.home.engine, reason="moving")


def withdrawals_that_wait(patient: Patient) -> None:
    patient.home.ledger.write_value("brake", '{"waiting": 30, "causes": {"excluded": 30}}')


def old_entry(patient: Patient) -> None:
    patient.home.ledger.mark([Mark("INC-1001", datetime.now(UTC) - timedelta(hours=3))])


def only_a_run_long_ago(patient: Patient) -> None:
    for run in patient.home.ledger.runs(limit=10):
        long_ago = run.started_at - timedelta(days=2)
        patient.home.ledger.save_run(replace(run, started_at=long_ago, ended_at=long_ago))


def lease_of_a_dead_run(patient: Patient) -> None:
    patient.home.ledger.acquire_lease(
        "publisher", "run-x", now=datetime.now(UTC) - timedelta(hours=1), seconds=60, grace_seconds=60
    )


BROKEN = {
    no_home: ("home-missing", "error", "kbsync init"),
    file_in_place_of_home: ("home-missing", "error", "kbsync init"),
    read_only_home: ("home-read-only", "error", "chmod -R u+w"),
    nearly_full_disk: ("disk-full", "warning", "make room"),
    full_disk: ("disk-full", "error", "make room"),
    clock_ten_minutes_behind: ("clock-skew", "error", "NTP"),
    clock_a_minute_behind: ("clock-skew", "warning", "NTP"),
    embedder_for_tests: ("embedder-for-tests", "warning", "take EMBEDDER out"),
    embedder_that_is_not_installed: ("embedder-missing", "error", "kbsync[local]"),
    no_embedder_at_all: ("embedder-missing", "warning", "kbsync[local]"),
    search_index_lost: ("database-missing", "error", "`kbsync sync` makes it"),
    search_index_overwritten: ("database-broken", "error", "restore the folder"),
    search_index_of_a_newer_version: ("schema-too-new", "error", "newer kbsync"),
    search_index_of_an_older_version: ("schema-old", "warning", "migrates"),
    database_lost: ("database-missing", "error", "kbsync import FILE"),
    document_lost: ("documents-missing", "error", "back from a copy"),
    foreign_documents: ("documents-foreign", "warning", "move what kbsync did not write"),
    run_that_failed: ("run-failed", "warning", "`kbsync runs`"),
    only_a_run_long_ago: ("run-old", "warning", "kbsync watch --every 1h"),
    runs_paused: ("paused", "warning", "`kbsync resume`"),
    withdrawals_that_wait: ("withdrawals-held", "warning", "`kbsync approve`"),
    old_entry: ("queue-old", "warning", "`kbsync sync`"),
    lease_of_a_dead_run: ("lease-stale", "warning", "nothing to do"),
}


@cases(BROKEN)
def test_broken_home_is_named_with_its_remedy(
    patient: Patient, spoil: Callable[[Patient], None], expected: Expected
) -> None:
    spoil(patient)

    assert_named(patient.wrong(), expected)


def test_sound_home_has_nothing_wrong_and_counts_its_documents(patient: Patient) -> None:
    found = patient.findings()

    assert {each.severity for each in found.values()} == {Severity.OK}
    assert found[Code.DOCUMENTS].seen == "1 in the folder, 1 published in the ledger"


def test_home_without_a_run_is_told_to_run(tmp_path: Path) -> None:
    a_home(tmp_path)

    found = examine_backend(Settings(home=tmp_path, embedder="none"), lambda: datetime.now(UTC))

    wrong = [each for each in found if each.severity is not Severity.OK]
    assert [(each.code, each.seen) for each in wrong] == [(Code.RUN_OLD, "no run has worked yet")]


def test_damaged_pages_of_the_database_are_an_error(patient: Patient) -> None:
    copy = patient.folder.parent / "copy"
    copy.mkdir()
    source = sqlite3.connect(patient.folder / "kbsync.db")
    source.execute("VACUUM INTO ?", (str(copy / "kbsync.db"),))
    source.close()
    content = bytearray((copy / "kbsync.db").read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    (copy / "kbsync.db").write_bytes(content)
    patient.change(home=copy)

    wrong = patient.wrong()

    assert wrong["database-broken"].subject == "kbsync.db"
    assert "restore" in wrong["database-broken"].remedy


def test_installed_model_is_named_without_being_loaded(patient: Patient) -> None:
    patient.change(embedder="e5")

    found = patient.findings()

    assert found[Code.EMBEDDER].seen == "multilingual-e5-small-q4, 384 numbers a vector"


def test_entry_of_the_queue_that_just_came_is_well(patient: Patient) -> None:
    patient.home.ledger.mark([Mark("INC-1001", datetime.now(UTC) - timedelta(minutes=5))])

    found = patient.findings()

    assert (found[Code.QUEUE].severity, found[Code.QUEUE].seen) == (
        Severity.OK,
        "the oldest entry waits for 5 min",
    )


def test_look_changes_no_file_and_no_row(patient: Patient) -> None:
    def state() -> tuple[set[Path], list[str]]:
        connection = sqlite3.connect(patient.folder / "kbsync.db")
        rows = list(connection.iterdump())
        connection.close()
        return set(patient.folder.rglob("*")), rows

    before = state()
    patient.findings()

    assert state() == before


def test_absent_home_is_not_made(patient: Patient) -> None:
    no_home(patient)

    patient.findings()

    assert not patient.settings.home.exists()


@pytest.mark.parametrize(
    "raised",
    [
        pytest.param(ImportError("No module named 'apsw'", name="apsw"), id="package"),
        pytest.param(
            MissingExtraError("local mode needs apsw", hint="pip install 'kbsync[local]'"), id="adapter"
        ),
    ],
)
def test_missing_package_is_a_finding_with_its_extra(patient: Patient, raised: Exception) -> None:
    _refuse_home(patient, raised)

    wrong = patient.wrong()

    assert wrong["extra-missing"].remedy == "pip install 'kbsync[local]'"
    assert "apsw" in wrong["extra-missing"].seen


def test_fault_of_our_own_modules_is_no_missing_package(patient: Patient) -> None:
    _refuse_home(patient, ImportError("cannot import name", name="kbsync.local.ledger"))

    with pytest.raises(ImportError, match="cannot import name"):
        patient.findings()


def _refuse_home(patient: Patient, raised: Exception) -> None:
    def refuse(*_: object) -> None:
        raise raised

    patient.monkeypatch.setattr(home_checks, "HomeChecks", refuse)
