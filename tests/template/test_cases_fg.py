"""Sections F and G of the cases, where they are about the stack: failures have a place, silence an alarm."""

from typing import Any

import pytest

from builders import Home
from kbsync.lambda_handlers.batch import handler as batch
from lambda_.running import call
from lambda_.test_batch import BATCH
from template.alarms import ALARM, OK, state_of
from template.stack import ADOPTED, Stack, actions_of

STACKS = {
    "new": Stack(),
    "adopted-with-stream": Stack({**ADOPTED, "IncidentsStreamLabel": "2026-01-01T00:00:00.000"}),
}
every_stack = pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
HOUR = 3600.0


def may_send(stack: Stack, role: str, queue: str) -> bool:
    properties = stack.resources("AWS::IAM::Role")[role]["Properties"]
    return any(
        "sqs:SendMessage" in actions_of(each) and each["Resource"] == f"{queue}.Arn"
        for policy in properties["Policies"]
        for each in policy["PolicyDocument"]["Statement"]
    )


def has_alarm(stack: Stack, queue: str) -> bool:
    return any(
        alarm["Properties"]["Dimensions"] == [{"Name": "QueueName", "Value": f"{queue}.QueueName"}]
        and alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for alarm in stack.resources("AWS::CloudWatch::Alarm").values()
    )


@every_stack
def test_o_56_function_that_raises_has_a_queue_of_its_own(stack: Stack) -> None:
    function = stack.resources("AWS::Serverless::Function")["BatchFunction"]["Properties"]
    config: dict[str, Any] = function["EventInvokeConfig"]

    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": "FailedRunsQueue.Arn",
    }
    assert may_send(stack, "BatchRole", "FailedRunsQueue")
    assert has_alarm(stack, "FailedRunsQueue")


@every_stack
@pytest.mark.parametrize("schedule", ["HourlySync", "Tick"])
def test_o_56_schedule_that_cannot_deliver_has_another(stack: Stack, schedule: str) -> None:
    function = stack.resources("AWS::Serverless::Function")["BatchFunction"]["Properties"]
    event = function["Events"][schedule]["Properties"]
    policy = stack.resources("AWS::SQS::QueuePolicy")["UndeliveredQueuePolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert event["DeadLetterConfig"] == {"Arn": "UndeliveredQueue.Arn"}
    assert "MaximumRetryAttempts" in event["RetryPolicy"]
    assert policy["Queues"] == ["UndeliveredQueue"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert f"BatchFunction{schedule}.Arn" in statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert has_alarm(stack, "UndeliveredQueue")


@every_stack
def test_o_56_changes_that_cannot_be_marked_have_a_third(stack: Stack) -> None:
    mapping = stack.resources("AWS::Lambda::EventSourceMapping")["StreamMapping"]["Properties"]

    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "FailedChangesQueue.Arn"
    assert may_send(stack, "StreamRole", "FailedChangesQueue")
    assert has_alarm(stack, "FailedChangesQueue")


@every_stack
def test_o_60_error_alarm_takes_silence_for_health_and_another_takes_it_for_trouble(stack: Stack) -> None:
    alarms = stack.resources("AWS::CloudWatch::Alarm")
    errors, heartbeat = (
        alarms["RunErrorsAlarm"]["Properties"],
        alarms["NoSuccessfulRunAlarm"]["Properties"],
    )

    assert state_of(errors, [], now_seconds=3 * HOUR) == OK
    assert state_of(heartbeat, [], now_seconds=3 * HOUR) == ALARM


@every_stack
def test_o_60_thresholds_fit_one_run_an_hour(stack: Stack) -> None:
    """The original's `more than 5 errors in an hour` could never be reached by one run."""
    alarms = stack.resources("AWS::CloudWatch::Alarm")
    errors, heartbeat = (
        alarms["RunErrorsAlarm"]["Properties"],
        alarms["NoSuccessfulRunAlarm"]["Properties"],
    )
    one_run = [(2.5 * HOUR, 1.0)]
    late = [(3 * HOUR - 1, 1.0)]

    assert state_of(heartbeat, one_run, now_seconds=3 * HOUR) == OK
    assert state_of(errors, late, now_seconds=3 * HOUR) == ALARM


def test_o_60_run_with_nothing_to_do_tells_of_its_success(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    done = call(batch, BATCH, capsys)

    assert done.answer["total_found"] == 0
    assert done.total["BatchesSucceeded"] == 1
    assert home.keys() == set()
