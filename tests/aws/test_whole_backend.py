"""The whole engine on AWS: DynamoDB, S3 and a knowledge base together, composed as in production."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from aws_servers import REGION
from aws_tables import AwsTables
from bedrock_double.double import Double
from bedrock_double.homes import MovedStore, ShiftedClock
from bedrock_double.subjects import BedrockSubject
from builders import an_incident
from kbsync.bootstrap import build_engine
from kbsync.engine import Engine
from kbsync.model import State
from kbsync.pipeline.changes import close_incident, delete_incident, reopen_incident
from kbsync.pipeline.plan import plan_once
from kbsync.pipeline.sync import sync_once
from kbsync.settings import Settings
from kbsync.views.question import Question
from kbsync.views.search import search_view
from kbsync.views.status import status_view

pytest_plugins = ["bedrock_double.fixtures"]

READS = {
    "BatchGetItem", "DescribeTable", "GetIngestionJob", "GetItem", "GetKnowledgeBaseDocuments", "GetObject",
    "HeadObject", "ListIngestionJobs", "ListKnowledgeBaseDocuments", "ListObjectsV2", "Query", "Retrieve",
    "Scan",
}  # fmt: skip


@dataclass
class Whole:
    """One deployment: its engine, its tables, and the bucket that the knowledge base reads."""

    engine: Engine
    tables: AwsTables
    subject: BedrockSubject
    clock: ShiftedClock
    calls: list[str]

    def runs(self, count: int = 1, *, minutes: int = 5) -> list[Any]:
        """Run as the tick does, some minutes apart."""
        reports = []
        for _ in range(count):
            reports.append(sync_once(self.engine))
            self.clock.shift += timedelta(minutes=minutes)
        return reports

    def synced(self, incident_id: str) -> object:
        """Return what an incident's own map says."""
        status = self.engine.incidents.read([incident_id])[incident_id].attributes["kb_sync_status"]
        assert isinstance(status, dict)
        return status["synced"]

    def keys(self) -> set[str]:
        """Return the keys of the bucket, but for the runs' own pages."""
        page = self.engine.documents.list(begins="incidents/", cursor="", limit=1000)
        return {head.key for head in page.items}

    def state(self, incident_id: str) -> State | None:
        """Return where an incident stands."""
        record = self.engine.ledger.records([incident_id]).get(incident_id)
        return record.state if record else None


