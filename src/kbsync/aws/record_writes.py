"""The publisher's writes of sync records: many by statements, and each that failed again by itself.

Imports the table, the records' form and the model. A statement that did not hold proves nothing (its own
first delivery may be what it met): the single write that follows reads, decides and is conditional on what it
read. Invariant: no write takes away a due that it has not read, or a newer generation's record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kbsync.aws.attributes import Item, item_of
from kbsync.aws.dynamo_table import DynamoTable
from kbsync.aws.record_statements import drop_statement, save_statement
from kbsync.aws.sync_records import key_of, read_records, record_item
from kbsync.errors import ThrottledError
from kbsync.model import Clock, Save, SaveOutcome, SyncRecord
from kbsync.queueing import outcome_of, with_newer_mark

TRIES = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition expression with its values."""

    text: str
    values: Item


class RecordWrites:
    """Saves and drops of sync records in the ledger table; `now` tells which records have expired."""

    def __init__(self, table: DynamoTable, now: Clock) -> None:
        self._table = table
        self._now = now

    def save(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Write records, each on its own condition; one outcome each, in order."""
        queued = [save for save in saves if save.read_due]
        statements = [save_statement(self._table.name, save) for save in queued]
        codes = iter(self._table.run_statements(statements))
        return [
            SaveOutcome.SAVED if save.read_due and not next(codes) else self._save(save) for save in saves
        ]

    def _save(self, save: Save) -> SaveOutcome:
        record = save.record
        for _ in range(TRIES):
            stored = self._read(record.incident_id)
            if stored == record:
                return SaveOutcome.SAVED
            outcome = outcome_of(save, stored)
            if outcome is SaveOutcome.FENCED:
                return outcome
            kept, due = record, save.read_due
            if outcome is SaveOutcome.MARKED_MEANWHILE and stored is not None:
                due = stored.due
                kept = with_newer_mark(record, stored)
            if self._put(kept, expected(Save(record, due))):
                return outcome
        raise self._contended()

    def drop(self, saves: Sequence[Save]) -> list[SaveOutcome]:
        """Forget the records whose due is still the one read; what is not there is forgotten already."""
        codes = self._table.run_statements([drop_statement(self._table.name, save) for save in saves])
        return [
            self._drop(save) if code else SaveOutcome.SAVED for save, code in zip(saves, codes, strict=True)
        ]

    def _drop(self, save: Save) -> SaveOutcome:
        for _ in range(TRIES):
            stored = self._read(save.record.incident_id)
            outcome = outcome_of(save, stored) if stored is not None else SaveOutcome.SAVED
            if stored is None or outcome is not SaveOutcome.SAVED or self._delete(save):
                return outcome
        raise self._contended()

    def _read(self, incident_id: str) -> SyncRecord | None:
        return read_records(self._table, [incident_id], self._now()).get(incident_id)

    def _put(self, record: SyncRecord, condition: Condition) -> bool:
        return self._table.wrote(
            lambda: self._table.client.put_item(
                TableName=self._table.name,
                Item=record_item(record),
                ConditionExpression=condition.text,
                ExpressionAttributeValues=condition.values,
            )
        )

    def _delete(self, save: Save) -> bool:
        condition = expected(save)
        return self._table.wrote(
            lambda: self._table.client.delete_item(
                TableName=self._table.name,
                Key=key_of(save.record.incident_id),
                ConditionExpression=condition.text,
                ExpressionAttributeValues=condition.values,
            )
        )

    def _contended(self) -> ThrottledError:
        return ThrottledError(
            f"{self._table.subject}: a record changed again and again", hint="the next run goes on"
        )


def expected(save: Save) -> Condition:
    """Return the condition of a publisher's write: the due that was read, and no newer generation."""
    values = {":generation": save.record.generation}
    if save.read_due:
        text = "due = :due AND generation <= :generation"
        return Condition(text, item_of({**values, ":due": save.read_due}))
    text = "attribute_not_exists(pk) OR (attribute_not_exists(due) AND generation <= :generation)"
    return Condition(text, item_of(values))
