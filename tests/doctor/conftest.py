"""A set-up in which nothing is wrong, over the shared stand-in and a Bedrock of its own."""

from collections.abc import Iterator

import pytest
from aws_setup import SetUp

from bedrock_double.server import Server, running_server
from bedrock_double.subjects import clients_at
from kbsync.aws.clients import Clients


@pytest.fixture(scope="session")
def bedrock_server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_clients(ministack: str, bedrock_server: Server) -> Clients:
    """Clients take a quarter of a second to make; what a test hooks into them is taken out again."""
    assert ministack
    return clients_at(bedrock_server.address)


@pytest.fixture
def setup(shared_clients: Clients, bedrock_server: Server) -> Iterator[SetUp]:
    made = SetUp(bedrock_server, shared_clients)
    yield made
    made.close()
