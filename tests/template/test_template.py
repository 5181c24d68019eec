"""The stack as it is written: variables, permissions, queues, logs, tables, and what each choice makes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kbsync.aws.tables import EXPIRES_AT, incidents_table, ledger_table
from kbsync.setting_sources import load_settings
from kbsync.settings import Settings, variable
from template.stack import ADOPTED, TEMPLATE, Stack, actions_of, statements, template

NOT_GIVEN = {
    "KBSYNC_BACKEND": "the handlers are always on AWS",
    "KBSYNC_CONFIG": "a function has no file of settings",
    "KBSYNC_LOCAL_FAULTS": "embedded backend only",
    "EMBEDDER": "embedded backend only",
    "WORDS_WEIGHT": "embedded backend only",
    "AWS_REGION": "Lambda sets it itself, and refuses it in a template",
    "LEASE_SECONDS": "goes with the clients' time-outs, not with a team's wishes",
    "MCP_TOKEN": "no function serves agents",
    "SERVE_TOKEN": "no function serves pages",
    "INGESTION": "the stack always has a data source",
}
WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
"""Actions for which AWS has no resource to name. Source: Service Authorization Reference, "AWS X-Ray"."""
STACKS = {
    "new": Stack(),
    "adopted": Stack(ADOPTED),
    "adopted-with-stream": Stack({**ADOPTED, "IncidentsStreamLabel": "2026-01-01T00:00:00.000"}),
    "encrypted": Stack({"DocumentsKmsKeyArn": "arn:aws:kms:eu-west-1:000000000000:key/k"}),
    "exports": Stack({"ExportBucket": "exports-of-incidents"}),
    "records": Stack({"JsonRecordsPrefix": "records/"}),
    "foreign-base": Stack(
        {
            "ExistingKnowledgeBaseId": "VH6SRH9ZNO",
            "ExistingKnowledgeBaseRoleArn": "arn:aws:iam::000000000000:role/base",
        }
    ),
}
every_stack = pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())


@pytest.mark.slow
def test_linter_finds_nothing() -> None:
    """Slow: cfn-lint reads every resource's schema."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


@every_stack
def test_variables_are_exactly_the_settings(stack: Stack) -> None:
    settings = {variable(name) for name in Settings.model_fields}

    assert set(stack.environment("BatchFunction")) == settings - set(NOT_GIVEN) - {"BATCH_FUNCTION"}
    assert set(stack.environment("StreamFunction")) == settings - set(NOT_GIVEN) - {"DISCOVERY"}


@every_stack
@pytest.mark.parametrize("function", ["BatchFunction", "StreamFunction"])
def test_variables_make_valid_settings(stack: Stack, function: str) -> None:
    environment = stack.environment(function)

    settings = load_settings({"backend": "aws"}, environment)

    assert settings.s3_prefix == "incidents/"
    assert settings.closed_statuses == ("CLOSED",)
    assert settings.other_statuses == ("OPEN", "IN_PROGRESS", "REOPENED")
    assert settings.kb_id == stack.values["ExistingKnowledgeBaseId"] or settings.kb_id == "KnowledgeBase"
    assert settings.alert_topic_arn == "AlertTopic"


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("BatchSize", "batch_size"),
        ("PublishBytes", "publish_bytes"),
        ("MaxAttempts", "max_attempts"),
        ("RetryBackoffSeconds", "retry_backoff_seconds"),
        ("QueueShards", "queue_shards"),
        ("MetadataBudgetBytes", "metadata_budget_bytes"),
    ],
)
def test_bounds_of_parameters_are_those_of_the_settings(parameter: str, name: str) -> None:
    declared = template()["Parameters"][parameter]
    bounds = {
        key: getattr(each, key)
        for each in Settings.model_fields[name].metadata
        for key in ("ge", "le")
        if hasattr(each, key)
    }

    assert {"ge": declared["MinValue"], "le": declared["MaxValue"]} == bounds


