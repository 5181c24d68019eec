"""One deployment driven through its functions, with every permission of the template in play."""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from aws_servers import REGION
from aws_tables import AwsTables, answering, refusal
from bedrock_double.double import Double
from bedrock_double.homes import MovedStore, ShiftedClock
from bedrock_double.subjects import BedrockSubject
from builders import an_incident
from exports import export_lines
from kbsync.aws.attributes import item_of
from kbsync.aws.clients import Clients
from kbsync.aws.run_soon import BatchFunction
from kbsync.bootstrap import build_engine
from kbsync.engine import Engine
from kbsync.lambda_handlers.backfill import handler as backfill
from kbsync.lambda_handlers.batch import handler as batch
from kbsync.lambda_handlers.reconcile import handler as reconcile
from kbsync.lambda_handlers.runtime import use_engine, use_runner
from kbsync.lambda_handlers.stream import handler as stream
from kbsync.setting_sources import load_settings
from lambda_.running import Call, call
from lambda_.test_stream import a_record
from policies.actions import ACCOUNT, table_arn
from policies.recording import Recorder
from template.stack import Stack

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0b9ffb0c-7a16-4c6f-8d53-1e1c0d3b1a11"
HANDLERS = {
    "BatchFunction": batch,
    "StreamFunction": stream,
    "BackfillFunction": backfill,
    "ReconcileFunction": reconcile,
}
EXPORTED = "exports/data/a.json.gz"
MANY_REFUSALS = 20


def stack_of(tables: AwsTables, bedrock: BedrockSubject, topic: str) -> Stack:
    """Return the template with the names that things have here, and with every option that grants more."""
    ledger = table_arn(tables.records.name)
    return Stack(
        {
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "DocumentsKmsKeyArn": KEY,
            "JsonRecordsPrefix": "records/",
            "ExportBucket": bedrock.bucket,
            "RetryBackoffSeconds": "0",
            "IncidentsTable": tables.incidents.name,
            "LedgerTable": tables.records.name,
            "LedgerTable.Arn": ledger,
            "DocumentsBucket": bedrock.bucket,
            "KnowledgeBase": bedrock.double.place.knowledge_base_id,
            "DataSource.DataSourceId": bedrock.double.place.data_source_id,
            "AlertTopic": topic,
        }
    )


def engine_of(stack: Stack, bedrock: BedrockSubject, clock: ShiftedClock) -> Engine:
    """Return the engine that the batch function builds from its variables; S3 goes by the test's clock."""
    environment = {name: str(stack.ref(value)) for name, value in stack.environment("BatchFunction").items()}
    settings = load_settings({"backend": "aws", "aws_region": REGION}, environment)
    engine = build_engine(settings, now=clock, sleep=clock.sleep)
    documents = MovedStore(bedrock, clock)
    documents._kms_key_id = settings.s3_kms_key_id
    return replace(engine, documents=documents)


@dataclass
class Deployment:
    """The functions with what they work on; `log` holds what each call came to."""

    stack: Stack
    engine: Engine
    tables: AwsTables
    bedrock: BedrockSubject
    clock: ShiftedClock
    recorder: Recorder
    capsys: pytest.CaptureFixture[str]
    log: list[Call] = field(default_factory=list)

    def invoke(self, function: str, event: Mapping[str, Any]) -> Call:
        """Call a function as Lambda does, some minutes after the last call."""
        with self.recorder.working(function):
            done = call(HANDLERS[function], event, self.capsys)
        self.clock.shift += timedelta(minutes=5)
        self.log.append(done)
        return done

    def batch(self) -> Any:
        return self.invoke("BatchFunction", {"trigger": "schedule"}).answer

    def ticks(self, count: int = 1) -> None:
        for _ in range(count):
            self.invoke("BatchFunction", {"trigger": "tick"})

    def write(self, incident_id: str, **changes: object) -> None:
        """Write an incident as another program does, and have the stream tell of it."""
        item = item_of(an_incident(incident_id=incident_id, **changes))
        self.tables.client.put_item(TableName=self.tables.incidents.name, Item=item)
        before = {"status": {"S": "OPEN"}, "title": {"S": "before"}}
        self.invoke("StreamFunction", {"Records": [a_record(incident_id, before=before, after=item)]})

    def write_many(self, incident_ids: list[str]) -> None:
        """Write closed incidents likewise, and have the stream tell of all of them at once."""
        self.tables.put_many([an_incident(incident_id=each) for each in incident_ids])
        after = {"status": {"S": "CLOSED"}}
        records = [a_record(each, before=None, after=after) for each in incident_ids]
        self.invoke("StreamFunction", {"Records": records})

    def delete(self, incident_id: str) -> None:
        """Delete an incident likewise."""
        self.tables.delete(incident_id)
        before = {"status": {"S": "CLOSED"}}
        self.invoke("StreamFunction", {"Records": [a_record(incident_id, before=before, after=None)]})

    def reconcile(self) -> Any:
        return self.invoke("ReconcileFunction", {"repair": True}).answer

    def backfill(self, *incident_ids: str) -> None:
        """Have the worker read an export of these incidents, each edited since it was published."""
        items = [an_incident(incident_id=each, title="Exported") for each in incident_ids]
        content = gzip.compress(export_lines(items))
        boto3.client("s3").put_object(Bucket=self.bedrock.bucket, Key=EXPORTED, Body=content)
        event = {"bucket": self.bedrock.bucket, "key": EXPORTED, "position": ""}
        assert self.invoke("BackfillFunction", event).answer["marked"] == len(items)

    @contextmanager
    def refused_statements(self) -> Iterator[None]:
        """Refuse batches of statements, as a service that does not know them: item by item it goes on."""
        client = self.tables_client
        answers = [refusal("ValidationException")] * MANY_REFUSALS
        with answering(client, "BatchExecuteStatement", *answers):
            yield

    @property
    def tables_client(self) -> Any:
        """The client of the engine's own tables, which is not the tests'."""
        return self.engine.incidents._table.client  # type: ignore[attr-defined]


@contextmanager
def deployed(
    bedrock: BedrockSubject, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> Iterator[Deployment]:
    """Make the tables, the topic and the engine, and let the handlers of this process work on them."""
    clock = ShiftedClock()
    bedrock.double = Double(bedrock.double.s3, bedrock.double.place, now=clock)
    bedrock.server.double = bedrock.double
    tables = AwsTables(clock=clock)  # type: ignore[arg-type] # a clock is anything that tells the time
    topic = boto3.client("sns", region_name=REGION).create_topic(Name=tables.records.name)["TopicArn"]
    stack = stack_of(tables, bedrock, topic)
    engine = engine_of(stack, bedrock, clock)
    use_engine(engine)
    use_runner(BatchFunction(Clients(REGION), str(stack.environment("StreamFunction")["BATCH_FUNCTION"])))
    try:
        yield Deployment(stack, engine, tables, bedrock, clock, recorder, capsys)
    finally:
        use_engine(None)
        use_runner(None)
        tables.close()
