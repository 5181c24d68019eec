"""The deployed stack at work: incidents that plain boto3 wrote become searchable, by the real functions.

As many incidents as are quick by default; the full numbers, 200 of which 60 are done:
`KBSYNC_STACK_INCIDENTS=200 .venv/bin/python -m pytest tests/template/test_stack_runs.py`.

The functions run the package that deploy/build.sh makes for this machine (`make test-setup`), with the
sources of this working tree in it; DynamoDB, S3, Lambda and stream are the stand-in's, Bedrock our double.
"""

import gzip
import io
import json
import os
import sys
import time
import zipfile
from collections import Counter
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
from exports import export_lines
from template.stack import uploaded_template

pytest_plugins = ["bedrock_double.fixtures"]

pytestmark = pytest.mark.xdist_group("running")  # the stack is made once, in one worker

BUNDLE = Path(f"{sys.prefix}-bundle")
STACK, CODE, FUNCTION = "kbsync-runs", "kbsync-runs-code", "runs-sync"
COUNT = int(os.environ.get("KBSYNC_STACK_INCIDENTS", "40"))
DONE_COUNT = COUNT * 3 // 10
"""So many are synced, with our full record, before the others are written; they sort first in the index."""
OLD_COUNT = COUNT // 10
"""So many more say `synced: true` from the old function, which left a `.json` that nobody can search."""
OLD_STATUS = {"synced": True, "synced_at": "2025-01-01T00:00:00.000Z", "sync_attempts": 1}
LIMIT_SECONDS = 300.0
FORGOTTEN = 5
WAIT_SECONDS = "60"
JOB_SECONDS = 2.0


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
        for name in (FUNCTION, f"{FUNCTION}-stream", f"{FUNCTION}-backfill"):
            self._point_at(name, server.address)
        # The tests say when a run begins; the last one lets the marker ask for it.
        self.set(f"{FUNCTION}-stream", BATCH_FUNCTION="")

    def _point_at(self, function: str, address: str) -> None:
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"][
            "Variables"
        ]
        services = ("BEDROCK_AGENT", "BEDROCK_AGENT_RUNTIME")
        variables |= {f"AWS_ENDPOINT_URL_{service}": address for service in services}
        variables |= {"KB_ID": self.place.knowledge_base_id, "DATA_SOURCE_ID": self.place.data_source_id}
        self.set(function, **variables)

    def set(self, function: str, **changes: str) -> None:
        """Set variables of a function, beside those that it has."""
        configuration = self.functions.get_function_configuration(FunctionName=function)
        variables = {**configuration["Environment"]["Variables"], **changes}
        self.functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables}
        )

    def write(self, numbers: range, **changes: object) -> None:
        """Write incidents as the original's snippet does: plain boto3, no mark of ours.

        Returns when the stream has marked each: a mark during a run leaves its incident to the next one.
        """
        serializer, table = TypeSerializer(), boto3.client("dynamodb")
        for number in numbers:
            changed = {"error_message": f"ORA-{number:05} at commit", **changes}
            item = an_incident(incident_id=f"INC-{number:03}", **changed)
            values = {name: serializer.serialize(value) for name, value in item.items()}
            table.put_item(TableName=self.names["IncidentsTableName"], Item=values)
        ends = time.monotonic() + LIMIT_SECONDS
        while not self.marked() >= {f"INC-{number:03}" for number in numbers} and time.monotonic() < ends:
            pass

    def marked(self) -> frozenset[str]:
        """Return the incidents that the ledger knows."""
        pages = (
            boto3.client("dynamodb").get_paginator("scan").paginate(TableName=self.names["LedgerTableName"])
        )
        keys = (item["pk"]["S"] for page in pages for item in page["Items"])
        return frozenset(key.removeprefix("incident#") for key in keys if key.startswith("incident#"))

    def puts(self) -> dict[str, int]:
        """Return how often each object was put, the runs' own pages apart: the bucket keeps every version."""
        pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=self.place.bucket)
        keys = (each["Key"] for page in pages for each in page.get("Versions", ()))
        return dict(Counter(key for key in keys if not key.startswith("runs/")))

    def ticks_until_synced(self, count: int) -> None:
        """Invoke the tick, as the schedule does, until so many say that they are synced."""
        ends = time.monotonic() + LIMIT_SECONDS
        while len(self.synced()) < count and time.monotonic() < ends:
            self.invoke("tick")

    def invoke(self, trigger: str) -> dict[str, Any]:
        reply = self.functions.invoke(FunctionName=FUNCTION, Payload=json.dumps({"trigger": trigger}))
        answer = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, answer
        return dict(answer)

    def forget(self, incident_id: str) -> None:
        """Delete an incident's record, as if it had never been seen."""
        key = {"pk": {"S": f"incident#{incident_id}"}, "sk": {"S": "RECORD"}}
        boto3.client("dynamodb").delete_item(TableName=self.names["LedgerTableName"], Key=key)

    def execute(self, given: dict[str, str]) -> dict[str, Any]:
        """Run the back-fill's state machine to its end."""
        states = boto3.client("stepfunctions")
        arn = states.start_execution(
            stateMachineArn=self.names["BackfillMachineArn"], input=json.dumps(given)
        )["executionArn"]
        ends = time.monotonic() + LIMIT_SECONDS
        while True:
            described = dict(states.describe_execution(executionArn=arn))
            if described["status"] != "RUNNING" or time.monotonic() > ends:
                return described

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
        "ExportBucket": CODE,
    }
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=uploaded_template(CODE),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    yield Running(bedrock_server)
    cloudformation.delete_stack(StackName=STACK)


