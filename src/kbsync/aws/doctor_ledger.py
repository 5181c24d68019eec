"""The doctor's look at our own ledger table: keys, sparse index, TTL, backups, and what it says.

Imports the ledger, the tables' names and findings. Invariant: reads only; no item is made.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from kbsync.aws.attributes import attributes_of, item_of
from kbsync.aws.doctor_calls import asking, naming, wrong_region
from kbsync.aws.doctor_place import Place
from kbsync.aws.doctor_tables import described, keys_text, region_of_arn
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.ledger import DynamoLedger
from kbsync.aws.tables import EXPIRES_AT, QUEUE_INDEX, ledger_table
from kbsync.doctor.finding import Check, Code, Finding, error, warning, well
from kbsync.doctor.lease_check import StoredLease, check_lease
from kbsync.ports import Ledger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

_DEPLOY = "deploy the stack of this version: it sets the table up as it must be"


class LedgerChecks:
    """All checks of `KBSYNC_TABLE`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._name = place.settings.kbsync_table
        self.subject = f"table {self._name}"
        table = DynamoTable(place.clients.dynamodb, self._name)
        self.ledger = DynamoLedger(table, place.settings.queue_shards, place.now)

    def checks(self) -> list[tuple[str, Check]]:
        """Return every check of the table itself, with its name."""
        return [
            (self.subject, self.check_table),
            (self.subject, self._where_there(self.check_expiry)),
            (self.subject, self._where_there(self.check_backup)),
        ]

    def _where_there(self, check: Check) -> Check:
        """Return a check that ends with the table's own finding where there is no table."""

        def guarded() -> Iterator[Finding]:
            if self._table:
                yield from check()

        return guarded

    @cached_property
    def _table(self) -> "TableDescriptionTypeDef":
        return described(self._place, self._name, Code.LEDGER_MISSING, "KBSYNC_TABLE")

    def check_table(self) -> Iterator[Finding]:
        """Judge the table's region, keys and sparse index against the definition that the adapters use."""
        there = region_of_arn(self._table.get("TableArn", ""))
        if there and there != self._place.region:
            yield wrong_region(self.subject, there, self._place.region)
        code, seen = self._fault or (Code.LEDGER, f"keys pk, sk, index {QUEUE_INDEX}")
        make = error if self._fault else well
        yield make(code, self.subject, seen, _DEPLOY if self._fault else "")

    @cached_property
    def _fault(self) -> tuple[Code, str] | None:
        """What is wrong with the table's shape, so that nothing can be read from it."""
        wanted = ledger_table(self._name)
        keys = keys_text(self._table.get("KeySchema", []))
        if keys != keys_text(list(wanted["KeySchema"])):
            return Code.LEDGER_KEYS, f"its keys are {keys}, not pk, sk"
        indexes = self._table.get("GlobalSecondaryIndexes", [])
        index = next((each for each in indexes if each.get("IndexName") == QUEUE_INDEX), None)
        if index is None:
            return Code.LEDGER_INDEX, f"it has no index {QUEUE_INDEX}"
        index_keys, projection = keys_text(index.get("KeySchema", [])), index.get("Projection", {})
        if index_keys != "queue, due":
            return Code.LEDGER_INDEX, f"index {QUEUE_INDEX} has the keys {index_keys}"
        if projection.get("ProjectionType") != "ALL" and "pending_since" not in projection.get(
            "NonKeyAttributes", []
        ):
            return Code.LEDGER_INDEX, f"index {QUEUE_INDEX} lacks pending_since"
        return None

    def check_expiry(self) -> Iterator[Finding]:
        """Judge whether old run records and tombstones leave by themselves."""
        with asking("dynamodb:DescribeTimeToLive", self.subject):
            answer = self._place.clients.dynamodb.describe_time_to_live(TableName=self._name)
        told = answer["TimeToLiveDescription"]
        state, attribute = told.get("TimeToLiveStatus", "DISABLED"), told.get("AttributeName", "")
        if state not in ("ENABLED", "ENABLING") or attribute != EXPIRES_AT:
            seen = f"TTL is {state}{f' on {attribute}' if attribute else ''}: old records stay for ever"
            remedy = f"switch TTL on for the attribute {EXPIRES_AT}, or {_DEPLOY}"
            yield warning(Code.LEDGER_TTL, self.subject, seen, remedy)

    def check_backup(self) -> Iterator[Finding]:
        """Judge whether the table can be brought back to an earlier moment."""
        with asking("dynamodb:DescribeContinuousBackups", self.subject):
            answer = self._place.clients.dynamodb.describe_continuous_backups(TableName=self._name)
        recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
            seen = "point-in-time recovery is off: a lost ledger means publishing everything anew"
            remedy = f"switch point-in-time recovery on, or {_DEPLOY}"
            yield warning(Code.LEDGER_BACKUP, self.subject, seen, remedy)

    def asked(self, action: str, check: Callable[[Ledger], Iterable[Finding]]) -> Check:
        """Return a check of what the ledger says, where it can say anything; `action` is what it needs."""

        def ask() -> Iterator[Finding]:
            if not self._fault:
                yield from naming(action, self.subject, check(self.ledger))

        return ask

    def asked_for_lease(self, name: str) -> Check:
        """Return a check of a lease by a look at its item."""

        def ask() -> Iterator[Finding]:
            if not self._fault:
                yield from self._check_lease(name)

        return ask

    def _check_lease(self, name: str) -> Iterator[Finding]:
        key = item_of({"pk": f"lease#{name}", "sk": "lease"})
        with asking("dynamodb:GetItem", self.subject):
            answer = self._place.clients.dynamodb.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        yield from check_lease(_lease_of(attributes_of(answer.get("Item", {}))), self._place.now())


def _lease_of(item: dict[str, object]) -> StoredLease | None:
    if not item:
        return None
    expires_at = datetime.fromisoformat(str(item["expires_at"]))
    return StoredLease(str(item["owner"]), expires_at, released=item["released"] is True)
