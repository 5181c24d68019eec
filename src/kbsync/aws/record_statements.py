"""Writes of sync records as PartiQL statements: pure.

Imports the records' form and the model. PartiQL has no "replace" and no "create or update", so a statement
says every attribute, and does nothing where the item is not what its writer read. Invariant: each names the
whole key and at least one attribute that was read.
"""

from collections.abc import Mapping
from functools import lru_cache

from kbsync.aws.attributes import Item, Value, item_of, value_of
from kbsync.aws.dynamo_table import Statement, quoted
from kbsync.aws.sync_records import ATTRIBUTES, key_of, record_attributes, record_item
from kbsync.model import Save, SyncRecord

_KEY = '"pk" = ? AND "sk" = ?'
_OF_EVERY_MARK = ("queue", "due", "pending_since", "expires_at", "generation")


def mark_statement(table: str, record: SyncRecord, read: SyncRecord | None) -> Statement:
    """Return the statement that writes a mark: a new item, or what it changes of the one read."""
    if read is None:
        return insert_statement(table, record.incident_id, record_item(record))
    before, after = record_attributes(read), record_attributes(record)
    changed = changed_content(before, after)
    since = "" if read.pending_since else "pending_since"
    changes = {name: after[name] for name in ("queue", "due", since, *changed) if name in after}
    removed = ["expires_at", *(name for name in changed if name not in after)]
    clauses, read_values = [], []
    for name in ("pending_since", *changed):
        clauses.append(f"{quoted(name)} = ?" if name in before else f"{quoted(name)} IS MISSING")
        read_values += [value_of(before[name])] if name in before else []
    sets = " ".join(f"SET {quoted(name)} = ?" for name in changes)
    removes = " ".join(f"REMOVE {quoted(name)}" for name in removed)
    return Statement(
        record.incident_id,
        f"UPDATE {quoted(table)} {sets} {removes} WHERE {_KEY} AND {' AND '.join(clauses)}",
        [*map(value_of, changes.values()), *key_of(record.incident_id).values(), *read_values],
    )


def changed_content(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return which attributes of a record a mark has changed, beside those that every mark writes."""
    names = sorted({*before, *after})
    return [name for name in names if name not in _OF_EVERY_MARK and before.get(name) != after.get(name)]


def save_statement(table: str, save: Save) -> Statement:
    """Return the statement that makes the item equal to the record, where the due is still the one read."""
    changes = record_attributes(save.record)
    text = _save_text(table, tuple(changes))
    return Statement(save.record.incident_id, text, [*item_of(changes).values(), *_expected(save)])


@lru_cache(maxsize=64)
def _save_text(table: str, names: tuple[str, ...]) -> str:
    """Return the text of a save that sets these attributes; most records of a page have the same."""
    sets = " ".join(f"SET {quoted(name)} = ?" for name in names)
    removes = " ".join(f"REMOVE {quoted(name)}" for name in ATTRIBUTES if name not in names)
    return f"UPDATE {quoted(table)} {sets} {removes} WHERE {_KEY} AND {_EXPECTED}"


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
