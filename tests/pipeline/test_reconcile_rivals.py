"""Reconcile and others: the brake that a person takes off, a pause, a run at work, another reconcile."""

import json
from collections.abc import Callable

import pytest
from test_reconcile import filled, found, ids_of, key_of, until_quiet

from builders import Home
from kbsync.errors import BusyError
from kbsync.model import sidecar_key
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.pause import pause, resume
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.reconcile_repair import BRAKE
from kbsync.pipeline.reconcile_survey import CHECKPOINT


@pytest.mark.slow
def test_brake_withholds_what_is_gone_beyond_the_share(home: Home) -> None:
    """Of 40 documents 25 lose their incidents: 20 may go, the rest waits for a person, told once (slow)."""
    filled(home, ids_of("inc", 40))
    for each in ids_of("inc", 25):
        home.incidents.delete_as_other_writer(each)
    alerts = len(home.alerts())

    first = reconcile(home.engine, repair=True)
    until_quiet(home)
    second = reconcile(home.engine, repair=True)

    assert (first.marked, first.withheld) == (20, 5)
    assert (second.marked, second.withheld) == (0, 5)
    assert len(home.keys()) == 2 * 20
    assert sum("withholds" in line for line in home.alerts()[alerts:]) == 1


def test_person_approves_withdrawals_and_the_brake_comes_off(home: Home) -> None:
    """An approved number is a ceiling; when nothing is withheld any more, the share counts again."""
    filled(home, ids_of("inc", 3))
    home.ledger.write_value(BRAKE, "on")
    for each in ids_of("inc", 2):
        home.incidents.delete_as_other_writer(each)

    unasked = reconcile(home.engine, repair=True)
    approved = reconcile(home.engine, repair=True, most_withdrawals=2)
    until_quiet(home)

    assert (unasked.withheld, approved.withheld, approved.marked) == (2, 0, 2)
    assert home.keys() == {key_of("INC-2"), sidecar_key(key_of("INC-2"))}
    assert home.ledger.read_value(BRAKE) == ""


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
