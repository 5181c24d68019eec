"""What tests stand on: a bucket of their own, the double over it, and clients that reach both."""

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import boto3

from aws_servers import ENVIRONMENT, REGION
from bedrock_double.double import Double
from bedrock_double.server import Server
from bedrock_double.switches import Place
from kbsync.aws.clients import Clients, config
from kbsync.aws.knowledge_base import BedrockKnowledgeBase
from kbsync.aws.lean_json import ease_bedrock_agent
from kbsync.aws.retrieval import Kind
from kbsync.local.faults import LocalFaults

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent import AgentsforBedrockClient
    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient
    from mypy_boto3_s3 import S3Client


class ImpatientClients(Clients):
    """Clients whose Bedrock calls go to one address and are tried once, so that a fault is seen at once."""

    address = ""

    @cached_property
    def bedrock(self) -> "AgentsforBedrockClient":
        """Bedrock without retries."""
        client = boto3.client(
            "bedrock-agent", region_name=self.region, endpoint_url=self.address, config=config(1)
        )
        ease_bedrock_agent(client.meta.events)
        return client

    @cached_property
    def bedrock_runtime(self) -> "AgentsforBedrockRuntimeClient":
        """Retrieval without retries."""
        return boto3.client(
            "bedrock-agent-runtime", region_name=self.region, endpoint_url=self.address, config=config(1)
        )


def clients_at(address: str) -> ImpatientClients:
    """Return clients whose Bedrock is the double at this address, made already: that takes a second."""
    clients = ImpatientClients(REGION)
    object.__setattr__(clients, "address", address)  # the dataclass is frozen
    assert clients.bedrock.meta.endpoint_url == clients.bedrock_runtime.meta.endpoint_url == address
    return clients


def s3_at(address: str) -> "S3Client":
    """Return an S3 client of the tests' own, as another program has one."""
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=address,
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    )


def new_bucket(s3: "S3Client") -> str:
    """Create a bucket that nobody else has and return its name."""
    bucket = f"kbsync-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return bucket


class BedrockSubject:
    """A knowledge base at the double, over a bucket of its own."""

    def __init__(
        self,
        s3: "S3Client",
        server: Server,
        clients: ImpatientClients,
        *,
        kind: Kind = "VECTOR",
        store: str = "OPENSEARCH_SERVERLESS",
    ) -> None:
        self.bucket = new_bucket(s3)
        self.slept: list[float] = []
        self.server = server
        self.clients = clients
        self.double = Double(s3, Place(bucket=self.bucket, kind=kind, store=store))
        server.double = self.double
        self._s3 = s3
        self._kind = kind

    def open(self, faults: LocalFaults | None = None) -> BedrockKnowledgeBase:
        """Return a knowledge base over the same documents as any other that was opened."""
        for each in fields(LocalFaults):
            setattr(self.double.switches, each.name, getattr(faults or LocalFaults(), each.name))
        place = self.double.place
        return BedrockKnowledgeBase(
            self.clients,
            place.knowledge_base_id,
            place.data_source_id,
            self.bucket,
            kind=cast("Kind", place.kind),
            sleep=self.slept.append,
        )

    def put(self, key: str, text: str, metadata: Mapping[str, object] | None = None) -> None:
        """Store a document, and its sidecar where metadata is given."""
        if metadata is not None:
            self.put_sidecar(key, metadata)
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def put_sidecar(self, key: str, metadata: Mapping[str, object]) -> None:
        """Store the sidecar of a document."""
        sidecar = json.dumps({"metadataAttributes": metadata}, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=self.bucket, Key=f"{key}.metadata.json", Body=sidecar)

    def remove(self, key: str) -> None:
        """Remove a document and its sidecar."""
        for each in (key, f"{key}.metadata.json"):
            self._s3.delete_object(Bucket=self.bucket, Key=each)
