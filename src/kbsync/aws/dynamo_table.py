"""One DynamoDB table: reads by key and batches of statements, with all that may come back undone.

Imports botocore and errors. Invariant: what the service left undone (UnprocessedKeys, errors of single
statements inside a 200 answer) is tried again or returned by name, never taken for done.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from kbsync.aws.attributes import Item, Value, size_bytes
from kbsync.aws.aws_errors import code_of, translated_aws_errors
from kbsync.errors import ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
C = TypeVar("C")

CONDITION_FAILED = "ConditionalCheckFailedException"
KEYS_IN_A_CALL = 100
STATEMENTS_IN_A_CALL = 25
"""Source: DynamoDB API reference, BatchGetItem (100 keys) and BatchExecuteStatement (25 statements)."""
BYTES_IN_A_CALL = 1_000_000
"""Statements of more than this go in several calls: far below any limit, and short to repeat."""
CALLS_AT_ONCE = 8
"""Calls of one batch side by side: a page of 100 incidents needs four, and each waits for DynamoDB only."""
ROUNDS = 6
FIRST_WAIT_SECONDS = 0.05
BUSY = frozenset(
    {"ProvisionedThroughputExceeded", "RequestLimitExceeded", "ThrottlingError", "TransactionConflict"}
)
"""Codes of single statements that did nothing and may be tried again; they differ from the calls' own.
Source: botocore 1.44.8, dynamodb, BatchStatementErrorCodeEnum."""
UNSUPPORTED = "Unsupported"
"""Our code for every statement of a batch that was refused as a whole; the caller writes item by item."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One PartiQL statement on one item; `key` tells items apart, so that no batch holds one twice."""

    key: str
    text: str
    parameters: Sequence[Value]


@dataclass(frozen=True)
class DynamoTable:
    """A table's name with the client that reaches it; `sleep` waits between the rounds of a batch.

    The calls of one batch that touch different items go out side by side, up to `calls_at_once`.
    """

    client: "DynamoDBClient"
    name: str
    sleep: Callable[[float], None] = time.sleep
    calls_at_once: int = CALLS_AT_ONCE

    @property
    def subject(self) -> str:
        """How errors name the table."""
        return f"table {self.name}"

    def wrote(self, write: Callable[[], object], is_ours: Callable[[], bool] = lambda: False) -> bool:
        """Make one conditional write; False where its condition did not hold, and nothing was written.

        A retry of the SDK, after an answer that was lost, may meet its own effect: then, and only then,
        `is_ours` says whether what stands there is what we wrote.
        """
        with translated_aws_errors(self.subject):
            try:
                write()
            except ClientError as error:
                if code_of(error) != CONDITION_FAILED:
                    raise
                return error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0 and is_ours()
        return True

    def scan(self, query: Mapping[str, Any], start: Mapping[str, Any] | None = None) -> Iterator[Item]:
        """Yield the items of a whole scan, or of what is behind the key `start`; `query` narrows it."""
        request: dict[str, Any] = {"ConsistentRead": True, **query, "TableName": self.name}
        while True:
            if start:
                request["ExclusiveStartKey"] = start
            with translated_aws_errors(self.subject):
                page = self.client.scan(**request)
            yield from page["Items"]
            start = page.get("LastEvaluatedKey")
            if not start:
                return

    def get_many(self, keys: Sequence[Item]) -> list[Item]:
        """Return the items with these keys, strongly consistent and in no order; absent ones are left out.

        Raises:
            ThrottledError (retriable): several rounds in a row brought nothing at all.
        """
        starts = range(0, len(keys), KEYS_IN_A_CALL)
        return self._at_once(self._get_call, [list(keys[each : each + KEYS_IN_A_CALL]) for each in starts])

    def _at_once(self, call: Callable[[C], list[T]], arguments: Sequence[C]) -> list[T]:
        """Make calls that do not wait for each other; returns what they bring, in the arguments' order.

        Where one fails, the others have ended, done, before its error is raised.
        """
        if self.calls_at_once == 1 or len(arguments) < 2:  # noqa: PLR2004 - nothing beside it
            return [each for argument in arguments for each in call(argument)]
        begun = [self._threads.submit(call, argument) for argument in arguments]
        wait(begun)
        return [each for brought in begun for each in brought.result()]

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """Threads that stay: to start them for each batch takes as long as its calls."""
        return ThreadPoolExecutor(self.calls_at_once, thread_name_prefix="kbsync-table")

    def _get_call(self, keys: list[Item]) -> list[Item]:
        found: list[Item] = []
        pending: Sequence[Mapping[str, Any]] = keys
        waits = self._waits()
        while True:
            with translated_aws_errors(self.subject):
                answer = self.client.batch_get_item(
                    RequestItems={self.name: {"Keys": pending, "ConsistentRead": True}}
                )
            got = answer["Responses"].get(self.name, [])
            found += got
            undone = answer.get("UnprocessedKeys", {}).get(self.name)
            pending = undone["Keys"] if undone else []
            if not pending:
                return found
            if got:
                waits = self._waits()
            wait_seconds = next(waits, None)
            if wait_seconds is None:
                raise ThrottledError(
                    f"{self.subject}: {len(pending)} keys stayed unprocessed", hint="the next run goes on"
                )
            self.sleep(wait_seconds)

    def run_statements(self, statements: Sequence[Statement]) -> list[str]:
        """Run write statements and return one error code each, in order; an empty one means done.

        Throttled statements are tried again a few times. A statement that fails stops no other.
        """
        calls = list(calls_of(statements))
        if len({each.key for each in statements}) < len(statements):  # an item's writes keep their order
            return [code for call in calls for code in self._statements_call(call)]
        return self._at_once(self._statements_call, calls)

    def _statements_call(self, statements: Sequence[Statement]) -> list[str]:
        codes = [""] * len(statements)
        pending = list(range(len(statements)))
        for wait_seconds in self._waits():
            for position, code in zip(
                pending, self._call_once([statements[each] for each in pending]), strict=True
            ):
                codes[position] = code
            pending = [each for each in pending if codes[each] in BUSY]
            if not pending:
                break
            self.sleep(wait_seconds)
        return codes

    def _call_once(self, statements: Sequence[Statement]) -> list[str]:
        with translated_aws_errors(self.subject):
            try:
                answer = self.client.batch_execute_statement(
                    Statements=[
                        {"Statement": each.text, "Parameters": each.parameters} for each in statements
                    ]
                )
            except ClientError as error:
                if code_of(error) in ("UnknownOperationException", "ValidationException"):
                    return [UNSUPPORTED] * len(statements)
                raise
        return [str(response.get("Error", {}).get("Code", "")) for response in answer["Responses"]]

    def _waits(self) -> Iterator[float]:
        return (FIRST_WAIT_SECONDS * 2**round_ for round_ in range(ROUNDS))


def calls_of(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Cut statements into calls: at most 25, about a megabyte, and no item twice in one."""
    call: list[Statement] = []
    keys: set[str] = set()
    total_bytes = 0
    for statement in statements:
        statement_bytes = len(statement.text) + sum(
            size_bytes(content) for value in statement.parameters for content in value.values()
        )
        full = len(call) == STATEMENTS_IN_A_CALL or total_bytes + statement_bytes > BYTES_IN_A_CALL
        if call and (full or statement.key in keys):
            yield call
            call, keys, total_bytes = [], set(), 0
        call.append(statement)
        keys.add(statement.key)
        total_bytes += statement_bytes
    if call:
        yield call


def quoted(name: str) -> str:
    """Return an attribute's or table's name as PartiQL writes it."""
    return '"' + name.replace('"', '""') + '"'
