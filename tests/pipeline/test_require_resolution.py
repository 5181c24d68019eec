"""REQUIRE_RESOLUTION: what nobody wrote up gets no document; a change of the setting meets the brake."""

from collections.abc import Callable

import pytest

from builders import Home, an_incident
from kbsync.model import Document, State
from kbsync.pipeline import brake_memory
from kbsync.pipeline.brake import approve, plan_held
from kbsync.pipeline.changes import update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.shards import count_held
from kbsync.views.story import explain_view

OpenHome = Callable[..., Home]
REQUIRED = TransformRules(require_resolution=True)


def bare(incident_id: str = "BARE") -> dict[str, object]:
    return an_incident(incident_id=incident_id, title=f"Riddle {incident_id}", resolution=None)


def test_incident_without_a_write_up_is_published_unless_one_is_required(open_home: OpenHome) -> None:
    """The default publishes the symptom alone; with the setting, it is excluded and says why."""
    home = open_home(rules=REQUIRED)
    upsert_incidents(home.engine, [an_incident(), bare()])

    sync_once(home.engine)

    assert (home.state("INC-1001"), home.state("BARE")) == (State.INDEXED, State.EXCLUDED)
    reason = explain_view(home.engine, "BARE")["reason"]
    assert reason == "excluded: neither root cause nor resolution is written"
    by_default = open_home().engine.transform.desired(home.incidents.read(["BARE"])["BARE"])
    assert isinstance(by_default, Document)


def test_write_up_that_comes_later_brings_the_document(open_home: OpenHome) -> None:
    """An edit is all it takes; and taking it back withdraws the document without asking anybody."""
    home = open_home(rules=REQUIRED)
    upsert_incidents(home.engine, [bare()])
    sync_once(home.engine)

    update_incident(home.engine, "BARE", {"resolution": {"root_cause": "A leak in the retry path."}})
    sync_once(home.engine)
    assert home.state("BARE") == State.INDEXED

    update_incident(home.engine, "BARE", {"resolution": None})
    sync_once(home.engine)
    assert (home.state("BARE"), home.found("riddle")) == (State.EXCLUDED, [])


def test_setting_that_is_turned_on_waits_for_a_person_where_it_takes_many(
    open_home: OpenHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run notices the changed setting; the brake holds what it takes away until it is approved."""
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 1)
    names = [f"BARE-{number}" for number in range(4)]
    home = open_home()
    upsert_incidents(home.engine, [an_incident(), *map(bare, names)])
    sync_once(home.engine)

    required = open_home(rules=REQUIRED)
    sync_once(required.engine)

    assert count_held(required.engine) == 4
    assert len(required.found("riddle")) >= 4
    approve(required.engine, plan_held(required.engine).plan)
    sync_once(required.engine)
    assert {required.state(name) for name in names} == {State.EXCLUDED}
    assert required.state("INC-1001") == State.INDEXED


def test_unreadable_resolution_counts_as_one_that_cannot_be_told(open_home: OpenHome) -> None:
    """A map where a text belongs is the incident's own failure, with the setting as without it."""
    home = open_home(rules=REQUIRED)
    upsert_incidents(home.engine, [an_incident(resolution={"description": {"not": "a text"}})])

    report = sync_once(home.engine)

    assert report.failed == 1
    assert report.errors[0].error.startswith("resolution.description is no text")