@pytest.fixture
def whole(bedrock: BedrockSubject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    """A deployment as `build_engine` composes it; boto3's own variables lead to the stand-ins."""
    clock, calls = ShiftedClock(), list[str]()
    bedrock.double = Double(bedrock.double.s3, bedrock.double.place, now=clock)
    bedrock.server.double = bedrock.double
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT", bedrock.server.address)
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", bedrock.server.address)
    tables = AwsTables(clock=clock)  # type: ignore[arg-type] # a clock is anything that tells the time
    place = bedrock.double.place
    settings = Settings(
        backend="aws",
        aws_region=REGION,
        incidents_table=tables.incidents.name,
        kbsync_table=tables.records.name,
        s3_bucket=bedrock.bucket,
        kb_id=place.knowledge_base_id,
        data_source_id=place.data_source_id,
        batch_size=10,
    )
    engine = build_engine(settings, now=clock, sleep=clock.sleep)
    # The stand-in's clock is the real one; where the test's has moved on, S3's must have as well.
    engine = replace(engine, documents=MovedStore(bedrock, clock))
    yield Whole(engine, tables, bedrock, clock, calls)
    tables.close()


def closed(count: int, prefix: str = "INC", **changes: object) -> list[dict[str, object]]:
    """Return incidents as the original's snippet writes them: closed, unsynced, with no mark of ours."""
    return [
        an_incident(
            **{
                "incident_id": f"{prefix}-{n:03}",
                "title": f"Case {prefix} {n}",
                "error_message": f"ERR-{prefix}-{n:03} connection reset",
                **changes,
            }
        )
        for n in range(count)
    ]


def test_closed_incidents_of_plain_writers_become_searchable(whole: Whole) -> None:
    """O-09: those that are done already sort first and starve nobody; the rest is found by the index."""
    whole.tables.put_many(closed(12, "A"))
    whole.runs(2)
    whole.tables.put_many(closed(28, "B"))

    first, second = whole.runs(2)

    assert (first.found, first.published) == (28, 28)
    assert first.indexed + second.indexed == 28
    assert {whole.synced(f"B-{n:03}") for n in range(28)} == {True}
    assert len(whole.keys()) == 80
    hits = search_view(whole.engine, Question("ERR-B-017 connection reset", limit=1))["hits"]
    assert isinstance(hits, list)
    assert hits[0]["incident_id"] == "B-017"
    assert whole.runs(1)[0].found == 0


def test_true_of_the_old_function_without_a_record_proves_nothing(whole: Whole) -> None:
    """The old Lambda's `synced: true` stood for a `.json` that nobody can search."""
    old = {"synced": True, "synced_at": "2025-01-01T00:00:00.000Z", "sync_attempts": 0}
    whole.tables.put_many(closed(3, kb_sync_status=old))

    report = whole.runs(1)[0]

    assert (report.published, report.indexed) == (3, 3)


def test_reopened_and_deleted_incidents_are_confirmed_gone(whole: Whole) -> None:
    """P3 on AWS: the look comes at least one lease length after the delete."""
    whole.tables.put_many(closed(3))
    whole.runs(1)
    reopen_incident(whole.engine, "INC-000")
    delete_incident(whole.engine, "INC-001")

    whole.runs(2)

    assert whole.keys() == {"incidents/INC-002.md", "incidents/INC-002.md.metadata.json"}
    assert whole.state("INC-000") is State.WITHDRAWN
    assert whole.state("INC-001") is State.WITHDRAWN
    assert whole.synced("INC-000") is False
    close_incident(whole.engine, "INC-000", resolution={"description": "Another cure."})
    whole.runs(2)
    assert (whole.state("INC-000"), whole.synced("INC-000")) == (State.INDEXED, True)


def test_reopened_by_another_writer_is_found_in_its_status(whole: Whole) -> None:
    """O-29 without marks: the other configured statuses are looked through for records we hold."""
    whole.tables.put_many(closed(1))
    whole.runs(1)
    whole.tables.put_many(closed(1, status="REOPENED"))
    policy = whole.engine.policy
    object.__setattr__(policy, "other_statuses", ("REOPENED",))

    whole.runs(2)

    assert (whole.keys(), whole.state("INC-000")) == (set(), State.WITHDRAWN)


def test_status_adds_up_on_aws_as_well(whole: Whole) -> None:
    """Sum over states and not closed is the table."""
    whole.tables.put_many(
        [*closed(4), *closed(2, "OPEN", status="OPEN"), *closed(1, "BAD", title={"x": b"1"})]
    )
    whole.runs(1)

    status = status_view(whole.engine)

    states = status["states"]
    assert isinstance(states, dict)
    assert sum(states.values()) + int(str(status["not_closed"])) == status["incidents"] == 7
    assert (states["indexed"], states["pending"], status["not_closed"]) == (4, 1, 2)


def test_dry_run_makes_no_write_call(whole: Whole, recorded: Callable[[], list[str]]) -> None:
    """`plan` reads and nothing else, asserted from the calls that left."""
    whole.tables.put_many(closed(2))
    whole.runs(1)
    reopen_incident(whole.engine, "INC-000")
    before = len(recorded())

    planned = [(change.incident_id, str(change.action)) for change in plan_once(whole.engine)]

    assert planned == [("INC-000", "withdraw")]
    asked = recorded()[before:]
    assert asked
    assert set(asked) <= READS


@pytest.fixture
def recorded(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return the names of all operations that any client sends from here on."""
    import botocore.client  # noqa: PLC0415 - only this fixture listens to all clients

    sent: list[str] = []
    make = botocore.client.BaseClient._make_api_call

    def listening(self: object, operation: str, arguments: object) -> object:
        sent.append(operation)
        return make(self, operation, arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", listening)
    assert whole
    return lambda: sent
