"""The ledger table's schema version: one item, looked at once by each engine, before its first call.

Imports the table and errors. Reading takes any version up to ours as it stands; the first write brings an
older table up first, so that a dry run writes nothing. Invariant: a table that a newer kbsync has brought up
is neither read nor written.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from kbsync.aws.attributes import attributes_of, item_of
from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.errors import SchemaTooNewError, ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SCHEMA_KEY = item_of({"pk": "schema", "sk": "schema"})
Migration = Callable[[DynamoTable], None]
"""Brings the table from one version to the next; killed anywhere or run by two at once, it is run again."""
_READS = frozenset({"batch_get_item", "get_item", "get_paginator", "query", "scan"})


def _as_created(_: DynamoTable) -> None:
    """Version 1 is the table as the stack makes it: nothing is to be moved."""


MIGRATIONS: tuple[Migration, ...] = (_as_created,)
"""The n-th brings a table from version n - 1 to n; one that was published is never edited."""


def checked_table(table: DynamoTable, migrations: Sequence[Migration] = MIGRATIONS) -> DynamoTable:
    """Return the table with its version looked at before the first call, and noted before the first write.

    Nothing is called here. Costs one read of an item for each engine, and one write in a table's life.

    Raises, at a call of the table that comes back:
        SchemaTooNewError (fatal): a newer kbsync brought the table up; nothing was read or written.
    """
    client = cast("DynamoDBClient", _CheckedClient(table, migrations))  # it passes every call on
    return replace(table, client=client)


class _CheckedClient:
    """A DynamoDB client whose calls wait for the version."""

    def __init__(self, table: DynamoTable, migrations: Sequence[Migration]) -> None:
        self._table = table
        self._migrations = migrations
        self._version: int | None = None

    def __getattr__(self, name: str) -> Any:  # whatever the client's method is
        if self._version is None:
            self._version = self._read()
        if name not in _READS and self._version < len(self._migrations):
            self._version = self._migrated(self._version)
        return getattr(self._table.client, name)

    def _read(self) -> int:
        """Return the stored version, 0 where there is none; raise SchemaTooNewError for a newer one."""
        with translated_aws_errors(self._table.subject):
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=SCHEMA_KEY, ConsistentRead=True
            )
        version = int(str(attributes_of(answer["Item"])["version"])) if "Item" in answer else 0
        newest = len(self._migrations)
        if version > newest:
            raise SchemaTooNewError(
                f"{self._table.subject} has schema version {version}; "
                f"this kbsync knows versions up to {newest}",
                hint="deploy the newer kbsync that wrote it, or name another KBSYNC_TABLE",
            )
        return version

    def _migrated(self, version: int) -> int:
        """Bring the table up one version at a time, and return the version that it then has."""
        newest = len(self._migrations)
        for _ in range(2 * newest):
            if version >= newest:
                return version
            self._migrations[version](self._table)
            version = version + 1 if self._note(version) else self._read()
        raise ThrottledError(f"{self._table.subject}: its version changes again and again", hint="try again")

    def _note(self, read: int) -> bool:
        """Store the version after the one read; False where another process was first."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if read:
            condition = {
                "ConditionExpression": "version = :read",
                "ExpressionAttributeValues": item_of({":read": read}),
            }
        item = {**SCHEMA_KEY, **item_of({"version": read + 1})}
        return self._table.wrote(
            lambda: self._table.client.put_item(TableName=self._table.name, Item=item, **condition)
        )
