"""Outages, throttles and quarantine over time: whose fault it is, what it costs, and how it ends."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from builders import Home, a_home, an_incident
from kbsync.engine import Transform
from kbsync.errors import UnreadableIncidentError
from kbsync.local.faults import LocalFaults
from kbsync.model import Desired, StoredIncident
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.sync import sync_once

OpenHome = Callable[..., Home]
ENDLESS = 1_000_000
IDS = tuple(f"INC-{n}" for n in range(6))


def some(ids: tuple[str, ...] = IDS) -> list[dict[str, object]]:
    return [an_incident(incident_id=each, title=f"Case {each}") for each in ids]


def in_work(home: Home) -> None:
    """Three searchable incidents, of which one was edited, one reopened, one deleted; and three new ones."""
    upsert_incidents(home.engine, some(IDS[:3]))
    sync_once(home.engine)
    update_incident(home.engine, "INC-0", {"description": "edited"})
    reopen_incident(home.engine, "INC-1")
    delete_incident(home.engine, "INC-2")
    upsert_incidents(home.engine, some(IDS[3:]))


@pytest.mark.parametrize("kind", ["unavailable", "throttle"])
def test_three_runs_without_a_knowledge_base_cost_no_attempt_and_end_by_themselves(
    open_home: OpenHome, kind: str
) -> None:
    """Every call fails for three runs: documents are put all the same, nobody is blamed, one alert."""
    in_work(open_home())
    out = open_home(faults=LocalFaults(**{kind: ENDLESS}))
    told = len(out.alerts())

    during = []
    for _ in range(3):
        during.append(sync_once(out.engine))
        out.clock.forward(minutes=5)
    attempts = {each: record.attempts for each, record in out.ledger.records(IDS).items()}
    alerts_during = out.alerts()[told:]
    home = open_home()
    after = [sync_once(home.engine) for _ in range(3)]

    assert [(each.status, each.failed) for each in during] == [("degraded", 0)] * 3
    assert (during[0].published, during[0].withdrawn) == (4, 2)
    assert attempts == dict.fromkeys(IDS, 0)
    assert len(alerts_during) == 1
    assert (after[0].status, after[0].indexed, after[0].pending) == ("ok", 4, 0)
    assert {each: home.state(each) for each in IDS} == {
        **dict.fromkeys(IDS, "indexed"),
        "INC-1": "withdrawn",
        "INC-2": "withdrawn",
    }
    assert len(home.alerts()) == told + 2


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_throttle_slows_a_run_and_fails_nothing(open_home: OpenHome, calls: int) -> None:
    """A knowledge base that asks to slow down a few times gets time; the same run ends well, untold."""
    home = open_home(faults=LocalFaults(throttle=calls))
    upsert_incidents(home.engine, some())

    report = sync_once(home.engine)

    assert (report.status, report.failed, report.indexed, report.pending) == ("ok", 0, 6, 0)
    assert home.clock.slept[:calls] == [1.0, 2.0, 4.0][:calls]
    assert home.alerts() == []


def test_throttled_run_that_must_not_wait_leaves_the_rest_to_the_next(open_home: OpenHome) -> None:
    """Where a run may not wait, it does not: nothing is lost, nobody is blamed."""
    home = open_home(faults=LocalFaults(throttle=2))
    upsert_incidents(home.engine, some())

    first = sync_once(home.engine, wait=False)
    second = sync_once(home.engine)

    assert (first.failed, first.published, home.clock.slept[:0]) == (0, 6, [])
    assert (second.status, second.indexed) == ("ok", 6)
    assert {record.attempts for record in home.ledger.records(IDS).values()} == {0}


class Version:
    """The transform in one version of the code: the first cannot render some incidents, later ones can."""

    def __init__(self, real: Transform, name: str, unreadable: tuple[str, ...]) -> None:
        self._real, self._name, self._unreadable = real, name, unreadable
        self.rendered: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    @property
    def rendered_by(self) -> str:
        return f"{self._real.rendered_by} {self._name}"

    def desired(self, stored: StoredIncident) -> Desired:
        self.rendered.append(stored.incident_id)
        if stored.incident_id in self._unreadable:
            raise UnreadableIncidentError("a field that this version cannot read")
        return self._real.desired(stored)


def of_version(home: Home, name: str, *unreadable: str) -> Home:
    version = cast("Transform", Version(home.engine.transform, name, unreadable))
    return replace(home, engine=replace(home.engine, transform=version))


def test_quarantine_holds_for_one_content_and_one_version_of_the_code(home: Home) -> None:
    """A release that can read what the last one could not takes it up by itself; the old one does not."""
    first = of_version(home, "1", "INC-0")
    turn_marking_on(first.engine, table_is_empty=True)
    upsert_incidents(first.engine, some())
    for _ in range(4):
        sync_once(first.engine)
    seen = len(cast("Version", first.engine.transform).rendered)
    idle = sync_once(first.engine)
    assert (home.state("INC-0"), idle.found) == ("quarantined", 0)
    assert len(cast("Version", first.engine.transform).rendered) == seen

    second = of_version(home, "2")
    report = sync_once(second.engine)

    assert (report.status, report.objects_written, home.state("INC-0")) == ("ok", 2, "indexed")
    assert home.ledger.records(["INC-0"])["INC-0"].attempts == 0


def test_release_that_cannot_read_it_either_gives_new_attempts_and_the_same_end(home: Home) -> None:
    """A new version starts counting anew: its three attempts, one alert of its own, and quarantine again."""
    upsert_incidents(home.engine, some())
    for name in ("1", "2"):
        version = of_version(home, name, "INC-0")
        for _ in range(4):
            sync_once(version.engine)
        record = home.ledger.records(["INC-0"])["INC-0"]
        assert (record.state, record.attempts) == ("quarantined", 3)

    assert sum("quarantined" in line for line in home.alerts()) == 2


@pytest.mark.slow
def test_one_poison_among_many_keeps_nobody_from_being_indexed_in_the_same_run(tmp_path: object) -> None:
    """P5: 199 of 200 are searchable after the first run; the poison gets three attempts, one alert (slow)."""
    home = a_home(tmp_path / "home")  # type: ignore[operator] # a path
    items = some(tuple(f"INC-{n}" for n in range(200)))
    items[77]["title"] = {"x": b"\x00"}
    upsert_incidents(home.engine, items)

    first, *later = (sync_once(home.engine) for _ in range(4))

    assert (first.indexed, first.failed, first.status) == (199, 1, "degraded")
    assert [each.failed for each in later] == [1, 1, 0]
    assert (home.state("INC-77"), sum("quarantined" in line for line in home.alerts())) == ("quarantined", 1)
    update_incident(home.engine, "INC-77", {"title": "Readable"})
    assert sync_once(home.engine).indexed == 1
