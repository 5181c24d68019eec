"""The real handlers under Lambda's own runtime client, with DynamoDB, S3 and a knowledge base behind them.

awslambdaric is what runs Python on Lambda; where it has no wheel (it is for Linux), these tests are skipped.
"""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from aws_servers import ENVIRONMENT
from aws_tables import AwsTables
from bedrock_double.subjects import BedrockSubject
from builders import an_incident
from kbsync.model import State
from lambda_.running import Call, read_emf
from lambda_.runtime_api import running_function
from lambda_.test_stream import CLOSED, OPEN, a_record
from template.stack import Stack

pytest_plugins = ["bedrock_double.fixtures"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("awslambdaric") is None, reason="awslambdaric has no wheel for this machine"
    ),
]


@dataclass
class Place:
    """Where the functions work: tables, bucket and knowledge base, and the addresses of their stand-ins."""

    tables: AwsTables
    bedrock: BedrockSubject
    address: str

    def environment(self, function: str, **changes: str) -> dict[str, str]:
        """Return the function's variables as the template gives them, with the names of this place."""
        place = self.bedrock.double.place
        return {
            **ENVIRONMENT,
            **Stack().environment(function),
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_LAMBDA_FUNCTION_NAME": "incident-kb-batch-sync",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "INCIDENTS_TABLE": self.tables.incidents.name,
            "KBSYNC_TABLE": self.tables.records.name,
            "S3_BUCKET": self.bedrock.bucket,
            "KB_ID": place.knowledge_base_id,
            "DATA_SOURCE_ID": place.data_source_id,
            "ALERT_TOPIC_ARN": "",
            "WAIT_SECONDS": "0",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ENDPOINT_URL_BEDROCK_AGENT": self.bedrock.server.address,
            "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": self.bedrock.server.address,
            **changes,
        }


@pytest.fixture
def place(ministack: str, bedrock: BedrockSubject) -> Iterator[Place]:
    tables = AwsTables()
    yield Place(tables, bedrock, ministack)
    tables.close()


def handler_of(function: str) -> str:
    """Return the handler that the template names."""
    return str(Stack().resources("AWS::Serverless::Function")[function]["Properties"]["Handler"])


def metrics_of(lines: list[str]) -> Mapping[str, float]:
    done = Call()
    for line in lines:
        if line.startswith("{"):
            read_emf(json.loads(line), done)
    return done.total


def test_stream_marks_and_the_tick_publishes_under_the_real_runtime(place: Place) -> None:
    """Slow: two interpreters start and load boto3, one for each function."""
    place.tables.put_many([an_incident(incident_id="INC-7")])
    closing = {"Records": [a_record("INC-7", before=OPEN, after=CLOSED)]}

    with running_function(handler_of("StreamFunction"), place.environment("StreamFunction")) as stream:
        marked = stream.invoke(closing)
    with running_function(handler_of("BatchFunction"), place.environment("BatchFunction")) as batch:
        ticked = batch.invoke({"trigger": "tick"})
        lines = batch.lines()

    assert (marked.kind, marked.body) == ("response", {"batchItemFailures": []})
    answer = ticked.body
    assert (ticked.kind, answer["status"], answer["total_found"]) == ("response", "ok", 1)
    assert place.tables.ledger.records(["INC-7"])["INC-7"].state is State.PUBLISHED
    assert place.bedrock.open().jobs(limit=1)
    assert metrics_of(lines)["IncidentsPublished"] == 1


def test_run_that_cannot_go_on_is_an_error_of_the_function(place: Place) -> None:
    """Slow: an interpreter starts. O-56: what raises is what Lambda sends to the queue and counts."""
    environment = place.environment("BatchFunction", S3_BUCKET="")

    with running_function(handler_of("BatchFunction"), environment) as function:
        outcome = function.invoke({"trigger": "schedule"})
        again = function.invoke({"trigger": "tick"})

    assert (outcome.kind, outcome.body["errorType"]) == ("error", "ConfigInvalidError")
    assert "S3_BUCKET" in outcome.body["errorMessage"]
    assert again.kind == "error"