@pytest.fixture(scope="module")
def first(running: Running) -> dict[str, Any]:
    """What the first run said, whose job outlasts it; the ticks have confirmed its incidents since."""
    running.write(range(DONE_COUNT), priority="P1")
    running.double.switches.job_seconds = LIMIT_SECONDS
    report = running.invoke("schedule")
    running.double.switches.job_seconds = JOB_SECONDS
    running.ticks_until_synced(DONE_COUNT)
    return report


@pytest.mark.slow
def test_closed_incidents_are_published_by_the_batch_and_confirmed_by_ticks(
    running: Running, first: dict[str, Any], bedrock_server: Server
) -> None:
    """Slow: a stack is deployed, its functions start, and a job outlasts the run that started it."""
    assert (first["status"], first["successfully_synced"]) == ("ok", 0)
    assert len(running.synced()) == DONE_COUNT
    assert len(running.puts()) == 2 * DONE_COUNT
    assert bedrock_server.violations == []


@pytest.mark.slow
def test_one_is_found_by_its_error_text(
    running: Running, first: dict[str, Any], bedrock_server: Server
) -> None:
    """Slow: works on what the deployed stack has published."""
    runtime = boto3.client("bedrock-agent-runtime", endpoint_url=bedrock_server.address)

    answer = runtime.retrieve(
        knowledgeBaseId=running.place.knowledge_base_id, retrievalQuery={"text": "ORA-00007 at commit"}
    )

    found = [hit["metadata"]["incident_id"] for hit in answer["retrievalResults"]]
    assert first["published"] > 0
    assert found[0] == "INC-007"


@pytest.mark.slow
def test_others_behind_those_that_are_done_are_synced_by_one_run_that_waits(
    running: Running, first: dict[str, Any], bedrock_server: Server
) -> None:
    """Slow: the run sees its job through.

    O-09: nothing that is done is put again, or stands in the way. `true` of the old function counts as not
    synced; its `.json` stays where it is, and the `.md` comes beside it.
    """
    everyone = range(COUNT + OLD_COUNT)
    for number in everyone[COUNT:]:
        key = f"incidents/INC-{number:03}.json"
        boto3.client("s3").put_object(Bucket=running.place.bucket, Key=key, Body=b"{}")
    running.set(FUNCTION, WAIT_SECONDS=WAIT_SECONDS)
    running.write(everyone[COUNT:], priority="P2", kb_sync_status=OLD_STATUS)
    running.write(everyone[DONE_COUNT:COUNT], priority="P2")

    report = running.invoke("schedule")
    running.ticks_until_synced(len(everyone))
    last = running.invoke("schedule")

    puts = {key: count for key, count in running.puts().items() if not _is_old(key)}
    assert (first["published"], report["status"], report["failed"]) == (DONE_COUNT, "ok", 0)
    assert report["successfully_synced"] > 0
    assert len(running.synced()) == len(everyone)
    assert sorted(puts) == sorted(
        f"incidents/INC-{number:03}.md{end}" for number in everyone for end in ("", ".metadata.json")
    )
    assert set(puts.values()) == {1}
    assert (last["published"], last["failed"], last["pending"]) == (0, 0, 0)
    assert bedrock_server.violations == []


@pytest.mark.slow
def test_export_is_marked_file_by_file_by_the_state_machine_and_published_by_one_batch(
    running: Running, first: dict[str, Any]
) -> None:
    """Slow: the stand-in interprets the machine's own definition; each file is a call of the real worker.

    The ledger forgets a few incidents, as one that never knew them; the export brings them back.
    """
    assert first["published"] >= FORGOTTEN
    ids = [f"INC-{number:03}" for number in range(FORGOTTEN)]
    for each in ids:
        running.forget(each)
    place = write_export_objects([ids[:2], ids[2:]])

    done = running.execute({"manifest": place})

    assert done["status"] == "SUCCEEDED", done
    assert running.marked() >= set(ids)
    running.invoke("tick")
    running.ticks_until_synced(FORGOTTEN)


def write_export_objects(files: list[list[str]]) -> str:
    """Put an export of these incidents beside the code, and return its manifest's key."""
    s3, manifest = boto3.client("s3"), []
    for number, ids in enumerate(files):
        key = f"AWSDynamoDB/0170/data/{number}.json.gz"
        items = [an_incident(incident_id=each, error_message="of the export") for each in ids]
        s3.put_object(Bucket=CODE, Key=key, Body=gzip.compress(export_lines(items)))
        manifest.append(json.dumps({"itemCount": len(ids), "dataFileS3Key": key}))
    s3.put_object(Bucket=CODE, Key="AWSDynamoDB/0170/manifest-files.json", Body="\n".join(manifest).encode())
    return "AWSDynamoDB/0170/manifest-files.json"


def _is_old(key: str) -> bool:
    return key.endswith(".json") and not key.endswith(".metadata.json")


@pytest.mark.slow
def test_change_is_searchable_by_the_run_that_the_marker_asked_for(
    running: Running, first: dict[str, Any]
) -> None:
    """Slow: nobody starts a run here, and no schedule does."""
    assert first["status"] == "ok"
    number = COUNT + OLD_COUNT + FORGOTTEN + 1
    running.set(f"{FUNCTION}-stream", BATCH_FUNCTION=FUNCTION)

    running.write(range(number, number + 1), priority="P1")

    ends = time.monotonic() + LIMIT_SECONDS
    while f"INC-{number:03}" not in running.synced() and time.monotonic() < ends:
        pass
    assert f"INC-{number:03}" in running.synced()
