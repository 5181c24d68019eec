"""Writes of sync records as PartiQL statements: pure.

Imports the records' form and the model. PartiQL has no "replace" and no "create or update", so a statement
says every attribute, and does nothing where the item is not what its writer read. Invariant: each names the
whole key and at least one attribute that was read.
"""

from kbsync.aws.attributes import Item, Value, item_of, value_of
from kbsync.aws.dynamo_table import Statement, quoted
from kbsync.aws.sync_records import ATTRIBUTES, key_of, record_attributes, record_item
from kbsync.model import Save, SyncRecord
from kbsync.queueing import utc_text

_KEY = '"pk" = ? AND "sk" = ?'


def mark_statement(table: str, record: SyncRecord, read: SyncRecord | None) -> Statement:
    """Return the statement that writes a mark: a new item, or the queue attributes of the one read."""
    if read is None:
        return insert_statement(table, record.incident_id, record_item(record))
    changes: dict[str, object] = {"queue": record.queue, "due": record.due}
    since = utc_text(record.pending_since) if record.pending_since else ""
    if read.pending_since is None:
        changes["pending_since"] = since
        condition, read_values = '"pending_since" IS MISSING', []
    else:
        condition, read_values = '"pending_since" = ?', [value_of(since)]
    sets = " ".join(f"SET {quoted(name)} = ?" for name in changes)
    return Statement(
        record.incident_id,
        f'UPDATE {quoted(table)} {sets} REMOVE "expires_at" WHERE {_KEY} AND {condition}',
        [*map(value_of, changes.values()), *key_of(record.incident_id).values(), *read_values],
    )


def save_statement(table: str, save: Save) -> Statement:
    """Return the statement that makes the item equal to the record, where the due is still the one read."""
    changes = record_attributes(save.record)
    sets = " ".join(f"SET {quoted(name)} = ?" for name in changes)
    removes = " ".join(f"REMOVE {quoted(name)}" for name in ATTRIBUTES if name not in changes)
    return Statement(
        save.record.incident_id,
        f"UPDATE {quoted(table)} {sets} {removes} WHERE {_KEY} AND {_EXPECTED}",
        [*item_of(changes).values(), *_expected(save)],
    )


def drop_statement(table: str, save: Save) -> Statement:
    """Return the statement that deletes the item, where the due is still the one read."""
    condition = _EXPECTED if save.read_due else '"due" IS MISSING AND "generation" <= ?'
    return Statement(
        save.record.incident_id,
        f"DELETE FROM {quoted(table)} WHERE {_KEY} AND {condition}",  # noqa: S608 - names are quoted
        _expected(save),
    )


_EXPECTED = '"due" = ? AND "generation" <= ?'


def _expected(save: Save) -> list[Value]:
    due = [value_of(save.read_due)] if save.read_due else []
    return [*key_of(save.record.incident_id).values(), *due, value_of(save.record.generation)]


def insert_statement(table: str, key: str, item: Item) -> Statement:
    """Return the statement that writes a new item, and nothing where there is one."""
    members = ", ".join(f"'{name}': ?" for name in item)
    return Statement(key, f"INSERT INTO {quoted(table)} VALUE {{{members}}}", list(item.values()))
