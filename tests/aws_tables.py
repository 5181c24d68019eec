"""DynamoDB tables of their own for tests, with the adapters over them and faults on the way to them.

Needs the `ministack` fixture.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError

from aws_servers import REGION
from kbsync.aws.attributes import item_of
from kbsync.aws.clients import Clients
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.incident_store import DynamoIncidentStore, key_of
from kbsync.aws.ledger import DynamoLedger
from kbsync.aws.record_marks import RecordMarks
from kbsync.aws.tables import incidents_table, ledger_table
from kbsync.model import Attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

WATCHED = ("resolution", "status", "title", "updated_at")
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@dataclass
class SettableClock:
    """A clock that shows what it was set to."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


@cache
def _clients(address: str, owner: str) -> Clients:
    """Return the clients of one owner at one address: making them takes longer than most tests."""
    assert address
    assert owner
    return Clients(REGION)


@dataclass
class AwsTables:
    """A customer's table and a ledger table with random names; `slept` is what the adapters waited."""

    clients: Clients = field(default_factory=lambda: _clients(os.environ["AWS_ENDPOINT_URL"], "ours"))
    clock: SettableClock = field(default_factory=SettableClock)
    status_index: bool = True
    shards: int = 1
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = secrets.token_hex(6)
        incidents, ledger = incidents_table(f"incidents-{name}"), ledger_table(f"kbsync-{name}")
        if not self.status_index:
            del incidents["GlobalSecondaryIndexes"]
            incidents["AttributeDefinitions"] = list(incidents["AttributeDefinitions"])[:2]
        self.client.create_table(**incidents)
        self.client.create_table(**ledger)
        self.incidents = DynamoTable(self.client, incidents["TableName"], self.slept.append, 1)
        self.records = DynamoTable(self.client, ledger["TableName"], self.slept.append, 1)
        self.marks = RecordMarks(self.records, self.shards, self.clock)
        self.store = DynamoIncidentStore(self.incidents, self.marks, WATCHED)
        self.ledger = DynamoLedger(self.records, self.shards, self.clock)

    @property
    def client(self) -> "DynamoDBClient":
        """The client that all of them share."""
        return self.clients.dynamodb

    def put(self, attributes: Attributes) -> None:
        """Write an item as a program does that knows nothing of kbsync."""
        self.client.put_item(TableName=self.incidents.name, Item=item_of(attributes))

    def put_many(self, items: Sequence[Attributes]) -> None:
        """Write items likewise, in few calls."""
        for start in range(0, len(items), 25):
            requests: list[WriteRequestTypeDef] = [
                {"PutRequest": {"Item": item_of(each)}} for each in items[start : start + 25]
            ]
            self.client.batch_write_item(RequestItems={self.incidents.name: requests})

    def delete(self, incident_id: str) -> None:
        """Delete an item likewise."""
        self.client.delete_item(TableName=self.incidents.name, Key=key_of(incident_id))

    def other_ledger(self) -> DynamoLedger:
        """Return a ledger over the same table as another process has it: no test answers its calls."""
        client = _clients(os.environ["AWS_ENDPOINT_URL"], "another process").dynamodb
        return DynamoLedger(DynamoTable(client, self.records.name), self.shards, self.clock)

    def close(self) -> None:
        """Drop both tables."""
        for table in (self.incidents, self.records):
            self.client.delete_table(TableName=table.name)


Answer = Callable[[dict[str, Any]], dict[str, Any] | None]
"""What is answered to a request in place of the service; None lets the service answer."""


@contextmanager
def answering(client: "DynamoDBClient", operation: str, *answers: Answer) -> Iterator[list[dict[str, Any]]]:
    """Answer the first calls of an operation; yields the list of all its requests, as they come."""
    left, seen = list(answers), []

    def answer(request: AWSPreparedRequest, **_: object) -> Any:  # the stubs think that no hook answers
        asked = json.loads(cast("bytes", request.body))
        seen.append(asked)
        said = left.pop(0)(asked) if left else None
        return None if said is None else _response(request.url, said)

    event = f"before-send.dynamodb.{operation}"
    client.meta.events.register(event, answer)
    try:
        yield seen
    finally:
        client.meta.events.unregister(event, answer)


def refusal(code: str, status: int = 400) -> Answer:
    """Return the answer of a service that refuses the whole call."""
    said = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "injected", "status": status}
    return lambda _: said


def service(_: dict[str, Any]) -> None:
    """Let the service answer."""


@contextmanager
def losing_first_reply(client: "DynamoDBClient", operation: str) -> Iterator[list[int]]:
    """Break the line after the first call has done what was asked; yields one entry for each try."""
    tries: list[int] = []

    def lose(request: AWSPreparedRequest, **_: object) -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            cast("Any", client)._endpoint.http_session.send(request)  # botocore's own, in no stub
            raise ConnectionClosedError(endpoint_url=request.url)

    event = f"before-send.dynamodb.{operation}"
    client.meta.events.register(event, lose)
    try:
        yield tries
    finally:
        client.meta.events.unregister(event, lose)


def _response(url: str, said: dict[str, Any]) -> AWSResponse:
    body = json.dumps(said).encode()
    status = int(said.get("status", 200))
    headers = cast("Any", HeadersDict({"content-type": "application/x-amz-json-1.0"}))  # as botocore makes it
    return AWSResponse(url, status, headers, _Raw(body))


class _Raw(BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()
