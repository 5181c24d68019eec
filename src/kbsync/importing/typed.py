"""DynamoDB's own JSON, as `scan` and table exports write it, into plain values and back.

Imports the model and importing. Invariant: `unwrap` of what `encode` wrote is the item that it was given.
"""

import base64
import binascii
from collections.abc import Callable, Mapping

from kbsync.importing.records import parse_number
from kbsync.model import Attributes

_CODES = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})


def unwrap(value: object) -> object:
    """Return the item of a line: out of its wrapper, and decoded where it is typed.

    A full export wraps it as `Item`, an incremental one as `NewImage` beside `Keys`. Source: DynamoDB
    Developer Guide, "DynamoDB table export output format".

    Raises ValueError where a typed item holds no typed value, or a line tells of a deletion.
    """
    if isinstance(value, Mapping) and value.keys() == {"Item"}:
        value = value["Item"]
    elif isinstance(value, Mapping) and {"Keys", "Metadata"} <= value.keys():
        if "NewImage" not in value:
            raise ValueError("a deletion: nothing to add")
        value = value["NewImage"]
    if not isinstance(value, Mapping) or not _is_typed(value.get("incident_id")):
        return value
    return {name: decode(part) for name, part in value.items()}


def _is_typed(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _CODES


def decode(value: object) -> object:
    """Return the plain value of one typed value, such as `{"N": "7"}`."""
    if not isinstance(value, Mapping) or not _is_typed(value):
        raise ValueError("typed and plain values are mixed in one item")
    code, content = next(iter(value.items()))
    try:
        return _DECODERS[code](content)
    except (TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"a value of type {code} is malformed") from error


def _text(content: object) -> str:
    if not isinstance(content, str):
        raise TypeError
    return content


def _boolean(content: object) -> bool:
    if not isinstance(content, bool):
        raise TypeError
    return content


def _items(content: object) -> list[object]:
    if not isinstance(content, list):
        raise TypeError
    return content


def _members(content: object) -> dict[str, object]:
    if not isinstance(content, Mapping):
        raise TypeError
    return {name: decode(part) for name, part in content.items()}


def _binary(content: object) -> bytes:
    return base64.b64decode(_text(content), validate=True)


_DECODERS: Mapping[str, Callable[[object], object]] = {
    "S": _text,
    "N": lambda content: parse_number(_text(content)),
    "B": _binary,
    "BOOL": _boolean,
    "NULL": lambda _: None,
    "L": lambda content: [decode(part) for part in _items(content)],
    "M": _members,
    "SS": lambda content: {_text(part) for part in _items(content)},
    "NS": lambda content: {parse_number(_text(part)) for part in _items(content)},
    "BS": lambda content: {_binary(part) for part in _items(content)},
}


def is_plain(value: object) -> bool:
    """Tell whether plain JSON keeps a value whole: no sets and no bytes in it."""
    if isinstance(value, Mapping):
        return all(is_plain(part) for part in value.values())
    if isinstance(value, list | tuple):
        return all(is_plain(part) for part in value)
    return not isinstance(value, bytes | bytearray | set | frozenset)


def encode(attributes: Attributes) -> dict[str, object]:
    """Return an item in DynamoDB's own JSON; sets in a fixed order, so that equal items give equal text."""
    return {name: _encode(value) for name, value in attributes.items()}


def _encode(value: object) -> dict[str, object]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes | bytearray):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"M": encode(value)}
    if isinstance(value, list | tuple):
        return {"L": [_encode(part) for part in value]}
    if isinstance(value, set | frozenset):
        return _encode_set(value)
    return {"N": str(value)}


def _encode_set(value: set[object] | frozenset[object]) -> dict[str, object]:
    parts = sorted((next(iter(_encode(part).items())) for part in value), key=str)
    code = parts[0][0] if parts else "S"
    return {f"{code}S": [content for _, content in parts]}
