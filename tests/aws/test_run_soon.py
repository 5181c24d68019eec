"""Asking for a run: once a minute whoever asks, over the real client, and never at a mark's cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from aws_tables import AwsTables
from builders import Home
from kbsync.aws.clients import Clients
from kbsync.aws.run_soon import BatchFunction
from kbsync.bootstrap import batch_function
from kbsync.errors import KbSyncError, ThrottledError
from kbsync.settings import Settings


@contextmanager
def lambda_answers(clients: Clients, status: int, error: str = "") -> Iterator[list[AWSPreparedRequest]]:
    """Answer Invoke with this status; yields the requests. Source: Lambda API Reference, "Invoke"."""
    asked: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> Any:
        asked.append(request)
        headers = {"x-amzn-ErrorType": error} if error else {}
        return AWSResponse(request.url, status, cast("Any", headers), cast("Any", _Empty()))

    clients.functions.meta.events.register("before-send.lambda.Invoke", answer)
    try:
        yield asked
    finally:
        clients.functions.meta.events.unregister("before-send.lambda.Invoke", answer)


class _Empty:
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield b""


@pytest.fixture
def function(ministack: str) -> BatchFunction:
    """The function by name; nobody has to have deployed it."""
    assert ministack
    return BatchFunction(Clients("eu-west-1"), "incident-kb-batch-sync")


def test_many_changes_of_a_minute_ask_once_and_later_ones_again(home: Home, function: BatchFunction) -> None:
    with lambda_answers(function.clients, 202) as asked:
        said = [function.run_soon(home.engine) for _ in range(3)]
        home.clock.forward(seconds=61)
        said.append(function.run_soon(home.engine))

    assert said == [True, False, False, True]
    assert len(asked) == 2
    assert asked[0].url.endswith("/functions/incident-kb-batch-sync/invocations")
    assert asked[0].headers["X-Amz-Invocation-Type"] in ("Event", b"Event")
    assert asked[0].body == b'{"trigger": "tick"}'


def test_of_two_that_read_the_same_moment_one_asks(function: BatchFunction, home: Home) -> None:
    class Late:
        """Another container, which read the ledger before this one wrote."""

        def __getattr__(self, name: str) -> object:
            return (lambda _: "") if name == "read_value" else getattr(home.ledger, name)

    other = replace(home.engine, ledger=cast("Any", Late()))
    with lambda_answers(function.clients, 202) as asked:
        assert [function.run_soon(home.engine), function.run_soon(other)] == [True, False]
    assert len(asked) == 1


def test_refused_call_is_an_error_of_ours_and_not_tried_again(home: Home, function: BatchFunction) -> None:
    with (
        lambda_answers(function.clients, 429, "TooManyRequestsException") as asked,
        pytest.raises(ThrottledError),
    ):
        function.run_soon(home.engine)
    assert len(asked) == 1


def test_missing_function_is_named(ministack: str, home: Home) -> None:
    """Over HTTP, at a stand-in that has no such function."""
    assert ministack
    with pytest.raises(KbSyncError, match="function nobody"):
        BatchFunction(Clients("eu-west-1"), "nobody").run_soon(home.engine)


def test_memory_of_the_last_call_is_in_the_ledger_of_the_deployment(ministack: str, home: Home) -> None:
    """Two containers share it: the DynamoDB ledger keeps what the first has asked."""
    assert ministack
    tables = AwsTables()
    engine = replace(home.engine, ledger=tables.ledger)
    function = BatchFunction(Clients("eu-west-1"), "incident-kb-batch-sync")
    with lambda_answers(function.clients, 202):
        assert [function.run_soon(engine), function.run_soon(engine)] == [True, False]
    tables.close()


def test_function_comes_from_the_settings() -> None:
    assert batch_function(Settings(backend="aws", s3_bucket="b", kb_id="k", data_source_id="d")) is None
    named = batch_function(
        Settings(backend="aws", s3_bucket="b", kb_id="k", data_source_id="d", batch_function="f")
    )
    assert named is not None
    assert named.name == "f"
