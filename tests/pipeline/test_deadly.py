"""An incident that kills the process: nobody waits for it, and once set aside it is never rendered again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from builders import Home, an_incident
from faults import KilledError
from kbsync.engine import Engine, Policy, Transform
from kbsync.model import Desired, StoredIncident
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once

OpenHome = Callable[..., Home]
GOOD = tuple(f"INC-{n}" for n in (0, 1, 2, 4, 5))
DEADLY = "INC-3"


@dataclass
class DeadlyTransform:
    """The real transform, in which one incident kills the process as long as its title says so."""

    real: Transform
    deaths: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def desired(self, stored: StoredIncident) -> Desired:
        if stored.incident_id == DEADLY and stored.attributes["title"] == "deadly":
            self.deaths.append(stored.incident_id)
            raise KilledError
        return self.real.desired(stored)


def deadly(home: Home) -> Engine:
    return replace(home.engine, transform=DeadlyTransform(home.engine.transform))  # type: ignore[arg-type]


def fill(home: Home, write: Callable[[dict[str, object]], object]) -> None:
    for each in (*GOOD, DEADLY):
        write(an_incident(incident_id=each, title="deadly" if each == DEADLY else f"Case {each}"))
    assert home.keys() == set()


def run_and_die(home: Home, engine: Engine, times: int) -> None:
    for _ in range(times):
        with suppress(KilledError):
            sync_once(engine)
        home.clock.forward(minutes=10)


def until_set_aside(home: Home, engine: Engine) -> None:
    run_and_die(home, engine, 9)
    assert home.state(DEADLY) == "quarantined"


def test_all_others_are_searchable_before_the_deadly_one_is_touched_again(open_home: OpenHome) -> None:
    """P5: a run sees all that are not suspect through to the index, and only then dies on the suspect."""
    home = open_home(policy=Policy(page_size=3))
    engine = deadly(home)
    fill(home, lambda item: upsert_incidents(engine, [item]))
    run_and_die(home, engine, 1)
    assert {home.state(each) for each in GOOD} == {"published", "pending"}

    with pytest.raises(KilledError):
        sync_once(engine)
    assert [home.state(each) for each in GOOD] == ["indexed"] * 3 + ["pending"] * 2
    home.clock.forward(minutes=10)
    sync_once(engine)

    assert {home.state(each) for each in GOOD} == {"indexed"}


def test_innocent_suspects_are_seen_through_in_the_same_run(home: Home) -> None:
    """Those who only shared the page of a death are published one by one, and confirmed, after the others."""
    engine = deadly(home)
    fill(home, lambda item: upsert_incidents(engine, [item]))
    run_and_die(home, engine, 1)
    update_incident(engine, DEADLY, {"title": "harmless"})

    report = sync_once(engine)

    assert (report.indexed, report.pending, report.status) == (6, 0, "ok")


@pytest.mark.parametrize("discovery", ["auto", "index"])
def test_set_aside_it_is_not_rendered_again_however_it_is_found(open_home: OpenHome, discovery: str) -> None:
    """DISCOVERY=index marks it with every run: the same content under the same rules is left alone."""
    home = open_home(policy=Policy(discovery=discovery))
    engine = deadly(home)
    fill(home, home.incidents.put_as_other_writer)
    until_set_aside(home, engine)
    deaths = engine.transform.deaths  # type: ignore[attr-defined] # ours
    deaths.clear()

    statuses = [sync_once(engine).status for _ in range(3)]

    assert (statuses, deaths) == (["ok"] * 3, [])
    assert home.state(DEADLY) == "quarantined"


def test_reconcile_passes_over_what_is_set_aside(home: Home) -> None:
    """A comparison that died on it would begin again with the same page for ever."""
    engine = deadly(home)
    fill(home, lambda item: upsert_incidents(engine, [item]))
    until_set_aside(home, engine)

    survey = reconcile(engine)

    assert (survey.ended, sum(survey.found.values())) == (True, 0)


def test_edit_of_a_deadly_incident_releases_it(home: Home) -> None:
    """What is held against it is held against one content only."""
    engine = deadly(home)
    fill(home, lambda item: upsert_incidents(engine, [item]))
    until_set_aside(home, engine)
    update_incident(engine, DEADLY, {"title": "harmless"})

    sync_once(engine)

    assert home.state(DEADLY) == "indexed"
    assert home.ledger.records([DEADLY])[DEADLY].attempts == 0
