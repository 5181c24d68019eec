"""The doctor's look at the customer's incidents table: keys, status index, projection, cost, stream.

Imports clients, the tables' names and findings. Invariant: Describe calls, and reads that return at most one
item.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

from kbsync.aws.attributes import item_of
from kbsync.aws.doctor_calls import asking, wrong_region
from kbsync.aws.doctor_place import Place
from kbsync.aws.tables import METADATA, STATUS_INDEX
from kbsync.doctor.finding import Check, Code, Finding, FindingError, error, warning, well
from kbsync.model import SYNC_STATUS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        GlobalSecondaryIndexDescriptionTypeDef,
        KeySchemaElementTypeDef,
        TableDescriptionTypeDef,
    )

KEYS = "incident_id, sk"
COSTLY_READ_UNITS = 1_000
"""Read units of one look through the index from which on marking by stream is worth its set-up."""

_BYTES_A_READ_UNIT = 8192
"""An eventually consistent read of 8 KB. Source: DynamoDB Developer Guide, "Read consistency"."""
_ABSENT_ID = "kbsync-doctor-looks-for-nothing"
_MARK = "deploy the stream marker (NEW_AND_OLD_IMAGES), so that runs read the queue alone"
_RECREATE = (
    f"an index cannot be changed: delete {STATUS_INDEX} and create it anew with projection ALL, or INCLUDE "
    f"with {SYNC_STATUS}; or deploy the stream marker and set DISCOVERY=queue"
)


class TableChecks:
    """All checks of `INCIDENTS_TABLE`; `marking_is_complete` asks the ledger whether the queue is enough."""

    def __init__(self, place: Place, marking_is_complete: Callable[[], bool]) -> None:
        self._place = place
        self._marking_is_complete = marking_is_complete
        self._name = place.settings.incidents_table
        self._subject = f"table {self._name}"

    def checks(self) -> list[tuple[str, Check]]:
        """Return every check with its name."""
        return [
            (self._subject, self.check_table),
            (self._subject, self.check_index),
            (self._subject, self.check_reads),
            (self._subject, self.check_index_reads),
            (self._subject, self.check_cost),
        ]

    @cached_property
    def _table(self) -> "TableDescriptionTypeDef":
        return described(self._place, self._name, Code.TABLE_MISSING, "INCIDENTS_TABLE")

    @cached_property
    def _index(self) -> "GlobalSecondaryIndexDescriptionTypeDef | None":
        indexes = self._table.get("GlobalSecondaryIndexes", [])
        return next((each for each in indexes if each.get("IndexName") == STATUS_INDEX), None)

    @property
    def _keys(self) -> str:
        return keys_text(self._table.get("KeySchema", []))

    @cached_property
    def _is_index_needed(self) -> bool:
        """Whether runs page the index: not where they read the queue alone."""
        discovery = self._place.settings.discovery
        return discovery == "index" or (discovery == "auto" and not self._marking_is_complete())

    def check_table(self) -> Iterator[Finding]:
        """Judge the table's region and keys."""
        there = region_of_arn(self._table.get("TableArn", ""))
        if there and there != self._place.region:
            yield wrong_region(self._subject, there, self._place.region)
        keys = self._keys
        if keys != KEYS:
            remedy = "name the table whose keys are incident_id and sk (both text); keys cannot be changed"
            yield error(Code.TABLE_KEYS, self._subject, f"its keys are {keys}", remedy)
        else:
            count = self._table.get("ItemCount", 0)
            yield well(Code.TABLE, self._subject, f"{count} items by its own count, keys {keys}")

    def check_index(self) -> Iterator[Finding]:
        """Judge the status index: there, active, by status, and with what discovery reads."""
        index, subject = self._index, f"index {STATUS_INDEX}"
        if index is None:
            remedy = f"create {STATUS_INDEX} on status and priority with projection ALL; or {_MARK}"
            make = error if self._is_index_needed else warning
            yield make(Code.INDEX_MISSING, subject, f"{self._subject} has no such index", remedy)
            return
        keys = keys_text(index.get("KeySchema", []))
        projection = index.get("Projection", {})
        kind, projected = projection.get("ProjectionType", ""), projection.get("NonKeyAttributes", [])
        if index.get("IndexStatus", "ACTIVE") != "ACTIVE":
            seen = f"it is {index.get('IndexStatus')}: what it does not hold yet is not found"
            yield warning(Code.INDEX_NOT_ACTIVE, subject, seen, "wait until it is ACTIVE, then look again")
        if not _is_by_status(index):
            remedy = f"create {STATUS_INDEX} anew with the partition key status and the sort key priority"
            yield error(Code.INDEX_KEYS, subject, f"its keys are {keys}", remedy)
        elif kind != "ALL" and SYNC_STATUS not in projected:
            seen = f"projection {kind} lacks {SYNC_STATUS}: every closed incident looks unsynced for ever"
            yield error(Code.INDEX_PROJECTION, subject, seen, _RECREATE)
        else:
            yield well(Code.STATUS_INDEX, subject, f"keys {keys}, projection {kind}")

    def check_reads(self) -> Iterator[Finding]:
        """Try to read items by key, where the keys are right; the one that is asked for does not exist."""
        if self._keys != KEYS:
            return
        key = item_of({"incident_id": _ABSENT_ID, "sk": METADATA})
        with asking("dynamodb:BatchGetItem", self._subject):
            self._place.clients.dynamodb.batch_get_item(RequestItems={self._name: {"Keys": [key]}})
        yield well(Code.TABLE_READS, self._subject, "items can be read by key")

    def check_index_reads(self) -> Iterator[Finding]:
        """Try to read the status index, where there is one by status."""
        if self._index is None or not _is_by_status(self._index):
            return
        with asking("dynamodb:Query", f"index {STATUS_INDEX}"):
            self._place.clients.dynamodb.query(
                TableName=self._name,
                IndexName=STATUS_INDEX,
                KeyConditionExpression="#status = :status",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=item_of({":status": _ABSENT_ID}),
                Limit=1,
            )
        yield well(Code.TABLE_READS, f"index {STATUS_INDEX}", "it can be queried")

    def check_cost(self) -> Iterator[Finding]:
        """Say what looking through the status index costs, and whether it is needed at all."""
        has_stream = bool(self._table.get("StreamSpecification", {}).get("StreamEnabled"))
        if self._place.settings.discovery == "queue" and not has_stream:
            seen = "DISCOVERY=queue, and the table has no stream: what other programs write is never noticed"
            yield warning(Code.STREAM_MISSING, self._subject, seen, f"{_MARK}; or set DISCOVERY=auto")
        if self._index is None or not self._is_index_needed:
            return
        items, size_bytes = self._index.get("ItemCount", 0), self._index.get("IndexSizeBytes", 0)
        units = ceil(size_bytes / _BYTES_A_READ_UNIT)
        seen = (
            f"a look through it reads up to {units} units ({items} items, {size_bytes} bytes, as AWS counted "
            f"within 6 hours); every hour, that is {units * 720} a month"
        )
        make = warning if units > COSTLY_READ_UNITS else well
        yield make(Code.INDEX_COST, f"index {STATUS_INDEX}", seen, _MARK)


