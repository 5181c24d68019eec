"""What was read, as the condition of a write: every attribute still equal, those that were absent still so.

Imports the attributes' form and the model; pure. DynamoDB compares whole values of any type, sets and maps
included. Invariant: the attributes that a document is made from come first, so that they are in the condition
however many attributes an item has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kbsync.aws.attributes import Item, Value, item_of, value_of
from kbsync.aws.dynamo_table import Statement, quoted
from kbsync.aws.tables import METADATA
from kbsync.model import SYNC_STATUS, Attributes, StoredIncident, SyncStatus

_KEY = ("incident_id", "sk")
EXPRESSION_BYTES = 4000
STATEMENT_BYTES = 8000
"""Source: DynamoDB Developer Guide, "Quotas": 4 KB an expression; API reference: 8,192 letters a statement.
Two hundred attributes find room in either; of an item with more, those beyond are not compared."""


@dataclass(frozen=True, slots=True)
class ReadCondition:
    """A condition expression with its names and values."""

    text: str
    names: dict[str, str]
    values: Item


def read_condition(attributes: Attributes, watched: Sequence[str]) -> ReadCondition:
    """Return the condition that holds while the item exists and is what was read."""
    clauses = ["attribute_exists(incident_id)"]
    names: dict[str, str] = {}
    values: Item = {}
    room = EXPRESSION_BYTES
    for number, name in enumerate(_in_order(attributes, watched)):
        present = name in attributes
        clause = f"#r{number} = :r{number}" if present else f"attribute_not_exists(#r{number})"
        room -= len(clause) + len(" AND ")
        if room < len(clauses[0]):
            break
        clauses.append(clause)
        names[f"#r{number}"] = name
        if present:
            values[f":r{number}"] = value_of(attributes[name])
    return ReadCondition(" AND ".join(clauses), names, values)


def status_statement(
    table: str, read: StoredIncident, status: SyncStatus, watched: Sequence[str]
) -> Statement:
    """Return the statement that writes `kb_sync_status` on the item where it is what was read.

    PartiQL updates never create an item. Source: DynamoDB Developer Guide, "PartiQL update statements".
    """
    key = item_of({"incident_id": read.incident_id, "sk": METADATA})
    text = f'UPDATE {quoted(table)} SET {quoted(SYNC_STATUS)} = ? WHERE "incident_id" = ? AND "sk" = ?'  # noqa: S608 - names are quoted
    parameters: list[Value] = [value_of(status.as_map()), *key.values()]
    for clause, values in _clauses(read.attributes, watched):
        if len(text) + len(clause) > STATEMENT_BYTES:
            break
        text += clause
        parameters += values
    return Statement(read.incident_id, text, parameters)


def _clauses(attributes: Attributes, watched: Sequence[str]) -> Iterator[tuple[str, list[Value]]]:
    for name in _in_order(attributes, watched):
        if name in attributes:
            yield f" AND {quoted(name)} = ?", [value_of(attributes[name])]
        else:
            yield f" AND {quoted(name)} IS MISSING", []


def _in_order(attributes: Mapping[str, object], watched: Iterable[str]) -> list[str]:
    """Return what is compared: the watched ones, then all others that were read; the key names the item."""
    return [name for name in dict.fromkeys((*watched, *sorted(attributes))) if name not in _KEY]
