"""Least privilege, from both sides: what the functions ask for is allowed, and what is allowed is asked for.

The calls are recorded from the real handlers at work on DynamoDB, S3, SNS and a knowledge base; the policies
are the template's, evaluated offline.
"""

from typing import Any

import boto3
import pytest

from aws_servers import REGION
from builders import an_incident
from kbsync.pipeline.changes import close_incident
from policies.actions import Need, needs_of, table_arn
from policies.deployment import HANDLERS, Deployment
from policies.policy import Grant, RolePolicy, policy_of
from template.stack import Stack

pytest_plugins = ["bedrock_double.fixtures"]

POISON = {"x": b"\x00\x01"}
LAMBDA_ITSELF = "Lambda does it for the function, under its role; no call of ours"
UNSEEN = {
    "logs:CreateLogStream": LAMBDA_ITSELF,
    "logs:PutLogEvents": LAMBDA_ITSELF,
    "xray:PutTraceSegments": "the X-Ray daemon sends what the tracer hands it over UDP",
    "xray:PutTelemetryRecords": "the X-Ray daemon sends its own counts",
    "sqs:SendMessage": LAMBDA_ITSELF,
    "dynamodb:DescribeStream": LAMBDA_ITSELF,
    "dynamodb:GetRecords": LAMBDA_ITSELF,
    "dynamodb:GetShardIterator": LAMBDA_ITSELF,
    "dynamodb:ListStreams": LAMBDA_ITSELF,
    "kms:Decrypt": "S3 asks for it where it reads an object under the key; the stand-in keeps none",
}
"""Allowed actions that no stand-in can show at work, with the reason."""


def publish_edit_and_withdraw(at: Deployment) -> None:
    """The usual life: found in the index, marked, edited, its sidecar alone, reopened, deleted."""
    at.tables.put_many([an_incident(incident_id=f"A-{n:03}") for n in range(12)])
    at.batch()
    at.write("B-000")
    at.batch()
    at.write("A-000", title="Pool of orders-db exhausted again")
    at.write("A-001", priority="P1")
    at.write("A-002", status="OPEN")
    at.delete("A-003")
    at.ticks(3)


def fail_and_recover(at: Deployment) -> None:
    """One record that nobody can read: degraded, told once, quarantined, put right, told to be over."""
    at.write("C-000", title=POISON)
    at.ticks(4)
    at.write("C-000")
    at.ticks(2)


def meet_a_foreign_job_and_an_unchanged_document(at: Deployment) -> None:
    """A job of somebody else runs; then a job that sees nothing, and the same bytes put anew."""
    at.bedrock.double.switches.conflict = 1
    at.write("D-000")
    at.ticks(2)
    at.bedrock.double.switches.zero_scan = True
    at.write("A-004", status="OPEN")
    at.ticks(1)
    at.bedrock.double.switches.zero_scan = False
    at.write("A-004")
    at.ticks(2)


def forget_what_was_never_published(at: Deployment) -> None:
    """Closed and reopened before any tick: nothing is left to withdraw, and the record goes."""
    at.write("E-000")
    at.write("E-000", status="OPEN")
    at.ticks(1)


def go_on_item_by_item(at: Deployment) -> None:
    """The same where batches of statements are refused."""
    with at.refused_statements():
        at.write("F-000")
        at.ticks(2)
        at.backfill("G-000")
        forget_what_was_never_published(at)


def mark_an_export(at: Deployment) -> None:
    """Incidents that have a record, and some that have none."""
    at.backfill("A-000", "H-000", "H-001")


def compare_and_mend(at: Deployment) -> None:
    """All that can differ: lost, orphaned and stray objects, an untrue note, deletions nobody marked."""
    bucket, s3 = at.bedrock.bucket, boto3.client("s3")
    untrue = {"status": "OPEN", "kb_sync_status": {"synced": True}}
    at.write_many([f"R-{number:03}" for number in range(30)])
    at.ticks(2)
    s3.delete_object(Bucket=bucket, Key="incidents/R-000.md")
    s3.delete_object(Bucket=bucket, Key="incidents/R-001.md.metadata.json")
    s3.put_object(Bucket=bucket, Key="incidents/STRAY.md", Body=b"# stray")
    for number in range(2, 30):
        at.tables.delete(f"R-{number:03}")
    at.tables.put_many([an_incident(incident_id="R-unmarked")])
    at.tables.put_many([an_incident(incident_id="R-open", **untrue)])
    at.reconcile()
    at.ticks(2)
    at.write("R-000", title="A later one")
    with at.refused_statements():
        at.tables.put_many([an_incident(incident_id="R-again", **untrue)])
        at.reconcile()


