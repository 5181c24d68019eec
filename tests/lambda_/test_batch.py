"""The batch handler on real local adapters: what it returns, raises, waits for and measures."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import Home, TickingClock, a_home, an_incident
from faults import Faults, with_faults
from kbsync.engine import Policy
from kbsync.errors import AccessDeniedError, ConfigInvalidError, ThrottledError
from kbsync.lambda_handlers.batch import SHORTEST_BATCH, RunFailedError, handler
from kbsync.lambda_handlers.runtime import NAMESPACE, RESERVE, engine, use_engine
from kbsync.model import Mark
from kbsync.pipeline.lease import PUBLISHER
from lambda_.running import DIMENSION, Context, call

BATCH = {"trigger": "schedule"}
TICK = {"trigger": "tick"}
POISON = {"x": b"\x00\x01"}
Capture = pytest.CaptureFixture[str]


def held_lease(home: Home, seconds: float) -> None:
    """Have another run hold the publisher lease for so long."""
    home.ledger.acquire_lease(PUBLISHER, "other", now=home.clock(), seconds=seconds, grace_seconds=60)


def test_batch_returns_the_original_members_and_our_report(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident())

    answer = call(handler, BATCH, capsys).answer

    original = {"total_found": 1, "successfully_synced": 1, "failed": 0, "errors": []}
    assert {name: answer[name] for name in original} == original
    assert (answer["status"], answer["trigger"], answer["published"]) == ("ok", "schedule", 1)
    assert json.loads(json.dumps(answer)) == answer
    assert home.map_of()["synced"] is True


@pytest.mark.parametrize(
    "event",
    [{}, None, {"source": "aws.events", "detail-type": "Scheduled Event"}, {"trigger": ["tick"]}],
    ids=["by-hand", "nothing", "plain-schedule", "odd-trigger"],
)
def test_any_other_event_is_a_batch(home: Home, capsys: Capture, event: dict[str, object]) -> None:
    home.incidents.put_as_other_writer(an_incident())

    answer = call(handler, event, capsys).answer

    assert (answer["trigger"], answer["successfully_synced"]) == ("schedule", 1)


def test_tick_works_on_the_queue_alone(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-unmarked"))
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-marked"))
    home.ledger.mark([Mark("INC-marked", home.clock())])

    answer = call(handler, TICK, capsys).answer

    assert (answer["trigger"], answer["total_found"]) == ("tick", 1)
    assert (home.state("INC-marked"), home.state("INC-unmarked")) == ("indexed", "none")


def test_run_that_failed_as_a_whole_raises_after_its_metrics(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident(title=POISON))

    done = call(handler, BATCH, capsys)

    assert isinstance(done.error, RunFailedError)
    assert "1 failed" in str(done.error)
    assert (done.total["SyncErrors"], done.total["RunsSucceeded"], done.total["BatchesSucceeded"]) == (
        1,
        0,
        0,
    )


def test_one_bad_incident_of_two_is_returned_and_not_raised(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-bad", title=POISON))
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-good"))

    done = call(handler, BATCH, capsys)

    assert done.error is None
    assert (done.answer["status"], done.answer["successfully_synced"]) == ("degraded", 1)
    assert [each["incident_id"] for each in done.answer["errors"]] == ["INC-bad"]
    assert (done.total["SyncErrors"], done.total["RunsDegraded"]) == (1, 1)


def test_error_of_the_run_itself_is_raised_and_counts_as_no_success(home: Home, capsys: Capture) -> None:
    faults = Faults(at=1, before=lambda: AccessDeniedError("table kbsync: denied"))
    use_engine(with_faults(home.engine, faults))

    done = call(handler, BATCH, capsys)

    assert isinstance(done.error, AccessDeniedError)
    assert done.total == {"RunsStarted": 1}


def test_o_55_tick_that_meets_another_run_ends_well(home: Home, capsys: Capture) -> None:
    held_lease(home, 120)

    done = call(handler, TICK, capsys)

    assert done.error is None
    assert done.answer["status"] == "busy"
    assert done.total == {"RunsStarted": 1, "RunsBusy": 1}
    assert home.clock.slept == []


def test_batch_waits_for_the_tick_of_the_same_minute(home: Home, capsys: Capture) -> None:
    held_lease(home, 60)
    home.incidents.put_as_other_writer(an_incident())

    done = call(handler, BATCH, capsys)

    assert (done.answer["status"], done.answer["successfully_synced"]) == ("ok", 1)
    assert 60 <= sum(home.clock.slept) <= 150


def test_batch_that_finds_no_time_left_gives_way(home: Home, capsys: Capture) -> None:
    held_lease(home, 3600)

    done = call(handler, BATCH, capsys, Context(remaining_milliseconds=300_000))

    assert done.answer["status"] == "busy"
    assert done.total == {"RunsStarted": 1, "RunsBusy": 1}
    assert timedelta(seconds=sum(home.clock.slept)) <= timedelta(seconds=300) - RESERVE - SHORTEST_BATCH


@pytest.mark.slow
def test_o_54_run_stops_by_itself_before_the_function_is_ended(tmp_path: Path, capsys: Capture) -> None:
    """Slow: forty pages of one incident each, so that the time runs out between two of them."""
    clock = TickingClock(tick=timedelta(seconds=1))
    home = a_home(tmp_path / "slow", clock=clock, policy=Policy(page_size=1))
    use_engine(home.engine)
    for n in range(40):
        home.incidents.put_as_other_writer(an_incident(incident_id=f"INC-{n}"))
    started = clock.at

    first = call(handler, BATCH, capsys, Context(remaining_milliseconds=300_000))
    took = clock.at - started
    published = len(home.keys()) // 2
    clock.tick = timedelta(milliseconds=1)
    second = call(handler, BATCH, capsys)
    use_engine(None)

    assert took < timedelta(seconds=300)
    assert 0 < published < 40
    assert first.error is None
    assert second.answer["published"] == 40 - published
    assert len(home.keys()) == 80


def test_backlog_is_measured_from_the_oldest_entry(home: Home, capsys: Capture) -> None:
    home.ledger.mark([Mark("INC-1001", home.clock())])
    home.incidents.put_as_other_writer(an_incident(title=POISON))
    call(handler, BATCH, capsys)
    home.clock.forward(seconds=4000)

    done = call(handler, BATCH, capsys)

    assert 4000 <= done.total["OldestPendingSeconds"] < 4010
    assert call(handler, BATCH, capsys).error is not None
    assert call(handler, BATCH, capsys).total["OldestPendingSeconds"] == 0


def test_metrics_keep_the_original_names_and_namespace(home: Home, capsys: Capture) -> None:
    home.incidents.put_as_other_writer(an_incident())

    done = call(handler, BATCH, capsys)

    assert (done.namespace, done.dimensions) == ("IncidentManagement", DIMENSION)
    assert (done.total["IncidentsSynced"], done.total["SyncErrors"]) == (1, 0)
    assert done.total["SyncDuration"] > 0
    assert done.total["BatchesSucceeded"] == 1


def test_each_severity_is_measured_from_closed_to_searchable(home: Home, capsys: Capture) -> None:
    """All together stand under the service, as every metric; each severity under its own name beside it."""
    home.incidents.put_as_other_writer(an_incident(severity="high"))
    home.incidents.put_as_other_writer(an_incident(incident_id="INC-2", severity="low"))

    handler(BATCH, Context())

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [
        (tuple(sorted(directive["Dimensions"][0])), line.get("severity"), metric["Name"])
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
        if metric["Name"].startswith("ClosedToSearchable") and directive["Namespace"] == NAMESPACE
    ]
    names = ("ClosedToSearchableMax", "ClosedToSearchableP50", "ClosedToSearchableP95")
    assert sorted(told, key=str) == sorted(
        [(("service",), None, name) for name in names]
        + [(("service", "severity"), severity, name) for severity in ("high", "low") for name in names],
        key=str,
    )
    assert lines[-1]["SearchableLate"] == [0.0]


def test_tick_never_counts_as_a_batch(home: Home, capsys: Capture) -> None:
    done = call(handler, TICK, capsys)

    assert home.ledger.runs(limit=1)[0].trigger == "tick"
    assert done.total["RunsSucceeded"] == 1
    assert "BatchesSucceeded" not in done.metrics


def test_backlog_that_cannot_be_read_fails_no_run(home: Home, capsys: Capture) -> None:
    class Unreadable:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(home.ledger, name)

        def oldest_pending(self) -> None:
            raise ThrottledError("slow down")

    use_engine(replace(home.engine, ledger=Unreadable()))  # type: ignore[arg-type]

    done = call(handler, BATCH, capsys)

    assert done.answer["status"] == "ok"
    assert "OldestPendingSeconds" not in done.metrics


def test_engine_is_built_from_the_environment_at_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    use_engine(None)
    monkeypatch.delenv("S3_BUCKET", raising=False)

    with pytest.raises(ConfigInvalidError, match="S3_BUCKET"):
        engine()


@pytest.mark.slow
@pytest.mark.parametrize(("level", "shown"), [("ERROR", ["run.ended"]), ("INFO", ["library", "run.ended"])])
def test_report_is_logged_whatever_the_level(level: str, shown: list[str]) -> None:
    """Slow: Powertools reads LOG_LEVEL when it is imported, so each level needs an interpreter of its own."""
    text = (
        "import logging\n"
        "from kbsync.lambda_handlers.runtime import reports\n"
        "logging.getLogger('kbsync.pipeline').info('library')\n"
        "reports.info('run.ended')\n"
    )
    environment = {"LOG_LEVEL": level, "AWS_REGION": "eu-west-1", "HOME": "/nowhere"}

    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True
    )

    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == shown
