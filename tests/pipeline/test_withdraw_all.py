"""Everything is withdrawn and confirmed gone at a person's word, and comes back when it is taken back."""

import contextlib
from pathlib import Path

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.model import Stage
from kbsync.pipeline.backfill import TableSource, backfill
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.plan import Action, plan_once
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once
from kbsync.views.story import explain_view
from kbsync.withdrawal import publish_again, read_withdrawal, withdraw_all


def filled(home: Home, count: int = 5) -> None:
    """So many searchable incidents, one that was set aside with its old text still there, and an open one."""
    incidents = [an_incident(incident_id=f"INC-{number}") for number in range(count)]
    upsert_incidents(home.engine, [*incidents, an_incident(incident_id="INC-open", status="OPEN")])
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident(incident_id="INC-0", title={"not": "a text"})])
    for _ in range(home.engine.policy.max_attempts):
        sync_once(home.engine)
    assert home.state("INC-0") == "quarantined"


def test_everything_goes_the_set_aside_one_too_and_says_so(home: Home) -> None:
    """P3: nothing of ours is left in the store or the knowledge base, and no incident says `synced: true`."""
    filled(home)
    withdraw_all(home.engine, reason="moving")

    report = sync_once(home.engine)

    assert (report.status, report.withdrawn, report.pending) == ("ok", 5, 0)
    assert (home.keys(), home.listed()) == (set(), set())
    assert {home.state(f"INC-{number}") for number in range(5)} == {"excluded"}
    assert home.map_of("INC-1")["synced"] is False
    assert explain_view(home.engine, "INC-1")["wants"] == "nothing: withdrawn_all (moving)"


def test_nothing_is_published_while_it_stands(home: Home) -> None:
    """Edits, new closings, reopenings, back-fill and reconcile all know of it."""
    filled(home)
    withdraw_all(home.engine, reason="moving")
    sync_once(home.engine)
    upsert_incidents(
        home.engine, [an_incident(incident_id="INC-1", title="Another"), an_incident(incident_id="N")]
    )
    reopen_incident(home.engine, "INC-2")

    planned = [change.action for change in plan_once(home.engine)]
    sync_once(home.engine)
    marked = backfill(home.engine, TableSource(home.engine, 1)).counts["marked"]
    survey = reconcile(home.engine)

    assert set(planned) == {Action.LOOK}
    assert home.keys() == set()
    assert (marked, sum(survey.found.values())) == (0, 0)


def test_taken_back_everything_eligible_comes_back(home: Home) -> None:
    """One pass queues what the other rules had settled."""
    filled(home)
    withdraw_all(home.engine, reason="a mistake")
    sync_once(home.engine)

    publish_again(home.engine)
    report = sync_once(home.engine)

    assert report.indexed == 4
    assert read_withdrawal(home.engine) is None
    assert home.found("pool exhausted", incident_id="INC-3") == ["INC-3"]
    assert home.state("INC-0") == "pending"  # other rules: it has its attempts anew


@pytest.mark.parametrize("at", range(1, 27))
def test_killed_anywhere_the_next_run_withdraws_the_rest(tmp_path: Path, at: int) -> None:
    """P7: the word stands in the ledger; every step takes its work from there."""
    home = a_home(tmp_path / "home")
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{number}") for number in range(2)])
    sync_once(home.engine)
    withdraw_all(home.engine, reason="moving")

    with contextlib.suppress(KilledError):
        sync_once(with_faults(home.engine, Faults(at=at, after=KilledError)))
    for _ in range(3):
        home.clock.forward(minutes=10)
        sync_once(home.engine)

    assert (home.keys(), home.listed()) == (set(), set())
    assert {home.state(f"INC-{number}") for number in range(2)} == {"excluded"}


def test_word_is_told_with_its_reason_and_cut(home: Home) -> None:
    """The reason is a person's, and bounded."""
    withdraw_all(home.engine, reason="x" * 1_000)

    withdrawal = read_withdrawal(home.engine)

    assert withdrawal is not None
    assert withdrawal.reason == "x" * 200
    assert home.ledger.due(f"{Stage.PUBLISH}#0", until="~", after="", limit=1) == []
