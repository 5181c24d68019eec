"""Bedrock's RetrievalFilter as SQL over the attributes table; values are always bound, never written in.

Source: Bedrock API Reference, RetrievalFilter; AWS_FACTS.md, section 6: `notEquals` also matches documents
that lack the key, `andAll` and `orAll` have at least two members, ranges are for numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kbsync.errors import UsageError
from kbsync.local.sidecar import is_encodable, kind_of

_RANGES = {
    "greaterThan": ">",
    "greaterThanOrEquals": ">=",
    "lessThan": "<",
    "lessThanOrEquals": "<=",
}
_MOST_DEPTH = 5
_FEWEST_MEMBERS = 2
_MOST_MEMBERS = 100
_MOST_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a row of `documents` named `d`, with the values it binds."""

    sql: str
    bindings: tuple[object, ...] = ()


ANY_DOCUMENT = Condition("1")


def filter_condition(given: Mapping[str, object] | None) -> Condition:
    """Return the SQL condition of a filter; none means every document.

    Raises:
        UsageError: not a filter of that vocabulary; the message names the part.
    """
    return ANY_DOCUMENT if given is None else _condition(given, depth=1)


def _condition(given: object, *, depth: int) -> Condition:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise UsageError("a filter is an object with exactly one operator")
    if depth > _MOST_DEPTH:
        raise UsageError(f"a filter is at most {_MOST_DEPTH} levels deep")
    ((operator, operand),) = given.items()
    if operator in ("andAll", "orAll"):
        return _group(operator, operand, depth=depth)
    if (
        not isinstance(operand, Mapping)
        or set(operand) != {"key", "value"}
        or not isinstance(operand["key"], str)
        or not is_encodable(operand["key"])
    ):
        raise UsageError(f"{operator} takes an object with key and value")
    key, value = operand["key"], operand["value"]
    if operator in _RANGES:
        return _range(operator, key, value)
    translate = _OPERATORS.get(operator)
    if translate is None:
        raise UsageError(f"there is no filter operator {operator!r}")
    return translate(operator, key, value)


def _group(operator: str, members: object, *, depth: int) -> Condition:
    if (
        not isinstance(members, Sequence)
        or isinstance(members, str)
        or not _FEWEST_MEMBERS <= len(members) <= _MOST_MEMBERS
    ):
        raise UsageError(f"{operator} takes a list of {_FEWEST_MEMBERS} to {_MOST_MEMBERS} filters")
    conditions = [_condition(member, depth=depth + 1) for member in members]
    joined = (" AND " if operator == "andAll" else " OR ").join(condition.sql for condition in conditions)
    return Condition(f"({joined})", tuple(value for condition in conditions for value in condition.bindings))


def _has(comparison: str, key: str, kinds: Sequence[str], *bindings: object) -> Condition:
    marks = ", ".join("?" * len(kinds))
    sql = (
        "EXISTS (SELECT 1 FROM attributes AS a WHERE a.document_id = d.document_id"  # noqa: S608 - fixed texts only
        f" AND a.key = ? AND a.kind IN ({marks}) AND {comparison})"
    )
    return Condition(sql, (key, *kinds, *bindings))


def _not(condition: Condition) -> Condition:
    return Condition(f"NOT {condition.sql}", condition.bindings)


def _one_of(operator: str, key: str, values: object) -> Condition:
    if not isinstance(values, Sequence) or isinstance(values, str) or not 0 < len(values) <= _MOST_VALUES:
        raise UsageError(f"{operator} takes a list of 1 to {_MOST_VALUES} values")
    pairs = [(_kind(operator, value), _bound(value)) for value in values]
    marks = ", ".join(["(?, ?)"] * len(pairs))
    kinds = sorted({kind for kind, _ in pairs})
    return _has(
        f"(a.kind, a.value) IN (VALUES {marks})", key, kinds, *(part for pair in pairs for part in pair)
    )


def _equal(operator: str, key: str, value: object) -> Condition:
    return _has("a.value = ?", key, (_kind(operator, value),), _bound(value))


def _kind(operator: str, value: object) -> str:
    kind = kind_of(value)
    if not kind:
        raise UsageError(f"{operator} takes a text, a number or a boolean")
    return kind


def _bound(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def _range(operator: str, key: str, value: object) -> Condition:
    if kind_of(value) != "number":
        raise UsageError(f"{operator} takes a number")
    return _has(f"a.value {_RANGES[operator]} ?", key, ("number",), value)


def _text(operator: str, value: object) -> str:
    if not isinstance(value, str) or kind_of(value) != "string":
        raise UsageError(f"{operator} takes a text")
    return value


def _starts_with(operator: str, key: str, value: object) -> Condition:
    text = _text(operator, value)
    return _has("substr(a.value, 1, ?) = ?", key, ("string",), len(text), text)


def _string_contains(operator: str, key: str, value: object) -> Condition:
    return _has("instr(a.value, ?) > 0", key, ("string", "list"), _text(operator, value))


def _list_contains(operator: str, key: str, value: object) -> Condition:
    return _has("a.value = ?", key, ("list",), _text(operator, value))


_OPERATORS: dict[str, Callable[[str, str, object], Condition]] = {
    "equals": _equal,
    "notEquals": lambda operator, key, value: _not(_equal(operator, key, value)),
    "in": _one_of,
    "notIn": lambda operator, key, value: _not(_one_of(operator, key, value)),  # codespell:ignore notin
    "startsWith": _starts_with,
    "stringContains": _string_contains,
    "listContains": _list_contains,
}
