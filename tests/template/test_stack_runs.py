"""The deployed stack at work: incidents that plain boto3 wrote become searchable, by the real functions.

The functions run the package that deploy/build.sh makes for this machine (`make test-setup`), with the
sources of this working tree in it; DynamoDB, S3, Lambda and stream are the stand-in's, Bedrock our double.
"""

import io
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config

import kbsync
from bedrock_double.double import Double
from bedrock_double.server import Server
from bedrock_double.switches import Place, Switches
from builders import an_incident
from template.stack import TEMPLATE

pytest_plugins = ["bedrock_double.fixtures"]

BUNDLE = Path(f"{sys.prefix}-bundle")
STACK, CODE, FUNCTION = "kbsync-runs", "kbsync-runs-code", "runs-sync"
COUNT = 40
LIMIT_SECONDS = 120.0
JOB_SECONDS = 3.0


def archive() -> bytes:
    """Return the package as an archive, kbsync itself from this working tree."""
    packed = io.BytesIO()
    sources = Path(kbsync.__file__).parent
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for root, start in ((BUNDLE, BUNDLE), (sources, sources.parent)):
            for path in sorted(root.rglob("*")):
                name = path.relative_to(start)
                bundled = root == BUNDLE and name.parts[0] == "kbsync"
                if path.is_file() and "__pycache__" not in name.parts and not bundled:
                    file.write(path, name.as_posix())
    return packed.getvalue()


class Running:
    """The deployed stack with a knowledge base behind it."""

    def __init__(self, server: Server) -> None:
        described = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.names = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        self.place = Place(bucket=self.names["BucketName"], prefix="incidents/")
        self.double = Double(boto3.client("s3"), self.place, switches=Switches(job_seconds=JOB_SECONDS))
        server.double = self.double
        self.functions = boto3.client("lambda", config=Config(read_timeout=300))
        for name in (FUNCTION, f"{FUNCTION}-stream"):
            self._point_at(name, server.address)

    def _point_at(self, function: str, address: str) -> None:
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"][
            "Variables"
        ]
        services = ("BEDROCK_AGENT", "BEDROCK_AGENT_RUNTIME")
        variables |= {f"AWS_ENDPOINT_URL_{service}": address for service in services}
        variables |= {"KB_ID": self.place.knowledge_base_id, "DATA_SOURCE_ID": self.place.data_source_id}
        self.functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables}
        )

    def invoke(self, trigger: str) -> dict[str, Any]:
        reply = self.functions.invoke(FunctionName=FUNCTION, Payload=json.dumps({"trigger": trigger}))
        answer = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, answer
        return dict(answer)

    def synced(self) -> list[str]:
        pages = (
            boto3.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.names["IncidentsTableName"])
        )
        items = [item for page in pages for item in page["Items"]]
        return [each["incident_id"]["S"] for each in items if each["kb_sync_status"]["M"]["synced"]["BOOL"]]


@pytest.fixture(scope="module")
def running(ministack: str, bedrock_server: Server) -> Iterator[Running]:
    if not BUNDLE.is_dir():
        pytest.skip(f"{BUNDLE.name} is missing: run `make test-setup`")
    assert ministack
    s3, cloudformation = boto3.client("s3"), boto3.client("cloudformation")
    s3.create_bucket(Bucket=CODE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=CODE, Key="code.zip", Body=archive())
    parameters = {
        "ExistingKnowledgeBaseId": "VH6SRH9ZNO",
        "ExistingDataSourceId": "ABCDEFGHIJ",
        "SchedulesState": "DISABLED",
        "FunctionName": FUNCTION,
        "WaitSeconds": "0",
    }
    body = TEMPLATE.read_text(encoding="utf-8")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=body.replace("CodeUri: deploy", f"CodeUri: {{Bucket: {CODE}, Key: code.zip}}"),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    yield Running(bedrock_server)
    cloudformation.delete_stack(StackName=STACK)


@pytest.mark.slow
def test_closed_incidents_are_published_by_the_batch_and_confirmed_by_ticks(
    running: Running, bedrock_server: Server
) -> None:
    """Slow: a stack is deployed, its functions start, and a job outlasts the run that started it."""
    serializer, table = TypeSerializer(), boto3.client("dynamodb")
    for number in range(COUNT):
        item = an_incident(incident_id=f"INC-{number:03}", error_message=f"ORA-{number:05} at commit")
        values = {name: serializer.serialize(value) for name, value in item.items()}
        table.put_item(TableName=running.names["IncidentsTableName"], Item=values)

    first = running.invoke("schedule")
    ends = time.monotonic() + LIMIT_SECONDS
    while len(running.synced()) < COUNT and time.monotonic() < ends:
        running.invoke("tick")
    last = running.invoke("schedule")

    listed = boto3.client("s3").list_objects_v2(Bucket=running.place.bucket)["Contents"]
    assert first["status"] == "ok"
    assert len(running.synced()) == COUNT
    assert len(listed) == 2 * COUNT
    assert (last["published"], last["failed"], last["pending"]) == (0, 0, 0)
    assert bedrock_server.violations == []


@pytest.mark.slow
def test_one_is_found_by_its_error_text(running: Running, bedrock_server: Server) -> None:
    """Slow: works on what the deployed stack has published."""
    runtime = boto3.client("bedrock-agent-runtime", endpoint_url=bedrock_server.address)

    answer = runtime.retrieve(
        knowledgeBaseId=running.place.knowledge_base_id, retrievalQuery={"text": "ORA-00007 at commit"}
    )

    found = [hit["metadata"]["incident_id"] for hit in answer["retrievalResults"]]
    assert found[0] == "INC-007"
