"""Fixtures of the tests on S3 and Bedrock; a test module asks for them by `pytest_plugins`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bedrock_double.homes import AwsHome
from bedrock_double.server import Server, running_server
from bedrock_double.subjects import BedrockSubject, ImpatientClients, clients_at, s3_at

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def bedrock_server(ministack: str) -> Iterator[Server]:
    """The double's server; each test gives it a double of its own."""
    assert ministack
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def impatient(bedrock_server: Server) -> ImpatientClients:
    """Clients of S3 as the product makes them, and of the double without retries; made once, made already."""
    clients = clients_at(bedrock_server.address)
    assert clients.s3.meta.endpoint_url == clients.s3_once.meta.endpoint_url
    return clients


@pytest.fixture(scope="session")
def s3(ministack: str) -> "S3Client":
    """S3 as another program sees it."""
    return s3_at(ministack)


@pytest.fixture
def bedrock(bedrock_server: Server, impatient: ImpatientClients, s3: "S3Client") -> Iterator[BedrockSubject]:
    """A knowledge base of its own; what the double answered is held against the service model."""
    yield BedrockSubject(s3, bedrock_server, impatient)
    assert bedrock_server.violations == []


@pytest.fixture
def aws_home(bedrock: BedrockSubject, tmp_path: Path) -> AwsHome:
    """The whole engine with S3 and Bedrock under it; incidents and ledger are on this machine."""
    return AwsHome(bedrock, tmp_path / "home")
