"""The next page is looked at while this one is put: sooner, and never on what this page has changed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import Home, a_home, an_incident
from faults import KilledError
from kbsync.engine import Engine, Policy
from kbsync.errors import ThrottledError
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.queueing import utc_text

PATIENCE_SECONDS = 5
PAGE = 4
MANY = [f"INC-{number:02}" for number in range(2 * PAGE)]


class Around:
    """A port whose methods tell what goes on, before and after the real ones."""

    def __init__(
        self,
        port: Any,
        before: Callable[[str, tuple[Any, ...], dict[str, Any]], None] = lambda *_: None,
        after: Callable[[str, tuple[Any, ...], dict[str, Any]], None] = lambda *_: None,
    ) -> None:
        self._port, self._before, self._after = port, before, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)

        def told(*arguments: Any, **named: Any) -> Any:
            self._before(name, arguments, named)
            answer = real(*arguments, **named)
            self._after(name, arguments, named)
            return answer

        return told if callable(real) else real


def a_wide_home(folder: Path, *, at_once: int = 8) -> Home:
    return a_home(folder, policy=Policy(publish_at_once=at_once, page_size=PAGE))


def many(home: Home) -> None:
    upsert_incidents(home.engine, [an_incident(incident_id=each, title=f"Case {each}") for each in MANY])


def with_ports(home: Home, **ports: Any) -> Engine:
    return replace(home.engine, **ports)


def starts_no_job(name: str, *_: Any) -> None:
    if name == "start_job":
        raise ThrottledError("not now")


def reads_next_page(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    return name == "due" and arguments[0].startswith("publish") and bool(named["after"])


def test_next_page_is_read_while_this_one_is_put(tmp_path: Path) -> None:
    """No put of the first page ends before the second page was asked for."""
    home = a_wide_home(tmp_path)
    many(home)
    asked, waited = threading.Event(), []

    def ledger(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if reads_next_page(name, arguments, named):
            asked.set()

    def documents(name: str, *_: Any) -> None:
        if name == "put":
            waited.append(asked.wait(PATIENCE_SECONDS))

    ports = {"ledger": Around(home.ledger, ledger), "documents": Around(home.documents, documents)}
    report = sync_once(with_ports(home, **ports))

    assert all(waited)
    assert (report.published, report.indexed, report.found) == (len(MANY), len(MANY), len(MANY))


def test_one_at_a_time_reads_a_page_when_the_one_before_is_saved(tmp_path: Path) -> None:
    """Every effect keeps its place where nothing is side by side."""
    home = a_wide_home(tmp_path, at_once=1)
    many(home)
    order: list[str] = []

    def ledger(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if reads_next_page(name, arguments, named):
            order.append("next page")

    def documents(name: str, *_: Any) -> None:
        if name == "put" and order[-1:] != ["puts"]:
            order.append("puts")

    ports = {"ledger": Around(home.ledger, ledger), "documents": Around(home.documents, documents)}
    sync_once(with_ports(home, **ports))

    assert order == ["puts", "next page", "puts", "next page"]


def test_incident_marked_again_within_its_page_is_not_decided_on_its_old_record(tmp_path: Path) -> None:
    """Edited to B, and back to A before B is put: the old record says that A is stored, and B is."""
    home = a_wide_home(tmp_path)
    home.clock.tick = timedelta()  # what is marked within this run is due within it
    [x] = MANY[:1]
    upsert_incidents(home.engine, [an_incident(incident_id=x, description="as it was, A")])
    home.clock.forward(minutes=1)
    sync_once(with_ports(home, knowledge_base=Around(home.knowledge_base, starts_no_job)))
    assert home.state(x) == "published"  # and says nothing on its incident that must be unsaid first
    home.clock.forward(minutes=1)
    body = home.documents.get(f"incidents/{x}.md")
    update_incident(home.engine, x, {"description": "edited, B"})
    home.clock.forward(minutes=1)
    marked_again, read_again = threading.Event(), threading.Event()

    def before(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if reads_next_page(name, arguments, named):
            assert marked_again.wait(PATIENCE_SECONDS)
        if name == "save" and not marked_again.is_set():  # B is about to be put: its write-ahead
            update_incident(home.engine, x, {"description": "as it was, A"})
            marked_again.set()
            assert read_again.wait(PATIENCE_SECONDS)

    def after(name: str, *_: Any) -> None:
        if name == "records" and marked_again.is_set():
            read_again.set()

    sync_once(with_ports(home, ledger=Around(home.ledger, before, after)))

    assert home.documents.get(f"incidents/{x}.md") == body
    assert home.state(x) == "indexed"
    assert home.map_of(x)["synced"] is True


def test_both_pages_stand_in_the_record_of_a_run_that_dies(tmp_path: Path) -> None:
    """Whichever of them killed it, the next run takes them one by one."""
    home = a_wide_home(tmp_path)
    many(home)
    noted = threading.Event()

    def ledger(name: str, arguments: tuple[Any, ...], _named: dict[str, Any]) -> None:
        if name == "save_run" and len(arguments[0].page) > PAGE:
            noted.set()

    def documents(name: str, *_: Any) -> None:
        if name == "put":
            assert noted.wait(PATIENCE_SECONDS)
            raise KilledError

    ports = {
        "ledger": Around(home.ledger, after=ledger),
        "documents": Around(home.documents, documents),
    }
    with pytest.raises(KilledError):
        sync_once(with_ports(home, **ports))

    assert noted.is_set()
    home.clock.forward(minutes=10)
    sync_once(home.engine)
    assert {home.state(each) for each in MANY} == {"indexed"}


def test_page_that_cannot_be_read_leaves_the_one_before_it_done(tmp_path: Path) -> None:
    """A throttle of the reads ends the drain after what was in hand, with nobody blamed."""
    home = a_wide_home(tmp_path)
    many(home)

    def ledger(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if reads_next_page(name, arguments, named):
            raise ThrottledError("slow down")

    report = sync_once(with_ports(home, ledger=Around(home.ledger, ledger)))

    assert (report.published, report.indexed, report.failed) == (PAGE, PAGE, 0)
    assert report.status == "degraded"
    sync_once(home.engine)
    assert {home.state(each) for each in MANY} == {"indexed"}


@pytest.mark.parametrize("seconds", [-60, 60], ids=["an earlier one", "a later one"])
def test_job_that_another_owes_meanwhile_is_replaced_by_a_later_note_only(
    tmp_path: Path, seconds: float
) -> None:
    """A stalled publisher's note is not overwritten unseen: the write holds only on what was read."""
    home = a_wide_home(tmp_path)
    many(home)
    theirs = utc_text(home.clock.at + timedelta(seconds=seconds))
    owed: list[str] = []

    def ledger(name: str, arguments: tuple[Any, ...], _named: dict[str, Any]) -> None:
        if name == "write_value" and arguments[0] == "job_owed" and not owed:
            owed.append(theirs)
            home.ledger.write_value("job_owed", theirs)

    def knowledge_base(name: str, *_: Any) -> None:
        if name == "start_job":
            owed.append(home.ledger.read_value("job_owed"))

    ports = {
        "ledger": Around(home.ledger, ledger),
        "knowledge_base": Around(home.knowledge_base, knowledge_base),
    }
    report = sync_once(with_ports(home, **ports))

    assert (owed[1] == theirs) is (seconds > 0)
    assert owed[1] > theirs or seconds > 0
    assert report.indexed == len(MANY)


def test_job_is_owed_with_one_read_and_one_write_a_page(tmp_path: Path) -> None:
    """What this run has noted itself it need not read again."""
    home = a_wide_home(tmp_path)
    many(home)
    calls: list[str] = []

    def ledger(name: str, arguments: tuple[Any, ...], _named: dict[str, Any]) -> None:
        if name in ("read_value", "write_value") and arguments[:1] == ("job_owed",):
            calls.append(name)
        if name == "acquire_lease":
            calls.clear()

    def knowledge_base(name: str, *_: Any) -> None:
        if name == "start_job":
            calls.append(name)

    ports = {
        "ledger": Around(home.ledger, ledger),
        "knowledge_base": Around(home.knowledge_base, knowledge_base),
    }
    sync_once(with_ports(home, **ports))

    drain = calls[: calls.index("start_job")]
    assert drain.count("write_value") == len(MANY) // PAGE
    assert home.ledger.read_value("job_owed") == ""
