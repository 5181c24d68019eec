"""The stack as a stand-in for AWS deploys it: everything comes up, wired as the template says."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from template.stack import Stack, uploaded_template

pytestmark = pytest.mark.xdist_group("deployed")  # the stack is made once, in one worker

NAME = "kbsync-template"
CODE = "kbsync-template-code"
ROUNDS = 10
PARAMETERS = {
    "ExistingKnowledgeBaseId": "VH6SRH9ZNO",
    "ExistingDataSourceId": "ABCDEFGHIJ",
    "AlertEmail": "team@example.com",
    "SchedulesState": "DISABLED",
    "FunctionName": "template-sync",
    "ExportBucket": "kbsync-template-exports",
}
"""Without a new knowledge base, which the stand-in does not make, and without schedules that start runs."""


class Deployed:
    """The stack's real names: what a resource of the template is called where it was deployed."""

    def __init__(self) -> None:
        cloudformation = boto3.client("cloudformation")
        self.status = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"]
        listed = cloudformation.list_stack_resources(StackName=NAME)["StackResourceSummaries"]
        self.names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}
        self.template = Stack(PARAMETERS)


@pytest.fixture(scope="module")
def deployed(ministack: str) -> Iterator[Deployed]:
    """Deploy the template once; only the folder of the code is replaced by an uploaded archive."""
    assert ministack
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("kbsync/__init__.py", "")
    s3, cloudformation = boto3.client("s3"), boto3.client("cloudformation")
    s3.create_bucket(Bucket=CODE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=CODE, Key="code.zip", Body=packed.getvalue())
    cloudformation.create_stack(
        StackName=NAME,
        TemplateURL=uploaded_template(CODE),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    yield Deployed()
    cloudformation.delete_stack(StackName=NAME)


@pytest.mark.slow
def test_every_resource_of_the_template_is_made(deployed: Deployed) -> None:
    """Slow: the stand-in translates and deploys the whole stack."""
    assert deployed.status == "CREATE_COMPLETE"
    assert set(deployed.template.resources()) <= set(deployed.names)


def test_deployed_alarms_are_those_that_the_tests_evaluate(deployed: Deployed) -> None:
    made = {each["AlarmName"]: each for each in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    topic = deployed.names["AlertTopic"]

    for alarm in deployed.template.resources("AWS::CloudWatch::Alarm").values():
        wanted: dict[str, Any] = alarm["Properties"]
        found: dict[str, Any] = dict(made[wanted["AlarmName"]])
        for name in ("Namespace", "MetricName", "Statistic", "ComparisonOperator", "TreatMissingData"):
            assert found[name] == wanted[name]
        for name in ("Period", "EvaluationPeriods", "Threshold"):
            assert float(found[name]) == float(wanted[name])
        assert found["AlarmActions"] == found["OKActions"] == [topic]
        (dimension,) = found["Dimensions"]
        (expected,) = wanted["Dimensions"]
        resource = expected["Value"].split(".")[0]
        assert dimension["Name"] == expected["Name"]
        assert deployed.names.get(resource, resource).endswith(dimension["Value"])


def test_deployed_schedules_name_function_input_and_queue(deployed: Deployed) -> None:
    events = boto3.client("events")

    for name, function, given in (
        ("BatchFunctionHourlySync", "template-sync", {"trigger": "schedule"}),
        ("BatchFunctionTick", "template-sync", {"trigger": "tick"}),
        ("ReconcileFunctionDaily", "template-sync-reconcile", {"repair": True}),
    ):
        rule = deployed.names[name].rsplit("/", 1)[-1]
        (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
        assert events.describe_rule(Name=rule)["State"] == "DISABLED"
        assert target["Arn"].endswith(f":function:{function}")
        assert json.loads(target["Input"]) == given
        queue = deployed.names["UndeliveredQueue"].rsplit("/", 1)[-1]
        assert target["DeadLetterConfig"]["Arn"].endswith(f":{queue}")


def test_deployed_variables_name_deployed_resources(deployed: Deployed) -> None:
    configuration = boto3.client("lambda").get_function_configuration(FunctionName="template-sync")
    variables = configuration["Environment"]["Variables"]

    assert variables["INCIDENTS_TABLE"] == deployed.names["IncidentsTable"]
    assert variables["KBSYNC_TABLE"] == deployed.names["LedgerTable"]
    assert variables["S3_BUCKET"] == deployed.names["DocumentsBucket"]
    assert variables["ALERT_TOPIC_ARN"] == deployed.names["AlertTopic"]
    assert set(variables) == set(deployed.template.environment("BatchFunction"))


def test_deployed_stream_feeds_the_marker(deployed: Deployed) -> None:
    (mapping,) = [
        each
        for each in boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        if each["FunctionArn"].endswith(":function:template-sync-stream")
    ]
    table = boto3.client("dynamodb").describe_table(TableName=deployed.names["IncidentsTable"])["Table"]
    queue = deployed.names["FailedChangesQueue"].rsplit("/", 1)[-1]

    assert mapping["EventSourceArn"] == table["LatestStreamArn"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"].endswith(f":{queue}")


def test_deployed_failures_go_to_their_queue_at_once(deployed: Deployed) -> None:
    config = boto3.client("lambda").get_function_event_invoke_config(
        FunctionName="template-sync", Qualifier="$LATEST"
    )
    queue = deployed.names["FailedRunsQueue"].rsplit("/", 1)[-1]

    assert config["MaximumRetryAttempts"] == 0
    assert config["DestinationConfig"]["OnFailure"]["Destination"].endswith(f":{queue}")


class Inbox:
    """A queue that listens to the stack's topic, as a person's mail does."""

    def __init__(self, topic: str) -> None:
        self._sqs = boto3.client("sqs")
        self.url = self._sqs.create_queue(QueueName=f"{NAME}-inbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        boto3.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"]
        )

    def alarms(self) -> list[str]:
        """Return the names of the alarms that were told since the last look; waits a second at most."""
        told = []
        reply = self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for each in reply.get("Messages", []):
            message = json.loads(json.loads(each["Body"])["Message"])
            if message["NewStateValue"] == "ALARM":
                told.append(message["AlarmName"])
            self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
        return told


def a_breach(alarm: dict[str, Any]) -> float:
    """Return a value of the alarm's metric that is over, or for a missing success under, its threshold."""
    threshold = float(alarm["Threshold"])
    return threshold - 1 if alarm["ComparisonOperator"].startswith("LessThan") else threshold + 1


@pytest.mark.slow
def test_every_alarm_that_sounds_reaches_the_subscribers_of_the_topic(deployed: Deployed) -> None:
    """Slow: each alarm is driven by its own metric; the stand-in evaluates alarms when metrics come in."""
    cloudwatch, inbox = boto3.client("cloudwatch"), Inbox(deployed.names["AlertTopic"])
    names = {each["Properties"]["AlarmName"] for each in alarms_of(deployed)}
    made = [each for each in cloudwatch.describe_alarms()["MetricAlarms"] if each["AlarmName"] in names]
    silent = {each["AlarmName"] for each in made if each["StateValue"] != "ALARM"}

    told: set[str] = set()
    for _ in range(ROUNDS):
        for alarm in made:
            drive(alarm)
        told |= set(inbox.alarms())
        if told == names:
            break

    after = {each["AlarmName"]: each["StateValue"] for each in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert silent == names
    assert {after[name] for name in names} == {"ALARM"}
    assert told == names


def alarms_of(deployed: Deployed) -> list[dict[str, Any]]:
    return list(deployed.template.resources("AWS::CloudWatch::Alarm").values())


def drive(alarm: Any) -> None:  # as boto3 describes it
    """Put one breaching value into each period that the alarm looks at."""
    now = datetime.now(UTC)
    boto3.client("cloudwatch").put_metric_data(
        Namespace=alarm["Namespace"],
        MetricData=[
            {
                "MetricName": alarm["MetricName"],
                "Dimensions": alarm["Dimensions"],
                "Timestamp": now - timedelta(seconds=alarm["Period"] * age),
                "Value": a_breach(alarm),
            }
            for age in range(alarm["EvaluationPeriods"])
        ],
    )
