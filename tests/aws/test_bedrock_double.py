"""The double itself: what it refuses that a client lets through, and as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_servers import ENVIRONMENT, REGION
from bedrock_double.rules import RefusedError, attributes_of, chunks_of, text_of
from bedrock_double.server import Server
from bedrock_double.subjects import BedrockSubject, ImpatientClients, clients_at, new_bucket
from kbsync.aws.knowledge_base import BedrockKnowledgeBase
from kbsync.aws.retrieval import Kind

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["bedrock_double.fixtures"]

IDS = {"knowledgeBaseId": "KBDOUBLE01", "dataSourceId": "DSDOUBLE01"}
S3_DOCUMENT = {"dataSourceType": "S3", "s3": {"uri": "s3://bucket/key.md"}}


@pytest.fixture(scope="module")
def unchecked(bedrock_server: Server) -> Any:
    """A client that checks nothing itself, so that the double has to."""
    return boto3.client(
        "bedrock-agent",
        region_name=REGION,
        endpoint_url=bedrock_server.address,
        config=Config(parameter_validation=False, retries={"mode": "standard", "total_max_attempts": 1}),
    )


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("start_ingestion_job", {"clientToken": "a" * 32}),
        ("start_ingestion_job", {"clientToken": "a" * 257}),
        ("start_ingestion_job", {"clientToken": f"-{'a' * 40}"}),
        ("start_ingestion_job", {"description": "d" * 201}),
        ("get_ingestion_job", {"ingestionJobId": "short"}),
        ("get_knowledge_base_documents", {"documentIdentifiers": []}),
        ("get_knowledge_base_documents", {"documentIdentifiers": [S3_DOCUMENT] * 11}),
        ("get_knowledge_base_documents", {"documentIdentifiers": [{"dataSourceType": "FTP"}]}),
        ("list_knowledge_base_documents", {"maxResults": 1_001}),
        ("list_knowledge_base_documents", {"nextToken": "foreign"}),
        ("list_ingestion_jobs", {"sortBy": {"attribute": "AGE", "order": "DESCENDING"}}),
    ],
    ids=[
        "short token",
        "long token",
        "hyphen",
        "description",
        "id",
        "none",
        "eleven",
        "type",
        "page",
        "next",
        "sort",
    ],
)
def test_request_that_the_model_forbids_is_refused(
    bedrock: BedrockSubject, unchecked: Any, operation: str, request_: dict[str, Any]
) -> None:
    """Lengths, patterns and enumerations that botocore itself does not check."""
    assert bedrock.double.calls.total() == 0

    with pytest.raises(ClientError, match="ValidationException"):
        getattr(unchecked, operation)(**IDS, **request_)


def test_operation_that_the_double_lacks_says_so(bedrock: BedrockSubject, unchecked: Any) -> None:
    """Nothing is answered that was not written for."""
    with pytest.raises(ClientError, match="the double has no CreateKnowledgeBase"):
        unchecked.create_knowledge_base(
            name="a",
            roleArn="arn:aws:iam::123456789012:role/a",
            knowledgeBaseConfiguration={"type": "VECTOR"},
        )

    assert list(bedrock.double.calls) == ["CreateKnowledgeBase"]


@pytest.mark.parametrize("kind", ["VECTOR", "MANAGED"])
def test_knowledge_base_and_data_sources_are_described(
    bedrock_server: Server, impatient: ImpatientClients, s3: "S3Client", kind: Kind
) -> None:
    """What doctor reads; a neighbour is listed, and its documents are not ours."""
    subject = BedrockSubject(s3, bedrock_server, impatient, kind=kind)
    subject.double.descriptions.add_data_source("NEIGHBOUR1", "another-bucket", "")
    client = impatient.bedrock

    described = client.get_knowledge_base(knowledgeBaseId="KBDOUBLE01")["knowledgeBase"]
    listed = client.list_data_sources(knowledgeBaseId="KBDOUBLE01", maxResults=1)
    neighbour = client.get_data_source(knowledgeBaseId="KBDOUBLE01", dataSourceId="NEIGHBOUR1")

    assert described["knowledgeBaseConfiguration"]["type"] == kind
    assert [each["dataSourceId"] for each in listed["dataSourceSummaries"]] == ["DSDOUBLE01"]
    assert listed["nextToken"]
    assert neighbour["dataSource"]["status"] == "AVAILABLE"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_data_source(knowledgeBaseId="KBDOUBLE01", dataSourceId="NOTHERE001")
    assert bedrock_server.violations == []


@pytest.mark.parametrize(
    "sidecar",
    [
        b"no json",
        b"[]",
        b"{}",
        b'{"metadataAttributes": {}}',
        b'{"metadataAttributes": {"a": ""}}',
        b'{"metadataAttributes": {"a": {"value": {"type": "NUMBER", "numberValue": "1"}}}}',
    ],
    ids=["text", "list", "no attributes", "empty", "empty text", "wrong type"],
)
def test_sidecar_that_bedrock_refuses_is_refused(sidecar: bytes) -> None:
    with pytest.raises(RefusedError):
        attributes_of(sidecar, most_bytes=1_024)


@pytest.mark.parametrize(
    "body",
    [b"", b"  \n", b"#!/bin/sh", b"\xff\xfe", b"x" * (50 * 1024 * 1024 + 1)],
    ids=["empty", "blank", "script", "not UTF-8", "too large"],
)
def test_document_that_bedrock_cannot_read_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError):
        text_of(body)


def test_long_text_is_several_passages_that_hold_all_of_it() -> None:
    text = "\n\n".join(f"paragraph {n} " + "x" * 500 for n in range(6))

    chunks = chunks_of(text)

    assert len(chunks) == 3
    assert "\n\n".join(chunks) == text


@pytest.mark.slow
def test_double_serves_as_a_process_of_its_own(s3: "S3Client", ministack: str, tmp_path: Path) -> None:
    """Slow: a process has to start; the deployed stack's tests talk to one like this."""
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="kb/a.md", Body=b"# Pool exhausted")
    command = [sys.executable, "-m", "bedrock_double", "--bucket", bucket, "--prefix", "kb/"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": ministack,
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            knowledge_base = BedrockKnowledgeBase(clients_at(address), "KBDOUBLE01", "DSDOUBLE01", bucket)
            job = knowledge_base.start_job(description="", client_token="a" * 40)
            while not knowledge_base.job(job.job_id).status.is_final:
                pass
            hits = knowledge_base.retrieve("pool", limit=1)
        finally:
            process.terminate()

    assert [hit.document_key for hit in hits] == ["kb/a.md"]
