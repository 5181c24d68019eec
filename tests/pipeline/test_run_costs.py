"""What a run asks of others: as little as can be where nothing is to be done."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from builders import Home, an_incident
from kbsync.engine import Policy
from kbsync.local.faults import LocalFaults
from kbsync.pipeline.changes import delete_incident, update_incident, upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.sync import sync_once

OpenHome = Callable[..., Home]


class Counted:
    """A port whose calls are counted by name."""

    def __init__(self, port: object) -> None:
        self._port, self.calls = port, Counter[str]()

    def __getattr__(self, name: str) -> object:
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def counted(*arguments: object, **named: object) -> object:
            self.calls[name] += 1
            return value(*arguments, **named)

        return counted


def counting(home: Home, port: str) -> tuple[Home, Counter[str]]:
    counted = Counted(getattr(home.engine, port))
    return replace(home, engine=replace(home.engine, **{port: counted})), counted.calls


def published(home: Home, count: int = 3) -> None:
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(count)])
    sync_once(home.engine)


def test_idle_run_asks_the_knowledge_base_for_nothing(home: Home) -> None:
    """P4: where nothing is due and nothing owed, the knowledge base hears of no run."""
    published(home)
    watched, calls = counting(home, "knowledge_base")

    assert sync_once(watched.engine).status == "ok"
    assert calls == {}


def test_idle_run_reads_a_handful_of_the_ledger(home: Home) -> None:
    """P4: one query per queue stage, and the few values that say that nothing else is going on."""
    published(home)
    watched, calls = counting(home, "ledger")

    sync_once(watched.engine)

    assert (calls["due"], calls["records"], calls["list_records"], calls["count_records"]) == (2, 0, 0, 0)
    assert calls["read_value"] <= 11


def test_run_that_publishes_and_withdraws_lists_jobs_once(open_home: OpenHome) -> None:
    """Whatever the pages and looks, jobs are listed once where none but our own runs."""
    home = open_home(policy=Policy(page_size=2), faults=LocalFaults(delay_polls=2))
    published(home, 7)
    update_incident(home.engine, "INC-0", {"description": "edited"})
    delete_incident(home.engine, "INC-1")
    watched, calls = counting(home, "knowledge_base")

    report = sync_once(watched.engine)

    assert (report.indexed, report.withdrawn, report.pending) == (1, 1, 0)
    assert (calls["jobs"], calls["start_job"]) == (1, 1)


def test_first_run_of_all_lists_jobs_once(home: Home) -> None:
    """An empty list is an answer too."""
    upsert_incidents(home.engine, [an_incident()])
    watched, calls = counting(home, "knowledge_base")

    assert sync_once(watched.engine).indexed == 1
    assert calls["jobs"] == 1


def test_unproven_pages_do_not_list_jobs_again(open_home: OpenHome) -> None:
    """Confirmations that no job covers yet are put off, page by page, on one list."""
    home = open_home(policy=Policy(page_size=1))
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(4)])
    sync_once(home.engine, wait=False)
    watched, calls = counting(home, "knowledge_base")

    sync_once(watched.engine, wait=False)

    assert calls["jobs"] <= 1
