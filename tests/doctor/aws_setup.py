"""A whole set-up on the stand-ins in which nothing is wrong; a test breaks one thing of it."""

import io
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from control_plane import Base, ControlPlane, Source

from aws_servers import REGION
from bedrock_double.server import Server
from bedrock_double.switches import Place as DoublePlace
from kbsync.aws.clients import Clients
from kbsync.aws.doctor_place import Place
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.ledger import DynamoLedger
from kbsync.aws.tables import EXPIRES_AT, incidents_table, ledger_table
from kbsync.doctor.aws_checks import checks_of
from kbsync.doctor.finding import Finding, Severity, examine
from kbsync.run_report import RunReport
from kbsync.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

OURS, FOREIGN = "DSDOUBLE01", "DSFOREIGN1"
READS = ("BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan")


class _Raw(io.BytesIO):
    def stream(self) -> Iterable[bytes]:
        yield self.read()


def an_answer(status: int, body: str = "", **headers: str) -> Callable[..., AWSResponse]:
    """Return a hook for `before-send` that answers in the service's place."""

    def answer(**_: Any) -> AWSResponse:
        return AWSResponse("http://127.0.0.1/", status, headers, _Raw(body.encode()))

    return answer


def denied(**_: Any) -> AWSResponse:
    """Answer as a JSON service does when a policy allows nothing."""
    body = '{"__type": "AccessDeniedException", "message": "not authorized"}'
    return AWSResponse(
        "http://127.0.0.1/", 400, {"x-amzn-errortype": "AccessDeniedException"}, _Raw(body.encode())
    )


@dataclass
class SetUp:
    """Tables, bucket, knowledge base and topic with names of their own, and the settings that name them."""

    server: Server
    clients: Clients
    region: str = REGION
    clock_ahead: timedelta = timedelta(0)
    operations: list[str] = field(default_factory=list)
    hooks: list[tuple[Any, str, Callable[..., Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = secrets.token_hex(6)
        self.tables = (f"incidents-{name}", f"kbsync-{name}")
        self._make_tables(name)
        self.bucket = self._make_bucket(f"kbsync-{name}", REGION)
        self.control = self.server.double = ControlPlane(self.clients.s3, DoublePlace(bucket=self.bucket))
        self.control.base = Base()
        self.control.sources = {OURS: Source(self.bucket)}
        topic = self.clients.sns.create_topic(Name=f"alerts-{name}")["TopicArn"]
        self.clients.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="oncall@example.com")
        self.settings = Settings(
            backend="aws",
            incidents_table=f"incidents-{name}",
            kbsync_table=f"kbsync-{name}",
            s3_bucket=self.bucket,
            kb_id=self.control.place.knowledge_base_id,
            data_source_id=OURS,
            alert_topic_arn=topic,
            aws_region=REGION,
        )
        self.ledger = DynamoLedger(DynamoTable(self.clients.dynamodb, f"kbsync-{name}"), 1, self.now)
        self.ledger.save_run(
            RunReport(run_id="run-1", status="ok", started_at=self.now(), ended_at=self.now())
        )
        self.put("incidents/INC-1.md")
        self.put("incidents/INC-1.md.metadata.json")

    def close(self) -> None:
        """Take the hooks out of the clients, which are shared, and drop the tables."""
        for client, event, handler in self.hooks:
            client.meta.events.unregister(event, handler)
        for name in set(self.clients.dynamodb.list_tables()["TableNames"]) & set(self.tables):
            self.clients.dynamodb.delete_table(TableName=name)

    def _make_tables(self, name: str) -> None:
        client = self.clients.dynamodb
        client.create_table(**incidents_table(f"incidents-{name}"))
        client.create_table(**ledger_table(f"kbsync-{name}"))
        client.update_time_to_live(
            TableName=f"kbsync-{name}",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES_AT},
        )
        client.update_continuous_backups(
            TableName=f"kbsync-{name}", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )

    def _make_bucket(self, name: str, region: str) -> str:
        s3 = self.clients.s3 if region == REGION else Clients(region).s3
        place: Any = (
            {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        s3.create_bucket(Bucket=name, **place)
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def now(self) -> datetime:
        """Return what this machine's clock shows: the stand-ins' time, plus how far it is ahead."""
        return datetime.now(UTC) + self.clock_ahead

    def put(self, key: str, body: bytes = b"# Title\n") -> None:
        """Store an object."""
        self.clients.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def change(self, **settings: object) -> None:
        """Set other values."""
        self.settings = self.settings.model_copy(update=settings)

    def replace_table(self, definition: "CreateTableInputTypeDef") -> None:
        """Drop a table and make it anew from another definition."""
        self.clients.dynamodb.delete_table(TableName=definition["TableName"])
        self.clients.dynamodb.create_table(**definition)

    def move_bucket(self, region: str) -> None:
        """Name a bucket of another region."""
        self.bucket = self._make_bucket(f"{self.bucket}-moved", region)
        self.change(s3_bucket=self.bucket)
        self.control.sources[OURS].bucket = self.bucket

    def hook(self, event: str, answer: Callable[..., AWSResponse]) -> None:
        """Answer calls such as `dynamodb.DescribeTable` over HTTP in the service's place."""
        self._event("before-send", event, answer)

    def _event(self, when: str, event: str, handler: Callable[..., Any]) -> None:
        service = event.partition(".")[0]
        client = getattr(self.clients, {"bedrock-agent": "bedrock"}.get(service, service))
        self._register(client, f"{when}.{event}", handler)

    def _register(self, client: Any, event: str, handler: Callable[..., Any]) -> None:
        client.meta.events.register(event, handler)
        self.hooks.append((client, event, handler))

    def refuse(self, event: str, code: str, status: int = 400, **headers: str) -> None:
        """Answer calls such as `dynamodb.DescribeTable` with an error code, without any attempt."""

        def answer(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
            meta = {"HTTPStatusCode": status, "HTTPHeaders": headers}
            parsed = {"Error": {"Code": code, "Message": "refused"}, "ResponseMetadata": meta}
            return AWSResponse("http://127.0.0.1/", status, headers, _Raw()), parsed

        self._event("before-call", event, answer)

    def break_off(self, event: str, error: Exception) -> None:
        """Let calls end with an error of the SDK, without any attempt."""

        def fail(**_: Any) -> None:
            raise error

        self._event("before-call", event, fail)

    def alter(self, event: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what a service answered before anybody sees it."""
        self._event("after-call", event, lambda parsed, **_: change(parsed))

    def _record(self, model: Any, **_: Any) -> None:
        self.operations.append(model.name)

    def findings(self) -> list[Finding]:
        """Examine the set-up, and keep which operations that took."""
        for client in (self.clients.dynamodb, self.clients.s3, self.clients.bedrock, self.clients.sns):
            self._register(client, "before-call", self._record)
        self.operations.clear()
        found = examine(checks_of(Place(self.settings, self.clients, self.region, self.now)))
        assert [name for name in self.operations if not name.startswith(READS)] == []
        assert self.server.violations == []
        return found

    def wrong(self) -> dict[str, Finding]:
        """Examine the set-up and return what is not well, by code."""
        return {str(each.code): each for each in self.findings() if each.severity is not Severity.OK}