@pytest.mark.slow
def test_calls_are_what_the_policies_allow_and_the_policies_what_is_called(deployment: Deployment) -> None:
    """Slow: some thirty runs of all functions, each over HTTP, are what uses every permission."""
    publish_edit_and_withdraw(deployment)
    fail_and_recover(deployment)
    meet_a_foreign_job_and_an_unchanged_document(deployment)
    forget_what_was_never_published(deployment)
    go_on_item_by_item(deployment)
    mark_an_export(deployment)
    compare_and_mend(deployment)

    denied: dict[str, list[Need]] = {}
    unused: dict[str, set[Grant]] = {}
    for function in HANDLERS:
        policy = policy_of(deployment.stack, function)
        needs = deployment.recorder.needs[function]
        denied[function] = [need for need in needs if not policy.judge(need)]
        used = {grant for need in needs for grant in policy.judge(need)}
        unused[function] = {each for each in policy.grants() - used if each.action not in UNSEEN}
    assert denied == {function: [] for function in HANDLERS}
    assert unused == {function: set() for function in HANDLERS}


def test_every_function_of_the_template_is_driven() -> None:
    assert set(Stack({"ExportBucket": "exports"}).resources("AWS::Serverless::Function")) == set(HANDLERS)


def test_every_unseen_action_is_allowed_somewhere(deployment: Deployment) -> None:
    granted = {
        grant.action for function in HANDLERS for grant in policy_of(deployment.stack, function).grants()
    }

    assert set(UNSEEN) <= granted


def test_change_of_our_own_api_needs_both_tables(deployment: Deployment) -> None:
    """Whoever calls `close_incident` writes incident and mark; no function of the stack may."""
    deployment.tables.put_many([an_incident(status="OPEN")])

    with deployment.recorder.working("caller"):
        close_incident(deployment.engine, "INC-1001")

    incidents, ledger = deployment.tables.incidents.name, deployment.tables.records.name
    put = Need("dynamodb:PutItem", table_arn(incidents))
    assert {put, Need("dynamodb:UpdateItem", table_arn(ledger))} <= deployment.recorder.needs["caller"]
    assert policy_of(deployment.stack, "BatchFunction").judge(put) == set()


def test_calls_of_the_tests_themselves_are_not_taken_for_ours(deployment: Deployment) -> None:
    with deployment.recorder.working("BatchFunction"):
        boto3.client("dynamodb", region_name=REGION).scan(TableName=deployment.tables.records.name)

    assert deployment.recorder.needs == {}


TABLE = "arn:aws:dynamodb:eu-west-1:000000000000:table/incidents"
OBJECT = "arn:aws:s3:::bucket/incidents/INC-1.md"
POLICY = RolePolicy(
    [
        {"Sid": "Read", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": [TABLE]},
        {
            "Sid": "Put",
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject"],
            "Resource": ["arn:aws:s3:::bucket/incidents/*"],
        },
        {
            "Sid": "Never",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": ["arn:aws:s3:::bucket/incidents/secret.m?"],
        },
    ]
)


@pytest.mark.parametrize(
    ("action", "resource", "allowed_by"),
    [
        ("dynamodb:GetItem", TABLE, {"Read"}),
        ("dynamodb:PutItem", TABLE, set()),
        ("dynamodb:GetItem", f"{TABLE}/index/GSI-2-status-priority", set()),
        ("dynamodb:GetItem", f"{TABLE}-other", set()),
        ("s3:PutObject", OBJECT, {"Put"}),
        ("s3:PutObject", "arn:aws:s3:::bucket/records/INC-1.json", set()),
        ("s3:PutObject", "arn:aws:s3:::bucket/incidents/secret.md", set()),
        ("s3:GetObject", "arn:aws:s3:::bucket/incidents/secret.md", {"Put"}),
    ],
    ids=["table", "action", "index", "longer-name", "object", "prefix", "denied", "denied-for-puts-only"],
)
def test_policy_is_evaluated_as_iam_does(action: str, resource: str, allowed_by: set[str]) -> None:
    assert {grant.sid for grant in POLICY.judge(Need(action, resource))} == allowed_by


@pytest.mark.parametrize(
    ("operation", "params", "actions"),
    [
        (
            "BatchExecuteStatement",
            {"Statements": [{"Statement": 'UPDATE "t" SET a=?'}, {"Statement": 'DELETE FROM "t" WHERE a=?'}]},
            ["dynamodb:PartiQLUpdate", "dynamodb:PartiQLDelete"],
        ),
        ("BatchGetItem", {"RequestItems": {"t": {}, "u": {}}}, ["dynamodb:BatchGetItem"] * 2),
        ("PutObject", {"Bucket": "b", "Key": "k", "IfNoneMatch": "*"}, ["s3:PutObject"]),
        ("PutObject", {"Bucket": "b", "Key": "k", "IfMatch": '"1"'}, ["s3:PutObject", "s3:GetObject"]),
        ("HeadObject", {"Bucket": "b", "Key": "k"}, ["s3:GetObject", "s3:ListBucket"]),
    ],
    ids=["statements", "two-tables", "new-object", "replaced-object", "head"],
)
def test_call_needs_what_aws_asks_for_it(operation: str, params: dict[str, Any], actions: list[str]) -> None:
    assert [need.action for need in needs_of(operation, params)] == actions


def test_call_that_nobody_thought_of_is_an_error() -> None:
    with pytest.raises(ValueError, match="DeleteTable is in no rule"):
        needs_of("DeleteTable", {"TableName": "t"})