def _is_by_status(index: "GlobalSecondaryIndexDescriptionTypeDef") -> bool:
    return keys_text(index.get("KeySchema", [])).split(", ")[0] == "status"


def described(place: Place, name: str, missing: Code, variable: str) -> "TableDescriptionTypeDef":
    """Return a table's description.

    Raises:
        FindingError: there is no such table in this account and region, or it may not be looked at.
    """
    subject = f"table {name}"
    remedy = f"check {variable} (here {name}), the account, and AWS_REGION (here {place.region})"
    absent = error(missing, subject, f"there is no such table in {place.region}", remedy)
    with asking("dynamodb:DescribeTable", subject, absent=absent):
        table = place.clients.dynamodb.describe_table(TableName=name)["Table"]
    if table.get("TableStatus") not in ("ACTIVE", "UPDATING"):
        seen = f"it is {table.get('TableStatus')}"
        raise FindingError(error(missing, subject, seen, "wait until it is ACTIVE, then look again"))
    return table


def keys_text(schema: "Sequence[KeySchemaElementTypeDef]") -> str:
    """Return the names of partition key and sort key, in this order."""
    return ", ".join(each["AttributeName"] for each in sorted(schema, key=lambda key: key["KeyType"]))


def region_of_arn(arn: str) -> str:
    """Return the region of an ARN; empty where it names none."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 else ""  # noqa: PLR2004 - arn:partition:service:region:account:resource
