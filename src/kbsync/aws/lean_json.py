"""Lean JSON: the calls that carry nearly all that a run reads and marks, less botocore's walk over a model.

botocore goes through its model for every member of every value, which takes several times as long as reading
the JSON. These hooks stand where it lets its customers in: it still signs, sends, retries and tells errors.
Invariant: what a caller is given, and what is sent, equals what botocore alone would give and send.
Source: botocore 1.44.8, client.py and endpoint.py (the events), parsers.py and serialize.py (the forms).
"""

import json
from base64 import b64decode, b64encode
from collections.abc import MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

_READS = ("BatchGetItem", "GetItem", "Query", "Scan", "BatchExecuteStatement")
"""Their answers hold items and counts: nothing that JSON writes in another way but bytes."""
_STATEMENTS = "kbsync_statements"
_OK = 200


def ease_dynamodb(events: "BaseEventHooks") -> None:
    """Have a DynamoDB client read items, and write batches of statements, without the model."""
    for operation in _READS:
        events.register(f"before-parse.dynamodb.{operation}", _read_items)
    events.register("provide-client-params.dynamodb.BatchExecuteStatement", _set_statements_aside)
    events.register("before-call.dynamodb.BatchExecuteStatement", _write_statements)


def ease_bedrock_agent(events: "BaseEventHooks") -> None:
    """Have a client of Bedrock's agents read listings of documents, a thousand a page, without the model."""
    events.register("before-parse.bedrock-agent.ListKnowledgeBaseDocuments", _read_documents)


def _read_items(
    response_dict: dict[str, Any], customized_response_dict: MutableMapping[str, Any], **_: object
) -> None:
    body = response_dict["body"]
    if response_dict["status_code"] == _OK and body:
        hook = _with_bytes if b'"B' in body else None  # no tag of bytes: nothing to decode
        customized_response_dict.update(json.loads(body, object_hook=hook))
        response_dict["body"] = b"{}"


def _with_bytes(found: dict[str, Any]) -> dict[str, Any]:
    """Decode the one kind of value that JSON writes as text; an attribute of that name holds a value."""
    if len(found) == 1:
        for tag, content in found.items():
            if tag == "B" and isinstance(content, str):
                return {"B": b64decode(content)}
            if tag == "BS" and isinstance(content, list) and all(isinstance(each, str) for each in content):
                return {"BS": [b64decode(each) for each in content]}
    return found


def _set_statements_aside(params: dict[str, Any], context: dict[str, Any], **_: object) -> Any:  # see below
    """Give botocore one statement to check and to write down; ours take its place when it has.

    The stubs think that no hook returns anything; of this event botocore takes the parameters that one does.
    """
    if "Statements" not in params:
        return None  # which botocore refuses
    context[_STATEMENTS] = params["Statements"]
    return {**params, "Statements": [{"Statement": "-"}]}


def _write_statements(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    body = {**json.loads(params["body"]), "Statements": context.pop(_STATEMENTS)}
    params["body"] = json.dumps(body, default=_bytes_as_text).encode()


def _bytes_as_text(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"a statement cannot hold a {type(value).__name__}")
    return b64encode(value).decode()


def _read_documents(
    response_dict: dict[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    operation_model: "OperationModel",
    **_: object,
) -> None:
    if response_dict["status_code"] != _OK or not response_dict["body"]:
        return
    reply = json.loads(response_dict["body"])
    for detail in reply.get("documentDetails", ()):
        if "updatedAt" in detail:
            detail["updatedAt"] = datetime.fromisoformat(detail["updatedAt"])
    known = operation_model.output_shape.members if operation_model.output_shape else {}
    customized_response_dict.update((name, reply[name]) for name in known if name in reply)
    response_dict["body"] = b"{}"
