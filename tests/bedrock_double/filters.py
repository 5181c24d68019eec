"""Bedrock's RetrievalFilter over attributes (AWS_FACTS.md, section 6); the shape was checked by the model."""

import math
import operator
import re
from collections.abc import Callable, Mapping

from bedrock_double.errors import ServiceError
from bedrock_double.rules import Attributes

_RANGES: Mapping[str, Callable[[float, float], bool]] = {
    "greaterThan": operator.gt,
    "greaterThanOrEquals": operator.ge,
    "lessThan": operator.lt,
    "lessThanOrEquals": operator.le,
}
_NEEDS_OPEN_SEARCH = frozenset({"startsWith", "stringContains"})
_WORD = re.compile(r"\w+")


def matches(given: Mapping[str, object] | None, attributes: Attributes, *, plain_store: bool) -> bool:
    """Whether a document's attributes fit; `plain_store` lacks the operators on parts of texts."""
    if given is None:
        return True
    ((name, operand),) = given.items()
    if name in ("andAll", "orAll"):
        assert isinstance(operand, list)
        found = [matches(member, attributes, plain_store=plain_store) for member in operand]
        return all(found) if name == "andAll" else any(found)
    if plain_store and name in _NEEDS_OPEN_SEARCH:
        raise ServiceError("ValidationException", f"the filter {name} is not supported by this vector store")
    assert isinstance(operand, Mapping)
    return _compare(name, attributes.get(str(operand["key"])), operand["value"])


def _compare(name: str, held: object, wanted: object) -> bool:
    if name in _RANGES:
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise ServiceError("ValidationException", f"the filter {name} takes a number")
        return isinstance(held, float) and _RANGES[name](held, wanted)
    if name in ("equals", "notEquals"):
        return _same(held, wanted) is (name == "equals")
    if name in ("in", "notIn"):  # codespell:ignore notin
        if not isinstance(wanted, list):
            raise ServiceError("ValidationException", f"the filter {name} takes a list")
        return any(_same(held, each) for each in wanted) is (name == "in")
    if name == "listContains":
        return isinstance(held, list) and wanted in held
    if not isinstance(held, str) or not isinstance(wanted, str):
        return False
    return held.startswith(wanted) if name == "startsWith" else wanted in held


def _same(held: object, wanted: object) -> bool:
    return held is not None and isinstance(held, bool) is isinstance(wanted, bool) and held == wanted


def words_in_common(query: str, text: str) -> float:
    """Return the cosine of two sets of words: a score that needs no model, and 0 is a score too."""
    asked, told = set(_WORD.findall(query.lower())), set(_WORD.findall(text.lower()))
    return len(asked & told) / math.sqrt(max(len(asked), 1) * max(len(told), 1))
