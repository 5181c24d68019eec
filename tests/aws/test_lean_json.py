"""What the hooks give and send equals what botocore alone gives and sends, whatever an item holds."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from aws_servers import REGION
from aws_tables import AwsTables
from bedrock_double.ingestion import Held
from bedrock_double.subjects import BedrockSubject
from kbsync.aws.clients import config

pytest_plugins = ["bedrock_double.fixtures"]

NOON = datetime(2026, 3, 10, 12, 0, 0, 250_000, tzinfo=UTC)
KEY = {"incident_id": {"S": "INC-1"}, "sk": {"S": "METADATA"}}
ODD: dict[str, Any] = {
    **KEY,
    "status": {"S": "CLOSED"},
    "priority": {"S": "P2"},
    "text": {"S": 'línea ☃ 😀 \u0000 "quoted"'},
    "number": {"N": "12345678901234567890.123"},
    "bytes": {"B": b"\x00\xff\x80 bytes"},
    "flag": {"BOOL": False},
    "none": {"NULL": True},
    "list": {"L": [{"S": "a"}, {"B": b"b"}, {"L": []}, {"M": {}}]},
    # Attributes that are called like the tags of values, alone in their map as a tag is in its value.
    "map": {"M": {"B": {"S": "text under B"}}},
    "deep": {"M": {"BS": {"L": [{"S": "text under BS"}]}}},
    "deeper": {"M": {"B": {"B": b"bytes under B"}}},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.5"]},
    "many bytes": {"BS": [b"\x01", b"\x02\xff"]},
}


def sorted_sets(value: Any) -> Any:
    """Return an answer with the members of sets in order: a service may tell them in any."""
    if isinstance(value, dict):
        return {
            name: sorted(member) if name in ("SS", "NS", "BS") and _is_set(member) else sorted_sets(member)
            for name, member in value.items()
            if name != "ResponseMetadata"
        }
    return [sorted_sets(each) for each in value] if isinstance(value, list) else value


def _is_set(member: Any) -> bool:
    return isinstance(member, list) and all(isinstance(each, str | bytes) for each in member)


def reads(client: Any, table: str) -> list[Any]:
    """Ask every reading call for the item, whole and in part."""
    by_status = {
        "TableName": table,
        "KeyConditionExpression": "incident_id = :id",
        "ExpressionAttributeValues": {":id": {"S": "INC-1"}},
    }
    part = {"ProjectionExpression": "#b", "ExpressionAttributeNames": {"#b": "bytes"}}
    return [
        client.get_item(TableName=table, Key=KEY),
        client.get_item(TableName=table, Key=KEY, **part),
        client.get_item(TableName=table, Key={**KEY, "sk": {"S": "none"}}),
        client.batch_get_item(RequestItems={table: {"Keys": [KEY]}}),
        client.query(**by_status),
        client.query(**by_status, Select="COUNT"),
        client.scan(TableName=table, Limit=1),
    ]


def test_items_are_read_as_botocore_alone_reads_them(tables: AwsTables) -> None:
    """Bytes, sets, and attributes whose names are those of tags."""
    tables.client.put_item(TableName=tables.incidents.name, Item=ODD)
    plain = boto3.client("dynamodb", region_name=REGION, config=config(1))

    ours = [sorted_sets(each) for each in reads(tables.client, tables.incidents.name)]

    assert ours == [sorted_sets(each) for each in reads(plain, tables.incidents.name)]
    assert ours[0]["Item"] == sorted_sets(ODD)


def test_statements_are_sent_as_botocore_alone_sends_them(tables: AwsTables) -> None:
    """The same body but for white space, other members of the request included."""
    sent: list[tuple[bytes, str]] = []

    def note(request: Any, **_: Any) -> None:
        sent.append((request.body, request.headers["Content-Length"]))

    statement = {"Statement": f'INSERT INTO "{tables.incidents.name}" VALUE {{}}'}
    parameters = [ODD[name] for name in ("text", "bytes", "map", "many bytes", "list")]
    plain = boto3.client("dynamodb", region_name=REGION, config=config(1))
    for client in (plain, tables.client):
        client.meta.events.register("before-send.dynamodb.BatchExecuteStatement", note)
        client.batch_execute_statement(
            Statements=[{**statement, "Parameters": parameters}, statement], ReturnConsumedCapacity="TOTAL"
        )
        client.meta.events.unregister("before-send.dynamodb.BatchExecuteStatement", note)

    bodies = [json.loads(body) for body, _ in sent]
    assert bodies[0] == bodies[1]
    assert all(int(length) == len(body) for body, length in sent)


def test_refusal_is_told_as_botocore_alone_tells_it(tables: AwsTables) -> None:
    """An answer that is no success is left to botocore."""
    plain = boto3.client("dynamodb", region_name=REGION, config=config(1))
    told = []
    for client in (plain, tables.client):
        with pytest.raises(ClientError) as refused:
            client.get_item(TableName="no-such-table", Key=KEY)
        told.append(refused.value.response["Error"])

    assert told[0] == told[1]
    assert told[0]["Code"] == "ResourceNotFoundException"


def test_call_without_statements_is_refused_as_botocore_alone_refuses_it(tables: AwsTables) -> None:
    """Nothing is set aside, so its own check speaks."""
    with pytest.raises(ParamValidationError, match="Statements"):
        tables.client.batch_execute_statement(ReturnConsumedCapacity="TOTAL")  # type: ignore[call-arg]


def test_value_that_no_item_holds_is_refused_before_it_is_sent(tables: AwsTables) -> None:
    """A set is no JSON, and botocore no longer looks."""
    unfit: Any = [{"Statement": "SELECT", "Parameters": [{"SS": {"a"}}]}]

    with pytest.raises(TypeError, match="cannot hold a set"):
        tables.client.batch_execute_statement(Statements=unfit)


def test_documents_are_listed_as_botocore_alone_lists_them(bedrock: BedrockSubject) -> None:
    """Statuses, addresses and times, page by page."""
    names = [f"incidents/{number}.md" for number in range(5)]
    bedrock.double.ingestion.held.update({key: Held("INDEXED", NOON) for key in names})
    plain = boto3.client(
        "bedrock-agent",
        region_name=REGION,
        endpoint_url=bedrock.clients.bedrock.meta.endpoint_url,
        config=config(1),
    )
    place = bedrock.double.place
    asked: Any = {
        "knowledgeBaseId": place.knowledge_base_id,
        "dataSourceId": place.data_source_id,
        "maxResults": 3,
    }

    answers = [client.list_knowledge_base_documents(**asked) for client in (bedrock.clients.bedrock, plain)]

    ours, theirs = (
        {name: member for name, member in each.items() if name != "ResponseMetadata"} for each in answers
    )
    assert ours == theirs
    assert len(ours["documentDetails"]) == 3
    assert ours["documentDetails"][0]["updatedAt"].tzinfo is not None
