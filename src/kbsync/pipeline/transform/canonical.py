"""Raw attribute values as text and as bytes, by one rule each, the same in every process."""

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal

_LONGEST_PLAIN_EXPONENT = 130
"""DynamoDB's numbers end at 1E+125. Source: Amazon DynamoDB Developer Guide, "Data types"."""


def number_text(value: Decimal | float) -> str:
    """Return a number without exponent and trailing zeros: 1E+3 is 1000, 0.10 is 0.1, 5432.0 is 5432 (O-11).

    Not a number and infinity are no value: the result is empty.
    """
    number = Decimal(value) if isinstance(value, Decimal | int) else Decimal(str(value))
    if not number.is_finite():
        return ""
    if number.is_zero():
        return "0"
    if abs(number.adjusted()) > _LONGEST_PLAIN_EXPONENT:
        sign, digits, _ = number.as_tuple()
        shown = "".join(map(str, digits)).rstrip("0")
        return f"{'-' if sign else ''}{shown}E{number.adjusted() - len(shown) + 1:+d}"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def digest_of(value: object) -> str:
    """Return SHA-256 hex over a value's canonical bytes; equal numbers and sets are equal in every form.

    Never fails: a value of a type that no store of ours returns counts by its type alone.
    """
    parts: list[bytes] = []
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):  # most values are texts, and the other questions cost more
            parts.append(_text_bytes(current))
        elif isinstance(current, (dict, Mapping)):
            parts.append(b"m%d;" % len(current))
            for key in sorted(current, key=str, reverse=True):
                waiting += [current[key], str(key)]
        elif isinstance(current, list | tuple):
            parts.append(b"l%d;" % len(current))
            waiting.extend(reversed(current))
        else:
            parts.append(_scalar_bytes(current))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _scalar_bytes(value: object) -> bytes:
    if value is None or isinstance(value, bool):
        return f"c{value};".encode()
    if isinstance(value, Decimal | float | int):
        return _sized(b"n", number_text(value).encode())
    if isinstance(value, str):
        return _text_bytes(value)
    if isinstance(value, bytes | bytearray):
        return _sized(b"b", bytes(value))
    if isinstance(value, AbstractSet):
        return b"e%d;" % len(value) + b"".join(sorted(map(_scalar_bytes, value)))
    return _sized(b"u", type(value).__name__.encode())


def _text_bytes(text: str) -> bytes:
    return _sized(b"s", text.encode("utf-8", "surrogatepass"))


def _sized(kind: bytes, content: bytes) -> bytes:
    return b"%s%d:%s" % (kind, len(content), content)


def length_prefixed_digest(parts: Iterable[bytes]) -> str:
    """Return SHA-256 hex over parts, each with its length: no two lists of parts share their bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()
