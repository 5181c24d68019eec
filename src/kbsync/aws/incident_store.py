"""IncidentStore on AWS: the customer's DynamoDB table, of which only `kb_sync_status` is ours.

Imports the table, the conditions on what was read, the marks, the model and ports. Only items with the sort
key METADATA are incidents. Invariant: every write is conditional on what was read, and creates nothing but
what our own API was asked to create.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from kbsync.aws.attributes import Item, attributes_of, item_of, token_of, value_of
from kbsync.aws.aws_errors import code_of, translated_aws_errors
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.incident_changes import IncidentChanges
from kbsync.aws.read_conditions import read_condition, status_statement
from kbsync.aws.record_marks import RecordMarks
from kbsync.aws.tables import METADATA, STATUS_INDEX
from kbsync.errors import IncidentRejectedError
from kbsync.model import SYNC_STATUS, StoredIncident, SyncStatus
from kbsync.ports import IncidentChange, Noted, Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef, ScanOutputTypeDef

_ID_BYTES = 2048
"""Source: DynamoDB Developer Guide, "Quotas": length of a partition key."""


class DynamoIncidentStore:
    """Implements ports.IncidentStore over `INCIDENTS_TABLE`.

    `watched` names the attributes whose appearance counts as a change: all that a document is made from.
    """

    def __init__(self, table: DynamoTable, marks: RecordMarks, watched: Iterable[str]) -> None:
        self._table = table
        self._watched = tuple(sorted({*watched, SYNC_STATUS}))
        self._changes = IncidentChanges(table, marks, self._watched)

    def read(self, incident_ids: Sequence[str]) -> dict[str, StoredIncident]:
        """Return the items with these ids; absent ones, and ids that no key can be, are left out."""
        wanted = [each for each in dict.fromkeys(incident_ids) if _is_possible(each)]
        items = self._table.get_many([key_of(incident_id) for incident_id in wanted])
        found = map(stored_of, items)
        return {stored.incident_id: stored for stored in found}

    def list_by_status(self, status: str, *, cursor: str, limit: int) -> Page[StoredIncident]:
        """Return one page of the status index, by priority; what it does not project is absent."""
        return self._page(
            lambda request: self._table.client.query(
                IndexName=STATUS_INDEX,
                KeyConditionExpression="#status = :status",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=item_of({":status": status}),
                **request,
            ),
            cursor,
            limit,
        )

    def scan(self, *, cursor: str, limit: int, part: int = 0, parts: int = 1) -> Page[StoredIncident]:
        """Return one page of the base table or of one segment of it, strongly consistent."""
        segment: Any = {"Segment": part, "TotalSegments": parts} if parts > 1 else {}  # the client's keywords
        return self._page(
            lambda request: self._table.client.scan(ConsistentRead=True, **segment, **request), cursor, limit
        )

    def _page(
        self,
        call: "Callable[[Any], QueryOutputTypeDef | ScanOutputTypeDef]",
        cursor: str,
        limit: int,
    ) -> Page[StoredIncident]:
        """Return one page; a page with nothing on it is not the end, only a missing key is (CASES O-09)."""
        if limit < 1:
            raise ValueError("a page holds at least one item")
        request: dict[str, Any] = {"TableName": self._table.name, "Limit": limit}
        if cursor:
            request["ExclusiveStartKey"] = json.loads(cursor)
        with translated_aws_errors(self._table.subject):
            answer = call(request)
        last = answer.get("LastEvaluatedKey")
        items = [stored_of(item) for item in answer["Items"] if item["sk"].get("S") == METADATA]
        return Page(tuple(items), json.dumps(last) if last else "")

    def count_by_status(self) -> dict[str, int]:
        """Return how many items there are by status; those without one in text are under an empty one.

        Reads the whole table, eventually consistent: half a read unit for 4 KB.
        """
        names = {"#sk": "sk", "#status": "status"}
        query = {
            "ProjectionExpression": "#sk, #status",
            "ExpressionAttributeNames": names,
            "ConsistentRead": False,
        }
        counts: dict[str, int] = {}
        for item in self._table.scan(query):
            if item["sk"].get("S") == METADATA:
                status = str(item.get("status", {}).get("S", ""))
                counts[status] = counts.get(status, 0) + 1
        return counts

    def write_sync_status(self, read: StoredIncident, status: SyncStatus) -> bool:
        """Replace the whole `kb_sync_status` map where the item still is what was read.

        Where the item is so full that the map finds no place, it is written without times and error.

        Raises:
            IncidentRejectedError: not even that finds a place; nothing was written.
        """
        try:
            return self._write(read, status.as_map())
        except IncidentRejectedError:
            return self._write(read, SyncStatus(status.synced, status.sync_attempts).as_map())

    def _write(self, read: StoredIncident, wanted: Mapping[str, object]) -> bool:
        condition = read_condition(read.attributes, self._watched)
        return self._table.wrote(
            lambda: self._update(
                read.incident_id,
                {**condition.names, "#written": SYNC_STATUS},
                condition.text,
                {**condition.values, ":written": value_of(wanted)},
            ),
            lambda: self._holds(read, wanted),
        )

    def write_sync_statuses(self, writes: Sequence[tuple[StoredIncident, SyncStatus]]) -> list[Noted]:
        """Do many `write_sync_status` in few calls; one outcome each, in order.

        A statement that did not hold is written again by itself: PartiQL's idea of equality is not to decide.
        """
        codes = self._table.run_statements(
            [status_statement(self._table.name, read, status, self._watched) for read, status in writes]
        )
        return [
            self._write_again(read, status) if code else Noted.WRITTEN
            for (read, status), code in zip(writes, codes, strict=True)
        ]

    def _write_again(self, read: StoredIncident, status: SyncStatus) -> Noted:
        try:
            return Noted.WRITTEN if self.write_sync_status(read, status) else Noted.CHANGED
        except IncidentRejectedError:
            return Noted.REFUSED

    def change(self, changes: Sequence[IncidentChange]) -> list[bool]:
        """Write incidents and their marks; False where a token no longer holds: nothing was written of it."""
        return self._changes.change(changes)

    def _update(self, incident_id: str, names: Mapping[str, str], condition: str, values: Item) -> None:
        try:
            self._table.client.update_item(
                TableName=self._table.name,
                Key=key_of(incident_id),
                UpdateExpression="SET #written = :written",
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if code_of(error) == "ValidationException":
                raise IncidentRejectedError(
                    f"the incidents table refuses {SYNC_STATUS} on this item",
                    hint="an item holds at most 400 KB: make it smaller",
                ) from error
            raise

    def _holds(self, read: StoredIncident, wanted: Mapping[str, object]) -> bool:
        """Whether the item is what was read with the map that we wrote."""
        stored = self.read([read.incident_id]).get(read.incident_id)
        return stored is not None and stored.attributes == {**read.attributes, SYNC_STATUS: wanted}


def key_of(incident_id: str) -> Item:
    """Return the key of an incident's own item."""
    return item_of({"incident_id": incident_id, "sk": METADATA})


def stored_of(item: Mapping[str, Any]) -> StoredIncident:
    """Return an item as it was read; its token is the hash of all of it."""
    return StoredIncident(str(item["incident_id"]["S"]), attributes_of(item), token_of(item))


def _is_possible(incident_id: str) -> bool:
    try:
        return 0 < len(incident_id.encode()) <= _ID_BYTES
    except UnicodeEncodeError:
        return False
