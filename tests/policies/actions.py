"""The one table that says which IAM actions a call of AWS's API needs, and on what.

Source: Service Authorization Reference: DynamoDB, S3, Bedrock, SNS and KMS; DynamoDB Developer Guide, "IAM
security policies with PartiQL"; S3 User Guide, "Conditional writes" (If-Match reads the object).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aws_servers import REGION

ACCOUNT = "000000000000"
_TARGET = re.compile(r'(INSERT INTO|UPDATE|DELETE FROM)\s+"((?:[^"]|"")+)"')
_PARTIQL = {"INSERT INTO": "PartiQLInsert", "UPDATE": "PartiQLUpdate", "DELETE FROM": "PartiQLDelete"}
_MEMBERS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


@dataclass(frozen=True)
class Need:
    """One action on one resource."""

    action: str
    resource: str


Params = Mapping[str, Any]


def table_arn(name: str, index: str = "") -> str:
    """Return the ARN of a table or of one of its indexes."""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}" + (f"/index/{index}" if index else "")


def _on_table(operation: str, params: Params) -> Iterator[Need]:
    yield Need(f"dynamodb:{operation}", table_arn(params["TableName"], params.get("IndexName", "")))


def _on_tables(operation: str, params: Params) -> Iterator[Need]:
    for name in params["RequestItems"]:
        yield Need(f"dynamodb:{operation}", table_arn(name))


def _statements(_: str, params: Params) -> Iterator[Need]:
    for statement in params["Statements"]:
        target = _TARGET.match(statement["Statement"].strip())
        if target is None:
            raise ValueError(f"a statement of an unknown kind: {statement['Statement'][:40]}")
        yield Need(f"dynamodb:{_PARTIQL[target[1]]}", table_arn(target[2].replace('""', '"')))


def _transaction(_: str, params: Params) -> Iterator[Need]:
    for item in params["TransactItems"]:
        ((kind, member),) = item.items()
        yield Need(f"dynamodb:{_MEMBERS[kind]}", table_arn(member["TableName"]))


def _object(operation: str, params: Params) -> Iterator[Need]:
    resource = f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"
    yield Need("s3:GetObject" if operation == "HeadObject" else f"s3:{operation}", resource)
    if "IfMatch" in params:
        yield Need("s3:GetObject", resource)
    if operation == "HeadObject":  # else an absent object is answered as a forbidden one
        yield Need("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}")
    if "SSEKMSKeyId" in params:
        yield Need("kms:GenerateDataKey", params["SSEKMSKeyId"])


def _bucket(_: str, params: Params) -> Iterator[Need]:
    yield Need("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}")


def _on_knowledge_base(operation: str, params: Params) -> Iterator[Need]:
    name = params["knowledgeBaseId"]
    yield Need(f"bedrock:{operation}", f"arn:aws:bedrock:{REGION}:{ACCOUNT}:knowledge-base/{name}")


def _on_topic(operation: str, params: Params) -> Iterator[Need]:
    yield Need(f"sns:{operation}", params["TopicArn"])


def _on_function(_: str, params: Params) -> Iterator[Need]:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{params['FunctionName']}"
    yield Need("lambda:InvokeFunction", arn)


RULES: Mapping[str, Callable[[str, Params], Iterator[Need]]] = {
    **dict.fromkeys(("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"), _on_table),
    "BatchGetItem": _on_tables,
    "BatchExecuteStatement": _statements,
    "TransactWriteItems": _transaction,
    **dict.fromkeys(("GetObject", "HeadObject", "PutObject", "DeleteObject"), _object),
    "ListObjectsV2": _bucket,
    **dict.fromkeys(
        (
            "StartIngestionJob",
            "GetIngestionJob",
            "ListIngestionJobs",
            "GetKnowledgeBaseDocuments",
            "ListKnowledgeBaseDocuments",
            "Retrieve",
        ),
        _on_knowledge_base,
    ),
    "Publish": _on_topic,
    "Invoke": _on_function,
}


def needs_of(operation: str, params: Params) -> list[Need]:
    """Return what a call needs; a call that is not in the table is an error: nobody has thought of it."""
    if operation not in RULES:
        raise ValueError(f"{operation} is in no rule: say which actions it needs")
    return list(RULES[operation](operation, params))