def test_every_parameter_is_used_described_and_bounded() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    for name, each in template()["Parameters"].items():
        assert text.count(name) >= 3, f"{name} is declared and shown, and read by nothing"
        assert each["Description"].endswith(".")
        assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(each), f"{name} takes anything"
    assert {name for group in groups for name in group["Parameters"]} == set(template()["Parameters"])


@every_stack
def test_no_permission_is_a_wildcard(stack: Stack) -> None:
    for owner, statement in statements(stack):
        if statement["Effect"] == "Deny":
            continue
        actions = actions_of(statement)
        assert not [action for action in actions if "*" in action], owner
        if statement["Resource"] == "*":
            assert set(actions) <= WITHOUT_RESOURCES, owner
        else:
            assert not str(statement["Resource"]).startswith(("arn:aws:s3:::*", "*")), owner


def test_json_records_are_written_only_where_they_are_wanted() -> None:
    def published(name: str) -> list[str]:
        return [
            resource.rsplit(":", 1)[-1]
            for _, each in statements(STACKS[name])
            if each.get("Sid") == "PublishDocuments"
            for resource in each["Resource"]
        ]

    assert published("new") == ["DocumentsBucket/incidents/*"]
    assert published("records") == ["DocumentsBucket/incidents/*", "DocumentsBucket/records/*"]


def test_every_action_says_why() -> None:
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    actions = {
        action for stack in STACKS.values() for _, each in statements(stack) for action in actions_of(each)
    }

    for action in actions - {"s3:*"}:
        uses = [line for line in lines if f'"{action}"' in line]
        assert uses, action
        assert all(" # " in line for line in uses), f"{action} without a reason"


@every_stack
def test_each_function_has_alarm_queue_and_log_group(stack: Stack) -> None:
    alarms = stack.resources("AWS::CloudWatch::Alarm").values()
    groups = stack.resources("AWS::Logs::LogGroup")
    mapped = {
        each["Properties"]["FunctionName"]: each["Properties"]["DestinationConfig"]
        for each in stack.resources("AWS::Lambda::EventSourceMapping").values()
    }

    for name, each in stack.resources("AWS::Serverless::Function").items():
        properties = each["Properties"]
        watched = [
            a for a in alarms if a["Properties"]["Dimensions"] == [{"Name": "FunctionName", "Value": name}]
        ]
        assert "Errors" in [alarm["Properties"]["MetricName"] for alarm in watched], name
        group = groups[properties["LoggingConfig"]["LogGroup"]]["Properties"]
        assert group["LogGroupName"] == f"/aws/lambda/{properties['FunctionName']}"
        assert group["RetentionInDays"] >= 30
        destination = properties.get("EventInvokeConfig", {}).get("DestinationConfig") or mapped[name]
        assert destination["OnFailure"]


@every_stack
def test_schedules_carry_their_trigger_and_a_queue(stack: Stack) -> None:
    events = stack.resources("AWS::Serverless::Function")["BatchFunction"]["Properties"]["Events"]
    policy = stack.resources("AWS::SQS::QueuePolicy")["UndeliveredQueuePolicy"]["Properties"][
        "PolicyDocument"
    ]
    allowed = policy["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"]

    assert {name: each["Properties"]["Input"] for name, each in events.items()} == {
        "HourlySync": '{"trigger": "schedule"}',
        "Tick": '{"trigger": "tick"}',
    }
    assert events["HourlySync"]["Properties"]["Schedule"] == "rate(1 hour)"
    for function, made in stack.resources("AWS::Serverless::Function").items():
        for name, each in made["Properties"].get("Events", {}).items():
            assert each["Properties"]["DeadLetterConfig"]["Arn"] == "UndeliveredQueue.Arn"
            assert f"{function}{name}.Arn" in allowed


