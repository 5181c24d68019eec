"""Crash everywhere: whatever effect a kill or a lost reply hits, the next run ends where it would have."""

import contextlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.errors import BusyError, UnavailableError
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once

IDS = ("INC-1", "INC-2", "INC-3")


def published(home: Home) -> None:
    """Three closed incidents, searchable."""
    upsert_incidents(home.engine, [an_incident(incident_id=each, title=f"Case {each}") for each in IDS])
    sync_once(home.engine)


def publish(home: Home) -> None:
    upsert_incidents(home.engine, [an_incident(incident_id=each, title=f"Case {each}") for each in IDS])


def edit(home: Home) -> None:
    published(home)
    update_incident(home.engine, "INC-1", {"description": "an edited text"})
    update_incident(home.engine, "INC-2", {"severity": "low"})


def withdraw(home: Home) -> None:
    published(home)
    reopen_incident(home.engine, "INC-1")
    delete_incident(home.engine, "INC-2")


SCENARIOS: dict[str, Callable[[Home], None]] = {"publish": publish, "edit": edit, "withdraw": withdraw}


def end_state(home: Home) -> dict[str, object]:
    """What must be equal after any history: states, objects, what is searchable, what incidents say."""
    records = home.ledger.records(IDS)
    objects = {head.key: head.etag for head in home.documents.list(begins="", cursor="", limit=100).items}
    maps = {
        each: stored.attributes.get("kb_sync_status", {}).get("synced")  # type: ignore[attr-defined]
        for each, stored in home.incidents.read(IDS).items()
    }
    return {
        "states": {each: str(record.state) for each, record in records.items()},
        "fingerprints": {each: record.fingerprint for each, record in records.items()},
        "queues": {record.queue for record in records.values()},
        "attempts": {record.attempts for record in records.values()},
        "objects": objects,
        "listed": home.listed(),
        "synced": maps,
        "owed": home.ledger.read_value("job_owed"),
    }


def quiet(home: Home) -> None:
    """Run until nothing is left to do, as the schedule would."""
    for _ in range(6):
        home.clock.forward(minutes=10)
        if sync_once(home.engine).pending == 0:
            return


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, object], list[str]]]:
    """The end state and the effects of each scenario's unbroken run."""
    known = {}
    for name, scenario in SCENARIOS.items():
        home = a_home(tmp_path_factory.mktemp(name))
        scenario(home)
        faults = Faults()
        sync_once(with_faults(home.engine, faults))
        known[name] = (end_state(home), faults.log)
    return known


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", ["killed_before", "killed_after", "reply_lost"])
def test_fault_at_any_effect_then_a_run_ends_in_the_unbroken_state(
    scenario: str,
    kind: str,
    unbroken: dict[str, tuple[dict[str, object], list[str]]],
    tmp_path: Path,
) -> None:
    """P7: every effect of every scenario is hit once by every kind of fault.

    Slow: some twenty-five homes are built, broken and repaired in each.
    """
    expected, log = unbroken[scenario]
    for n in range(1, len(log) + 1):
        home = a_home(tmp_path / f"{n}")
        SCENARIOS[scenario](home)
        faults = {
            "killed_before": Faults(at=n, before=KilledError),
            "killed_after": Faults(at=n, after=KilledError),
            "reply_lost": Faults(at=n, after=lambda: UnavailableError("reply lost")),
        }[kind]
        with contextlib.suppress(KilledError, UnavailableError):
            sync_once(with_faults(home.engine, faults))

        quiet(home)

        assert end_state(home) == expected, f"{kind} at effect {n}: {log[n - 1]}"


@pytest.mark.slow
def test_kill_at_any_effect_embeds_no_fingerprint_twice(tmp_path: Path) -> None:
    """P4 under crashes: what was embedded once is not embedded again for the same bytes.

    Slow: as above.
    """
    home = a_home(tmp_path / "count")
    publish(home)
    faults = Faults()
    sync_once(with_faults(home.engine, faults))
    for n in range(1, faults.seen + 1):
        home = a_home(tmp_path / f"{n}")
        publish(home)
        with contextlib.suppress(KilledError):
            sync_once(with_faults(home.engine, Faults(at=n, after=KilledError)))
        quiet(home)

        assert home.knowledge_base.embedded == 3, f"killed at effect {n}: {faults.log[n - 1]}"


def test_two_runs_interleaved_by_threads_publish_each_incident_once(tmp_path: Path) -> None:
    """P7: two runs at the same moment: one works, the other ends as busy; each document is put once."""
    first = a_home(tmp_path / "home")
    publish(first)
    second = a_home(tmp_path / "home", clock=first.clock)
    barrier, ends = threading.Barrier(2), []

    def run(home: Home) -> None:
        barrier.wait()
        try:
            ends.append(sync_once(home.engine).objects_written)
        except BusyError:
            ends.append(-1)

    threads = [threading.Thread(target=run, args=(home,)) for home in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) in ([-1, 6], [0, 6])
    assert len(first.knowledge_base.jobs(limit=10)) == 1
    assert {first.state(each) for each in IDS} == {"indexed"}


@pytest.mark.slow
def test_any_interleaving_of_changes_and_runs_converges(tmp_path: Path) -> None:
    """P7: whatever the order of edits, reopenings and runs, the end follows from the last wish alone.

    Slow: twenty-four histories.
    """
    steps = {
        "edit": lambda home: update_incident(home.engine, "INC-1", {"description": "edited"}),
        "reopen": lambda home: reopen_incident(home.engine, "INC-1"),
        "close": lambda home: update_incident(home.engine, "INC-1", {"status": "CLOSED"}),
        "run": lambda home: sync_once(home.engine, wait=False),
    }
    for index, order in enumerate(itertools.permutations(steps)):
        home = a_home(tmp_path / f"{index}")
        publish(home)
        for step in order:
            steps[step](home)
        quiet(home)

        wished = "indexed" if order.index("close") > order.index("reopen") else "withdrawn"
        state = home.state("INC-1")
        assert state == wished or (wished == "withdrawn" and state == "none"), order
        found = home.found("edited")
        assert ("INC-1" in found) == (wished == "indexed"), order


def test_killed_between_two_puts_the_sidecar_stands_alone(tmp_path: Path) -> None:
    """The document comes last: a job that looks in between finds no document without its metadata."""
    home = a_home(tmp_path)
    upsert_incidents(home.engine, [an_incident()])

    class DiesAtSecondPut(Faults):
        puts = 0

        def around(self, name: str, effect: Callable[[], object]) -> object:
            self.puts += name == "documents.put"
            if self.puts == 2:
                raise KilledError
            return super().around(name, effect)

    with pytest.raises(KilledError):
        sync_once(with_faults(home.engine, DiesAtSecondPut()))

    assert home.keys() == {"incidents/INC-1001.md.metadata.json"}
