"""Reconcile and others: a pause, a run at work, another reconcile."""

import json
from collections.abc import Callable

import pytest
from test_reconcile import filled, found

from builders import Home
from kbsync.errors import BusyError
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.pause import pause, resume
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_survey import CHECKPOINT


def test_pause_turns_a_repair_into_a_report(home: Home) -> None:
    """While a person has stopped the runs, nothing is marked and no incident is written."""
    filled(home, ["INC-1"])
    home.incidents.delete_as_other_writer("INC-1")
    pause(home.engine, reason="moving the table")

    paused = reconcile(home.engine, repair=True)
    resume(home.engine)
    resumed = reconcile(home.engine, repair=True)

    assert (paused.repair, found(paused), paused.marked) == (False, {"orphan": 1}, 0)
    assert (resumed.repair, resumed.marked) == (True, 1)


def test_repair_beside_a_run_gives_way_and_goes_on_later(home: Home) -> None:
    """The publisher works alone; the checkpoint keeps what was compared."""
    filled(home, ["INC-1"])
    home.incidents.delete_as_other_writer("INC-1")

    with holding_lease(home.engine, "a run"), pytest.raises(BusyError, match="another run is active"):
        reconcile(home.engine, repair=True)
    kept = home.ledger.read_value(CHECKPOINT)
    survey = reconcile(home.engine, repair=True)

    assert json.loads(kept)["phase"] == "records"
    assert (survey.run_id, found(survey)) == (json.loads(kept)["run_id"], {"orphan": 1})


def test_two_reconciles_at_once_are_told_apart_by_the_checkpoint(home: Home) -> None:
    """The slower of two finds that its checkpoint has moved, and gives way."""
    filled(home, ["INC-1"])

    def rival(_step: str, _done: int, _total: int | None) -> None:
        home.ledger.write_value(CHECKPOINT, "another's")

    with pytest.raises(BusyError, match="another reconcile is active"):
        reconcile(home.engine, progress=rival)

    assert home.ledger.read_value(CHECKPOINT) == "another's"


def aged(text: str) -> str:
    return json.dumps({**json.loads(text), "started_at": "2026-03-08T12:00:00+00:00"})


def of_repair(text: str) -> str:
    return json.dumps({**json.loads(text), "repair": True})


def of_other_version(text: str) -> str:
    return json.dumps({**json.loads(text), "more": 1})


@pytest.mark.parametrize("changed", [aged, of_repair, of_other_version])
def test_checkpoint_that_does_not_fit_is_begun_anew(home: Home, changed: Callable[[str], str]) -> None:
    """A day-old one, one of the other kind and one of another version are not gone on with."""
    filled(home, ["INC-1"])
    stopped = reconcile(home.engine, deadline=home.clock.at.replace(microsecond=999_999))
    whole = stopped.as_text()
    home.ledger.write_value(CHECKPOINT, changed(whole))

    survey = reconcile(home.engine)

    assert survey.run_id != stopped.run_id
    assert (survey.ended, survey.compared["incidents"]) == (True, 1)
