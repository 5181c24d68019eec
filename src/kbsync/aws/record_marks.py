"""Marks on sync records: many by statements, and each that did not take by itself or inside a transaction.

Imports the table, the records' form, the model and queueing. Invariant: a mark touches the queue attributes
only (a reset, a doubt, a deletion or a purge also what it changes, on the condition that it still is what was
read), so that it never takes back what a publisher wrote meanwhile.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kbsync.aws.attributes import item_of
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.record_statements import changed_content, mark_statement
from kbsync.aws.sync_records import key_of, read_records, record_attributes
from kbsync.errors import ThrottledError
from kbsync.model import Clock, Mark, SyncRecord
from kbsync.queueing import marked

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef

TRIES = 5
_ONLY_CREATED = ("state", "generation")


class RecordMarks:
    """Marks of incidents in the ledger table; `now` tells which records have expired."""

    def __init__(self, table: DynamoTable, shards: int, now: Clock) -> None:
        self._table = table
        self._shards = shards
        self._now = now

    def read(self, incident_ids: Sequence[str]) -> dict[str, SyncRecord]:
        """Return the records with these ids, strongly consistent; absent and expired ones are left out."""
        return read_records(self._table, incident_ids, self._now())

    def mark(self, marks: Sequence[Mark]) -> None:
        """Put each incident into the publish queue; several marks of one incident count in their order.

        A read in hundreds and a write in twenty-fives. Killed midway, some are marked: repeat it.
        """
        of_each: dict[str, list[Mark]] = {}
        for mark in marks:
            of_each.setdefault(mark.incident_id, []).append(mark)
        held = self.read(list(of_each))
        wanted, statements = [], []
        for incident_id, its_marks in of_each.items():
            read = held.get(incident_id)
            record = read
            for mark in its_marks:
                record = marked(record, mark, self._shards) or record
            if record is not None:
                wanted.append(its_marks)
                statements.append(mark_statement(self._table.name, record, read))
        codes = self._table.run_statements(statements)
        for its_marks, code in zip(wanted, codes, strict=True):
            for mark in its_marks if code else ():
                self._mark(mark)

    def _mark(self, mark: Mark) -> None:
        for _ in range(TRIES):
            update = self.update(mark, self.read([mark.incident_id]).get(mark.incident_id))
            if update is None:
                return
            if self._table.wrote(partial(self._table.client.update_item, **update)):
                return
        raise ThrottledError(
            f"{self._table.subject}: a record changed again and again", hint="the next run goes on"
        )

    def member(self, mark: Mark, read: SyncRecord | None) -> "TransactWriteItemTypeDef":
        """Return the mark as one member of a transaction, given the record as it was read.

        A mark that may create nothing where nothing is becomes the check that there still is nothing.
        """
        update = self.update(mark, read)
        if update is not None:
            return {"Update": update}
        return {
            "ConditionCheck": {
                "TableName": self._table.name,
                "Key": key_of(mark.incident_id),
                "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
                "ExpressionAttributeValues": item_of({":now": int(self._now().timestamp())}),
            }
        }

    def update(self, mark: Mark, read: SyncRecord | None) -> "UpdateTypeDef | None":
        """Return the update that marks, given the record as it was read; None where nothing is to do."""
        record = marked(read, mark, self._shards)
        if record is None:
            return None
        after = record_attributes(record)
        names, values, clauses = _reset(record_attributes(read) if read else {}, after)
        sets = [f"{_name(name)} = {_value(name)}" for name in after if name in names]
        removes = [_name(name) for name in names if name not in after]
        conditions = [*clauses] if mark.create else ["attribute_exists(pk)", *clauses]
        sets += ["#queue = :queue", "#due = :due"]
        sets += [
            f"{_name(name)} = if_not_exists({_name(name)}, {_value(name)})"
            for name in ("pending_since", *_ONLY_CREATED)
            if name not in names
        ]
        used = {"queue", "due", "pending_since", "expires_at", *_ONLY_CREATED, *names}
        given = {name: value for name, value in after.items() if name in used and name != "expires_at"}
        update: UpdateTypeDef = {
            "TableName": self._table.name,
            "Key": key_of(mark.incident_id),
            "UpdateExpression": f"SET {', '.join(sets)} REMOVE {', '.join(['#expires_at', *removes])}",
            "ExpressionAttributeNames": {_name(name): name for name in sorted(used)},
            "ExpressionAttributeValues": item_of(
                {_value(name): value for name, value in given.items()} | values
            ),
        }
        if conditions:
            update["ConditionExpression"] = " AND ".join(conditions)
        return update


def _reset(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[list[str], dict[str, Any], list[str]]:
    """Return what a reset changes, with the values and clauses that make it hold only on what was read."""
    changed = [name for name in changed_content(before, after) if before or name not in _ONLY_CREATED]
    values = {f":read_{name}": before[name] for name in changed if name in before}
    clauses = [
        f"{_name(name)} = :read_{name}" if name in before else f"attribute_not_exists({_name(name)})"
        for name in changed
    ]
    return changed, values, clauses


def _name(attribute: str) -> str:
    return f"#{attribute}"


def _value(attribute: str) -> str:
    return f":{attribute}"
