"""Raw incident attributes as ASCII JSON and back, without loss, for a text column.

Imports the model only. Text, booleans, null and lists are themselves; every JSON object is one tag with its
content, maps included, so that no map somebody wrote can be taken for a tag. The tags are DynamoDB's letters.
Invariant: equal attributes have equal text, whatever the order of their maps and sets.
"""

import base64
import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from kbsync.model import Attributes

_DEEPEST = 100
"""Levels of nesting we accept; DynamoDB itself stops at 32.
Source: DynamoDB Developer Guide, "Quotas", nested attribute depth."""


def encode_attributes(attributes: Attributes) -> str:
    """Return attributes as text.

    Numbers become exact decimals (a float by its shortest text), and two halves of a surrogate pair become
    the one character they mean.

    Raises:
        ValueError: a number that is not finite, or nesting too deep to be an item.
        TypeError: a value that no item can hold, named by its type.
    """
    return json.dumps(_encode_map(attributes, 0), ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def decode_attributes(text: str) -> dict[str, object]:
    """Return the attributes that `encode_attributes` made this text from; numbers come back as Decimal."""
    decoded: dict[str, object] = _decode(json.loads(text))
    return decoded


def _encode(value: object, depth: int) -> object:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float | Decimal):
        return {"N": _number_text(value)}
    if isinstance(value, bytes):
        return {"B": _bytes_text(value)}
    if depth >= _DEEPEST:
        raise ValueError("attributes are nested too deeply")
    if isinstance(value, list):
        return [_encode(member, depth + 1) for member in value]
    if isinstance(value, Mapping):
        return _encode_map(value, depth)
    if isinstance(value, AbstractSet):
        return _encode_set(value)
    raise TypeError(f"an attribute cannot be a {type(value).__name__}")


def _encode_map(value: Mapping[Any, object], depth: int) -> object:
    if not all(isinstance(key, str) for key in value):
        raise TypeError("the names of attributes are text")
    return {"M": {key: _encode(member, depth + 1) for key, member in value.items()}}


def _encode_set(value: AbstractSet[Any]) -> object:
    if all(isinstance(member, str) for member in value):
        return {"SS": sorted(value)}
    if all(isinstance(member, bytes) for member in value):
        return {"BS": [_bytes_text(member) for member in sorted(value)]}
    if all(isinstance(member, int | float | Decimal) and not isinstance(member, bool) for member in value):
        return {"NS": [_number_text(member) for member in sorted(value)]}
    raise TypeError("a set holds only texts, only numbers or only bytes")


def _number_text(value: float | Decimal) -> str:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("a number that is not finite cannot be stored")
    return str(number)


def _bytes_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_DECODERS: dict[str, Callable[[Any], object]] = {
    "N": Decimal,
    "B": base64.b64decode,
    "M": lambda members: {key: _decode(member) for key, member in members.items()},
    "SS": set,
    "NS": lambda members: {Decimal(member) for member in members},
    "BS": lambda members: {base64.b64decode(member) for member in members},
}


def _decode(value: Any) -> Any:  # JSON in, attribute values out: both are whatever was stored
    if isinstance(value, str):  # most are
        return value
    if isinstance(value, dict):
        [(tag, content)] = value.items()
        return _DECODERS[tag](content)
    if isinstance(value, list):
        return [_decode(member) for member in value]
    return value
