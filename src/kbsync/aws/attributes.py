"""Attribute values between DynamoDB's tagged form and Python, without loss.

Imports nothing of kbsync but the model. boto3's own converter fails on floats and on numbers that other
writers stored, and returns wrapped bytes; ours reads whatever an item can hold. Invariant: what was read and
is written back unchanged equals, by DynamoDB's comparison, what stands in the table.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from kbsync.model import Attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Value = AttributeValueTypeDef
    Item = dict[str, AttributeValueTypeDef]
else:
    Value = Item = dict

_DEEPEST = 32
"""Source: DynamoDB Developer Guide, "Quotas": nested attribute depth."""
_DIGITS = 38
_EXPONENTS = range(-130, 126)
"""Source: DynamoDB Developer Guide, "Naming rules and data types": 38 digits, 1E-130 to 9.9E+125."""


def item_of(attributes: Attributes) -> Item:
    """Return attributes in DynamoDB's tagged form; floats become the decimal of their shortest text.

    Raises:
        ValueError: a number, text, set or depth that no item can hold.
        TypeError: a value that no item can hold, named by its type.
    """
    return {_text(name): value_of(value) for name, value in attributes.items()}


def attributes_of(item: Mapping[str, Any]) -> dict[str, object]:
    """Return a tagged item as Python values; every number is a Decimal, however many digits it has."""
    return {name: _decode(value) for name, value in item.items()}


def value_of(value: object, depth: int = 0) -> Value:
    """Return one value in DynamoDB's tagged form; see `item_of`."""
    if depth > _DEEPEST:
        raise ValueError("attributes are nested too deeply")
    tagged = _scalar(value) or _collection(value, depth)
    return cast("Value", tagged)


def token_of(item: Mapping[str, Any]) -> str:
    """Return the hash of a whole item: the same for equal items, whatever the order of maps and sets."""
    canonical = _TEXT_OF(item)
    if any(tag in canonical for tag in _SETS):
        canonical = _TEXT_OF(_canonical(item))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


_TEXT_OF = json.JSONEncoder(
    ensure_ascii=True, separators=(",", ":"), sort_keys=True, default=lambda value: value.hex()
).encode
_SETS = ('"SS":[', '"NS":[', '"BS":[')
"""How the text of an item with a set shows it: only then must members be put in order first."""


def size_bytes(value: object) -> int:
    """Return about how many bytes a value takes on the wire; for cutting requests, not for billing."""
    if isinstance(value, str | bytes):
        return len(value) + 8
    if isinstance(value, Mapping):
        return sum(len(str(name)) + 8 + size_bytes(member) for name, member in value.items())
    if isinstance(value, list | tuple | AbstractSet):
        return sum(map(size_bytes, value)) + 8
    return 24


def _scalar(value: object) -> dict[str, object] | None:
    if value is None:
        return {"NULL": True}
    if isinstance(value, str):
        return {"S": _text(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float | Decimal):
        return {"N": _number(value)}
    return {"B": value} if isinstance(value, bytes) else None


def _collection(value: object, depth: int) -> dict[str, object]:
    if isinstance(value, list | tuple):
        return {"L": [value_of(member, depth + 1) for member in value]}
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("the names of attributes are text")
        return {"M": {_text(name): value_of(member, depth + 1) for name, member in value.items()}}
    if isinstance(value, AbstractSet):
        return _set(value)
    raise TypeError(f"an attribute cannot be a {type(value).__name__}")


def _set(value: AbstractSet[Any]) -> dict[str, object]:
    if not value:
        raise ValueError("an empty set cannot be stored")
    if all(isinstance(member, str) for member in value):
        return {"SS": sorted(map(_text, value))}
    if all(isinstance(member, bytes) for member in value):
        return {"BS": sorted(value)}
    if all(isinstance(member, int | float | Decimal) and not isinstance(member, bool) for member in value):
        return {"NS": [_number(member) for member in sorted(value)]}
    raise TypeError("a set holds only texts, only numbers or only bytes")


def _text(value: str) -> str:
    """Return text as UTF-8 can hold it: two halves of a pair are one character, a lone half is refused."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16")


def _number(value: float | Decimal) -> str:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("a number that is not finite cannot be stored")
    digits = len("".join(map(str, number.as_tuple().digits)).strip("0"))
    if digits > _DIGITS or (number and number.adjusted() not in _EXPONENTS):
        raise ValueError("a number of more than 38 digits, or out of range, cannot be stored")
    return str(number) if number else "0"


_DECODERS: dict[str, Callable[[Any], object]] = {
    "S": str,
    "BOOL": bool,
    "NULL": lambda _: None,
    "N": Decimal,
    "B": bytes,
    "L": lambda members: [_decode(member) for member in members],
    "M": lambda members: {name: _decode(member) for name, member in members.items()},
    "SS": set,
    "NS": lambda members: {Decimal(member) for member in members},
    "BS": lambda members: {bytes(member) for member in members},
}


def _decode(value: Mapping[str, Any]) -> object:
    [(tag, content)] = value.items()
    return _DECODERS[tag](content)


def _canonical(value: Any) -> Any:  # tagged values in, JSON out
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        if len(value) == 1:
            [(tag, content)] = value.items()
            if tag in ("SS", "NS", "BS") and isinstance(content, list):
                return {tag: sorted(map(str, map(_canonical, content)))}
        return {name: _canonical(member) for name, member in value.items()}
    return [_canonical(member) for member in value] if isinstance(value, list) else value
