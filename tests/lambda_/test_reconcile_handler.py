"""The reconcile handler on real local adapters: what it returns, leaves due, waits for and measures."""

import json

import pytest

from builders import Home, an_incident
from kbsync.lambda_handlers.reconcile import handler
from kbsync.lambda_handlers.runtime import BUSY_WAIT_SECONDS, RESERVE
from kbsync.pipeline.lease import PUBLISHER
from kbsync.pipeline.sync import sync_once
from lambda_.running import Context, call

REPAIR = {"repair": True}
Capture = pytest.CaptureFixture[str]


def with_a_deletion(home: Home) -> None:
    """One searchable incident that somebody deletes without a mark."""
    home.incidents.put_as_other_writer(an_incident())
    sync_once(home.engine)
    home.incidents.delete_as_other_writer("INC-1001")


@pytest.mark.parametrize(
    "event",
    [{}, None, {"repair": "true"}, {"source": "aws.events"}],
    ids=["by-hand", "nothing", "text", "plain"],
)
def test_any_other_event_reports_and_marks_nothing(
    home: Home, capsys: Capture, event: dict[str, object]
) -> None:
    with_a_deletion(home)

    done = call(handler, event, capsys)

    assert (done.answer["status"], done.answer["complete"], done.answer["marked"]) == ("ok", True, 0)
    assert done.answer["found"]["orphan"] == 1
    assert done.total["DifferencesFound"] == 1
    assert json.loads(json.dumps(done.answer)) == done.answer


def test_repair_leaves_what_differs_to_the_next_run(home: Home, capsys: Capture) -> None:
    with_a_deletion(home)

    answer = call(handler, REPAIR, capsys).answer
    report = sync_once(home.engine)

    assert (answer["marked"], report.withdrawn, home.keys()) == (1, 1, set())


def test_too_little_time_is_incomplete_and_the_next_call_goes_on(home: Home, capsys: Capture) -> None:
    with_a_deletion(home)
    milliseconds = int(RESERVE.total_seconds() * 1000)

    early = call(handler, REPAIR, capsys, Context(remaining_milliseconds=milliseconds))
    later = call(handler, REPAIR, capsys)

    assert (early.answer["complete"], early.total["ReconcilesEnded"]) == (False, 0)
    assert (later.answer["complete"], later.total["ReconcilesEnded"]) == (True, 1)


def test_repair_waits_for_a_run_that_ends_in_time(home: Home, capsys: Capture) -> None:
    with_a_deletion(home)
    home.clock.slept.clear()
    home.ledger.acquire_lease(PUBLISHER, "other", now=home.clock(), seconds=1, grace_seconds=60)

    answer = call(handler, REPAIR, capsys).answer

    assert answer["marked"] == 1
    assert set(home.clock.slept) == {BUSY_WAIT_SECONDS}


def test_repair_beside_a_run_that_does_not_end_is_busy(home: Home, capsys: Capture) -> None:
    with_a_deletion(home)
    home.ledger.acquire_lease(PUBLISHER, "other", now=home.clock(), seconds=9_000, grace_seconds=60)

    done = call(handler, REPAIR, capsys)

    assert (done.answer["status"], done.total["ReconcilesBusy"]) == ("busy", 1)
