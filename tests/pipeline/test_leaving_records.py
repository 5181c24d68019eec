"""When a run leaves its record, what alerts say of it, and that nothing depends on it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import Home, an_incident
from faults import Faults, with_faults
from kbsync.engine import Engine
from kbsync.errors import AccessDeniedError
from kbsync.local.run_records import LocalRunRecords
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.sync import sync_once

OpenHome = Callable[..., Home]
POISON = {"no": "text"}


def recording(home: Home) -> tuple[Engine, Path]:
    folder = home.folder / "runs"
    return replace(home.engine, run_records=LocalRunRecords(folder, "en")), folder


def pages(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.html"))


def test_run_that_did_something_leaves_its_record_and_an_idle_one_none(home: Home) -> None:
    """Hourly and five-minute runs that find nothing would bury those that people look for."""
    engine, folder = recording(home)
    turn_marking_on(engine, table_is_empty=True)
    upsert_incidents(engine, [an_incident()])

    worked, idle = sync_once(engine), sync_once(engine)

    assert pages(folder) == [worked.run_id]
    assert idle.status == "ok"


def test_alert_ends_with_the_address_of_the_record(home: Home) -> None:
    """Whoever is woken up has one place to look at."""
    engine, folder = recording(home)
    upsert_incidents(engine, [an_incident(description=POISON)])

    report = sync_once(engine)

    (alert,) = home.alerts()
    assert str(folder / f"{report.run_id}.html") in alert
    assert pages(folder) == [report.run_id]


def test_alert_of_a_home_without_records_names_none(home: Home) -> None:
    """No address is made up."""
    upsert_incidents(home.engine, [an_incident(description=POISON)])
    sync_once(home.engine)

    assert "record of this run" not in home.alerts()[0]


def test_record_that_cannot_be_left_fails_no_run(home: Home) -> None:
    """The sync has done its work; the report says that its page is missing."""
    blocked = home.folder / "in-the-way"
    blocked.write_text("a file")
    engine = replace(home.engine, run_records=LocalRunRecords(blocked / "runs", "en"))
    upsert_incidents(engine, [an_incident()])

    report = sync_once(engine)

    assert (report.status, report.indexed) == ("ok", 1)
    assert any("record could not be left" in each for each in report.messages)
    assert home.ledger.runs(limit=1)[0].messages == report.messages


def test_run_that_an_error_ended_leaves_its_record_too(home: Home) -> None:
    """What ended it is the first thing that a person wants to read."""
    engine, folder = recording(home)
    upsert_incidents(engine, [an_incident()])
    faults = Faults(at=4, before=lambda: AccessDeniedError("not allowed"))
    with pytest.raises(AccessDeniedError):
        sync_once(with_faults(engine, faults))

    assert len(pages(folder)) == 1
    assert "not allowed" in next(folder.glob("*.html")).read_text(encoding="utf-8")
