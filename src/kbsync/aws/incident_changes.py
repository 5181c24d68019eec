"""Changes of our own API: an incident and its ledger mark in one transaction, with many others.

Imports the table, the conditions on what was read, the marks, the model and ports. Invariant: neither is ever
written without the other, and a change whose token no longer holds writes nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from kbsync.aws.attributes import Item, attributes_of, item_of, size_bytes, token_of
from kbsync.aws.aws_errors import code_of, translated_aws_errors
from kbsync.aws.dynamo_table import FIRST_WAIT_SECONDS, DynamoTable
from kbsync.aws.read_conditions import ReadCondition, read_condition
from kbsync.aws.record_marks import RecordMarks
from kbsync.aws.tables import METADATA
from kbsync.errors import ThrottledError, UsageError
from kbsync.model import SyncRecord
from kbsync.ports import IncidentChange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

TRIES = 5
PAIRS_TOGETHER = 50
BYTES_TOGETHER = 3_000_000
"""Source: Amazon DynamoDB API Reference, "TransactWriteItems": 100 actions, 4 MB."""
_RECORD_BYTES = 4_096
_ABSENT = ReadCondition("attribute_not_exists(incident_id)", {}, {})


class IncidentChanges:
    """Writes of whole incidents; `watched` as in DynamoIncidentStore."""

    def __init__(self, table: DynamoTable, marks: RecordMarks, watched: Sequence[str]) -> None:
        self._table = table
        self._marks = marks
        self._watched = watched

    def change(self, changes: Sequence[IncidentChange]) -> list[bool]:
        """Write the pairs in order, many in one transaction; False where a token no longer holds.

        Where a transaction of many is refused, each pair gets one of its own, so that one stops no other.
        Killed midway, the first of them are written: their tokens no longer hold at a repeat. Costs twice the
        write units of the item, and a read of it.

        Raises:
            UsageError: the table refuses the item: too large, or of a wrong type in a key of an index.
            ThrottledError (retriable): this change and those after it are not written.
        """
        return [done for together in _together(changes) for done in self._change_together(together)]

    def _change_together(self, changes: Sequence[IncidentChange]) -> list[bool]:
        """Write changes of different incidents in one transaction, or, where it is refused, one by one."""
        ids = [change.incident_id for change in changes]
        items, records = self._items(ids), self._marks.read(ids)
        holding = [each for each in changes if _token(items.get(each.incident_id)) == each.token]
        if len(holding) > 1:
            members = [
                member
                for each in holding
                for member in self._pair(each, items.get(each.incident_id), records.get(each.incident_id))
            ]
            with suppress(UsageError):  # one by one tells which
                if self._transact(changes[0], members):
                    written = {each.incident_id for each in holding}
                    return [each.incident_id in written for each in changes]
        return [
            self._change(each, items.get(each.incident_id), records.get(each.incident_id)) for each in changes
        ]

    def _pair(
        self, change: IncidentChange, item: Item | None, record: SyncRecord | None
    ) -> "list[TransactWriteItemTypeDef]":
        return [self._member(change, item), self._marks.member(change.mark, record)]

    def _change(self, change: IncidentChange, item: Item | None, record: SyncRecord | None) -> bool:
        """Write one pair; what stood in the way is read again, until the token no longer holds."""
        for turn in range(TRIES):
            if _token(item) != change.token:
                return False
            if self._transact(change, self._pair(change, item, record)):
                return True
            self._table.sleep(FIRST_WAIT_SECONDS * 2**turn)
            item = self._items([change.incident_id]).get(change.incident_id)
            record = self._marks.read([change.incident_id]).get(change.incident_id)
        raise ThrottledError(
            f"{self._table.subject}: an incident is being written by others", hint="try again"
        )

    def _items(self, incident_ids: Sequence[str]) -> dict[str, Item]:
        keys = [_key_of(incident_id) for incident_id in incident_ids]
        return {str(item["incident_id"]["S"]): item for item in self._table.get_many(keys)}

    def _member(self, change: IncidentChange, item: Item | None) -> "TransactWriteItemTypeDef":
        condition = read_condition(attributes_of(item), self._watched) if item else _ABSENT
        key = _key_of(change.incident_id)
        asked = {
            "TableName": self._table.name,
            "ConditionExpression": condition.text,
            **({"ExpressionAttributeNames": condition.names} if condition.names else {}),
            **({"ExpressionAttributeValues": condition.values} if condition.values else {}),
        }
        if change.attributes is None:
            return {"Delete": {**asked, "Key": key}}  # type: ignore[typeddict-item] # parts left out above
        return {"Put": {**asked, "Item": {**item_of(change.attributes), **key}}}  # type: ignore[typeddict-item] # likewise

    def _transact(self, change: IncidentChange, members: "list[TransactWriteItemTypeDef]") -> bool:
        """Write both or neither; a retry of the SDK carries the same token, so it never writes twice."""
        with translated_aws_errors(self._table.subject):
            try:
                self._table.client.transact_write_items(TransactItems=members)
            except ClientError as error:
                reasons = error.response.get("CancellationReasons", [])
                codes = {str(reason.get("Code")) for reason in reasons}
                if code_of(error) == "ValidationException" or "ValidationError" in codes:
                    raise UsageError(
                        f"the incidents table refuses {change.incident_id}",
                        hint="an item holds at most 400 KB, and keys of indexes are text",
                    ) from error
                if code_of(error) != "TransactionCanceledException":
                    raise
                return False
        return True


def _token(item: Item | None) -> str:
    return token_of(item) if item else ""


def _together(changes: Sequence[IncidentChange]) -> Iterator[list[IncidentChange]]:
    """Cut changes into transactions: a bounded number and size, and no incident twice in one."""
    together: list[IncidentChange] = []
    ids: set[str] = set()
    total_bytes = 0
    for change in changes:
        change_bytes = size_bytes(item_of(change.attributes or {})) + _RECORD_BYTES
        is_full = len(together) == PAIRS_TOGETHER or total_bytes + change_bytes > BYTES_TOGETHER
        if together and (is_full or change.incident_id in ids):
            yield together
            together, ids, total_bytes = [], set(), 0
        together.append(change)
        ids.add(change.incident_id)
        total_bytes += change_bytes
    if together:
        yield together


def _key_of(incident_id: str) -> Item:
    return item_of({"incident_id": incident_id, "sk": METADATA})