@pytest.mark.parametrize("repairs", ["true", "false"])
def test_reconcile_runs_daily_and_repairs_where_that_is_wanted(repairs: str) -> None:
    functions = Stack({"ReconcileRepairs": repairs}).resources("AWS::Serverless::Function")
    daily = functions["ReconcileFunction"]["Properties"]["Events"]["Daily"]["Properties"]

    assert daily["Schedule"] == "rate(1 day)"
    assert json.loads(daily["Input"]) == {"repair": repairs == "true"}


def test_tables_are_those_of_the_adapters() -> None:
    tables = Stack().resources("AWS::DynamoDB::Table")

    for resource, expected in {
        "IncidentsTable": incidents_table("incidents"),
        "LedgerTable": ledger_table("kbsync"),
    }.items():
        made: dict[str, Any] = tables[resource]["Properties"]
        assert {name: made[name] for name in expected if name != "TableName"} == {
            name: value for name, value in expected.items() if name != "TableName"
        }
        assert made["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert tables[resource]["DeletionPolicy"] == tables[resource]["UpdateReplacePolicy"] == "Retain"
    ttl = tables["LedgerTable"]["Properties"]["TimeToLiveSpecification"]
    assert ttl == {"AttributeName": EXPIRES_AT, "Enabled": True}


def test_existing_table_bucket_and_base_are_named_and_never_made() -> None:
    adopted = Stack(ADOPTED)
    made = adopted.resources()
    environment = adopted.environment("BatchFunction")

    assert not {"IncidentsTable", "DocumentsBucket", "DocumentsBucketPolicy", "KnowledgeBase"} & set(made)
    assert environment["INCIDENTS_TABLE"] == "incidents"
    assert environment["S3_BUCKET"] == "piloto-plan-pruebas-origen-datos-source"
    assert environment["KB_ID"] == "VH6SRH9ZNO"
    assert made["DataSource"]["Properties"]["KnowledgeBaseId"] == "VH6SRH9ZNO"


@pytest.mark.parametrize(
    ("name", "streams", "discovery"),
    [("new", True, "auto"), ("adopted", False, "index"), ("adopted-with-stream", True, "auto")],
)
def test_index_is_paged_wherever_no_stream_marks(name: str, streams: bool, discovery: str) -> None:  # noqa: FBT001 - a column of the table
    stack = STACKS[name]

    assert ("StreamMapping" in stack.resources()) is streams
    assert stack.environment("BatchFunction")["DISCOVERY"] == discovery


def test_stream_of_an_existing_table_is_the_one_of_that_table() -> None:
    mapping = STACKS["adopted-with-stream"].resources()["StreamMapping"]["Properties"]

    assert mapping["EventSourceArn"].endswith(":table/incidents/stream/2026-01-01T00:00:00.000")
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 < mapping["MaximumRetryAttempts"] < 100


def test_data_source_reads_one_prefix_and_the_index_declares_bedrocks_keys() -> None:
    made = Stack().resources()
    source = made["DataSource"]["Properties"]["DataSourceConfiguration"]["S3Configuration"]
    keys = made["VectorIndex"]["Properties"]["MetadataConfiguration"]["NonFilterableMetadataKeys"]

    assert source["InclusionPrefixes"] == ["incidents/"]
    assert keys == ["AMAZON_BEDROCK_TEXT", "AMAZON_BEDROCK_METADATA"]


def test_bucket_is_closed_encrypted_versioned_and_tls_only() -> None:
    made = Stack().resources()
    bucket = made["DocumentsBucket"]["Properties"]
    (tls,) = made["DocumentsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
        "ServerSideEncryptionByDefault"
    ] == {"SSEAlgorithm": "AES256"}
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_names_of_the_original_are_kept() -> None:
    batch = Stack().resources()["BatchFunction"]["Properties"]

    assert batch["FunctionName"] == "incident-kb-batch-sync"
    assert {"INCIDENTS_TABLE", "S3_BUCKET", "S3_PREFIX", "KB_ID", "BATCH_SIZE"} <= set(
        Stack().environment("BatchFunction")
    )
