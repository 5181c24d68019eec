"""Each alarm fires on what a really failing handler writes, and stays quiet on what a healthy one writes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, with_faults
from kbsync.engine import Policy
from kbsync.errors import AccessDeniedError, ThrottledError
from kbsync.lambda_handlers.backfill import handler as backfill
from kbsync.lambda_handlers.batch import handler as batch
from kbsync.lambda_handlers.reconcile import handler as comparison
from kbsync.lambda_handlers.runtime import use_engine
from kbsync.lambda_handlers.stream import handler as stream
from kbsync.local.faults import LocalFaults
from kbsync.pipeline import brake_memory
from kbsync.pipeline.brake import approve, plan_held
from kbsync.pipeline.reconcile import reconcile
from lambda_.running import DIMENSION, Call, call
from lambda_.test_stream import CLOSED, a_record
from template.alarms import ALARM, OK, Point, state_of
from template.stack import ADOPTED, Stack

HOUR, TICK = 3600.0, 300.0
POISON = {"x": b"\x00\x01"}
OWN = "IncidentManagement"
FUNCTIONS = {
    batch: "BatchFunction",
    stream: "StreamFunction",
    backfill: "BackfillFunction",
    comparison: "ReconcileFunction",
}
WHOLE = Stack({"ExportBucket": "exports"})
"""The stack with everything that it can have."""
STANDS_STILL = LocalFaults(delay_polls=1_000_000)


@dataclass
class Observed:
    """Three hours of calls: what the metrics hold by namespace and name, as CloudWatch would."""

    home: Home
    capsys: pytest.CaptureFixture[str]
    points: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    at_seconds: float = 0.0

    def note(self, namespace: str, name: str, value: float) -> None:
        self.points.setdefault((namespace, name), []).append((self.at_seconds, value))

    def invoke(self, handler: Callable[..., Any], event: dict[str, Any]) -> Call:
        """Call a handler; Lambda itself counts its error, and puts a failed invocation into the queue."""
        done = call(handler, event, self.capsys)
        for name, values in done.metrics.items():
            assert (done.namespace, done.dimensions) == (OWN, DIMENSION)
            for value in values:
                self.note(OWN, name, value)
        self.note(FUNCTIONS[handler], "Errors", float(done.error is not None))
        queue = "FailedChangesQueue" if handler is stream else "FailedRunsQueue"
        if done.error is not None:
            self.note(queue, "ApproximateNumberOfMessagesVisible", 1.0)
        return done

    def wait(self, seconds: float) -> None:
        self.at_seconds += seconds
        self.home.clock.forward(seconds=seconds)

    def hours(self, count: int, *, event: dict[str, Any] | None = None) -> None:
        for _ in range(count):
            self.invoke(batch, event or {"trigger": "schedule"})
            self.wait(HOUR)

    def state(self, name: str, stack: Stack | None = None) -> str:
        alarm = (stack or WHOLE).resources("AWS::CloudWatch::Alarm")[name]["Properties"]
        source = alarm["Namespace"]
        if source != OWN:  # AWS's own metrics are kept by the one resource that the alarm watches
            (dimension,) = alarm["Dimensions"]
            source = dimension["Value"].split(".")[0]
        else:
            assert alarm["Dimensions"] == [{"Name": "service", "Value": "kbsync"}]
        points = self.points.get((source, alarm["MetricName"]), [])
        return state_of(alarm, points, now_seconds=self.at_seconds)


@pytest.fixture
def observed(home: Home, capsys: pytest.CaptureFixture[str]) -> Observed:
    return Observed(home, capsys)


def alarms(stack: Stack | None = None) -> set[str]:
    return set((stack or WHOLE).resources("AWS::CloudWatch::Alarm"))


def fail_from_now(observed: Observed, error: Callable[[], Exception]) -> None:
    """Let every later effect of the home fail, as a missing permission or an outage does."""

    class Always(Faults):
        def around(self, *_: object) -> object:
            raise error()

    use_engine(with_faults(observed.home.engine, Always()))


def test_no_alarm_sounds_on_three_healthy_hours(observed: Observed) -> None:
    observed.home.incidents.put_as_other_writer(an_incident())
    observed.invoke(stream, {"Records": [a_record(before=None, after=CLOSED)]})
    observed.invoke(comparison, {"repair": True})
    observed.hours(3)

    assert {name: observed.state(name) for name in alarms()} == dict.fromkeys(alarms(), OK)


def test_raised_run_sounds_run_errors_and_waits_in_the_queue(observed: Observed) -> None:
    fail_from_now(observed, lambda: AccessDeniedError("denied"))

    done = observed.invoke(batch, {})
    observed.wait(TICK)

    assert isinstance(done.error, AccessDeniedError)
    assert observed.state("RunErrorsAlarm") == ALARM
    assert observed.state("FailedRunsAlarm") == ALARM


def test_failed_incident_sounds_sync_errors(observed: Observed) -> None:
    observed.home.incidents.put_as_other_writer(an_incident(incident_id="INC-bad", title=POISON))
    observed.home.incidents.put_as_other_writer(an_incident(incident_id="INC-good"))

    observed.hours(1)

    assert observed.state("SyncErrorsAlarm") == ALARM
    assert observed.state("QuarantineAlarm") == OK


def test_incident_set_aside_sounds_quarantine_once(observed: Observed) -> None:
    observed.home.incidents.put_as_other_writer(an_incident(title=POISON))

    observed.hours(3)
    then = observed.state("QuarantineAlarm")
    observed.hours(1)

    assert observed.home.state() == "quarantined"
    assert (then, observed.state("QuarantineAlarm")) == (ALARM, OK)


def test_incident_that_waits_too_long_sounds_backlog_age(
    tmp_path: Path, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = a_home(tmp_path / "stuck", clock=home.clock, policy=Policy(wait_seconds=0), faults=STANDS_STILL)
    use_engine(stuck.engine)
    observed = Observed(stuck, capsys)
    stuck.incidents.put_as_other_writer(an_incident())

    states = []
    for _ in range(3):
        observed.invoke(batch, {"trigger": "schedule"})
        observed.wait(900)
        states.append(observed.state("BacklogAgeAlarm"))
        observed.wait(1800)

    assert stuck.state() == "published"
    assert states == [OK, OK, ALARM]


def test_backlog_age_keeps_its_state_while_no_run_tells_it(observed: Observed) -> None:
    alarm = Stack().resources("AWS::CloudWatch::Alarm")["BacklogAgeAlarm"]["Properties"]
    observed.hours(1)
    observed.wait(HOUR)

    assert state_of(alarm, [], now_seconds=observed.at_seconds, before=ALARM) == ALARM
    assert observed.state("BacklogAgeAlarm") == OK


def test_withdrawals_that_wait_for_a_person_sound_until_they_are_approved(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 0)
    observed.home.incidents.put_as_other_writer(an_incident())
    observed.hours(1)
    observed.home.incidents.delete_as_other_writer("INC-1001")
    reconcile(observed.home.engine, repair=True)

    states = []
    for approves in (False, True):
        if approves:
            approve(observed.home.engine, plan_held(observed.home.engine).plan)
        observed.invoke(batch, {"trigger": "schedule"})
        observed.wait(TICK)
        states.append(observed.state("WithdrawalsHeldAlarm"))
        observed.wait(HOUR)

    assert states == [ALARM, OK]


def test_three_hours_without_any_run_sound_no_successful_run(observed: Observed) -> None:
    observed.hours(1)
    observed.wait(2 * HOUR)
    after_two = observed.state("NoSuccessfulRunAlarm")
    observed.wait(HOUR)

    assert (after_two, observed.state("NoSuccessfulRunAlarm")) == (OK, ALARM)


def test_ticks_alone_do_not_silence_no_successful_run(observed: Observed) -> None:
    observed.hours(3, event={"trigger": "tick"})

    assert observed.state("NoSuccessfulRunAlarm") == ALARM


def test_batches_that_raise_each_hour_sound_no_successful_run(observed: Observed) -> None:
    fail_from_now(observed, lambda: ThrottledError("slow down"))

    observed.hours(3)

    assert observed.state("NoSuccessfulRunAlarm") == ALARM


def test_changes_that_cannot_be_marked_sound_stream_errors(observed: Observed) -> None:
    fail_from_now(observed, lambda: ThrottledError("slow down"))

    done = observed.invoke(stream, {"Records": [a_record(before=None, after=CLOSED)]})
    observed.wait(TICK)

    assert done.error is not None
    assert observed.state("StreamErrorsAlarm") == ALARM
    assert observed.state("FailedChangesAlarm") == ALARM


def test_changes_that_wait_an_hour_sound_stream_age(observed: Observed) -> None:
    for age in (3_700_000, 4_000_000):
        observed.note("StreamFunction", "IteratorAge", age)
        observed.wait(TICK)

    assert observed.state("StreamAgeAlarm") == ALARM


def test_event_that_was_not_delivered_sounds_undelivered(observed: Observed) -> None:
    observed.note("UndeliveredQueue", "ApproximateNumberOfMessagesVisible", 1)
    observed.wait(TICK)

    assert observed.state("UndeliveredAlarm") == ALARM


def test_reconcile_that_raises_sounds_reconcile_errors(observed: Observed) -> None:
    fail_from_now(observed, lambda: AccessDeniedError("denied"))

    done = observed.invoke(comparison, {"repair": True})
    observed.wait(TICK)

    assert isinstance(done.error, AccessDeniedError)
    assert observed.state("ReconcileErrorsAlarm") == ALARM


def test_two_days_without_a_complete_reconcile_sound_no_reconcile(observed: Observed) -> None:
    observed.invoke(comparison, {"repair": True})
    observed.wait(30 * HOUR)
    after_one = observed.state("NoReconcileAlarm")
    observed.wait(24 * HOUR)

    assert (after_one, observed.state("NoReconcileAlarm")) == (OK, ALARM)


def test_worker_that_raises_sounds_backfill_errors(observed: Observed) -> None:
    done = observed.invoke(backfill, {"bucket": "exports"})
    observed.wait(TICK)

    assert done.error is not None
    assert observed.state("BackfillErrorsAlarm") == ALARM


def test_back_fill_that_ends_early_sounds_backfill_failed(observed: Observed) -> None:
    observed.note("BackfillMachine", "ExecutionsFailed", 1)
    observed.wait(TICK)

    assert observed.state("BackfillFailedAlarm") == ALARM


@pytest.mark.parametrize("stack", [WHOLE, Stack(ADOPTED)], ids=["whole", "adopted"])
def test_every_alarm_tells_the_topic_of_trouble_and_of_its_end(stack: Stack) -> None:
    for name, alarm in stack.resources("AWS::CloudWatch::Alarm").items():
        assert alarm["Properties"]["AlarmActions"] == ["AlertTopic"], name
        assert alarm["Properties"]["OKActions"] == ["AlertTopic"], name
        assert alarm["Properties"]["TreatMissingData"], name
    assert stack.resources("AWS::SNS::Topic").keys() == {"AlertTopic"}


def test_no_alarm_is_left_out_of_these_tests() -> None:
    text = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in alarms() if f'observed.state("{name}")' not in text] == []


def test_every_queue_has_an_alarm() -> None:
    queues = set(Stack().resources("AWS::SQS::Queue"))
    watched = {
        alarm["Properties"]["Dimensions"][0]["Value"].split(".")[0]
        for alarm in Stack().resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == "AWS/SQS"
    }

    assert watched == queues


def test_dashboard_is_valid_and_shows_only_metrics_that_handlers_write(observed: Observed) -> None:
    observed.home.incidents.put_as_other_writer(an_incident(title=POISON))
    observed.invoke(batch, {})
    observed.invoke(stream, {"Records": [a_record(before=None, after=CLOSED)]})
    observed.home.ledger.acquire_lease(
        "publisher", "other", now=observed.home.clock(), seconds=600, grace_seconds=60
    )
    observed.invoke(batch, {"trigger": "tick"})
    observed.home.clock.forward(hours=1)
    observed.invoke(comparison, {})
    body = json.loads(
        Stack().resources("AWS::CloudWatch::Dashboard")["Dashboard"]["Properties"]["DashboardBody"]
    )

    shown = {
        metric[1]
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == OWN
    }

    assert shown <= {name for source, name in observed.points if source == OWN}
    assert {"IncidentsSynced", "SyncErrors", "SyncDuration"} <= shown
    assert [widget["type"] for widget in body["widgets"]].count("log") == 1
