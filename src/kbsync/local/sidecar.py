"""Reads a metadata sidecar as strictly as Bedrock does: one that is wrong costs the document its place.

Source: AWS_FACTS.md, section 2.
"""

import json
import re
from dataclasses import dataclass

Scalar = str | int | float | bool
MOST_SIDECAR_BYTES = 10_240
"""Source: Bedrock User Guide, "Connect to Amazon S3": 10 KB per sidecar."""

_LARGEST = 2**63
"""What SQLite holds as a number; neither infinity nor NaN is below it."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPED = {
    "STRING": "stringValue",
    "NUMBER": "numberValue",
    "BOOLEAN": "booleanValue",
    "STRING_LIST": "stringListValue",
}


class SidecarError(ValueError):
    """The sidecar is not acceptable; the message is the reason shown for the document."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One filterable value; a list is several attributes of kind `list` with one key."""

    key: str
    kind: str
    value: str | int | float


def kind_of(value: object) -> str:
    """Return `boolean`, `number`, `string`, or an empty text for what no attribute can hold."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if abs(value) < _LARGEST else ""
    return "string" if isinstance(value, str) and value and is_encodable(value) else ""


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: an unpaired surrogate it cannot."""
    return not _SURROGATE.search(text)


def read_sidecar(
    content: bytes, *, most_bytes: int = MOST_SIDECAR_BYTES
) -> tuple[dict[str, Scalar], list[Attribute]]:
    """Return the attributes as a search result shows them, and as filters compare them.

    Raises:
        SidecarError: too large, not JSON, or an attribute that is empty, null or nested.
    """
    if len(content) > most_bytes:
        raise SidecarError(f"metadata file larger than {most_bytes} bytes")
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SidecarError("metadata file is not JSON") from error
    given = parsed.get("metadataAttributes") if isinstance(parsed, dict) else None
    if not isinstance(given, dict) or not given:
        raise SidecarError("no metadata was provided in the metadata file")
    shown: dict[str, Scalar] = {}
    attributes: list[Attribute] = []
    for key, entry in given.items():
        values = _values(entry)
        kinds = [kind_of(value) for value in values]
        if not all(kinds) or not kinds or not is_encodable(key):
            raise SidecarError(f"invalid metadata attribute {key[:100]!r}")
        is_list = isinstance(entry, dict) and len(entry["value"]) and "stringListValue" in entry["value"]
        shown[key] = ", ".join(map(str, values)) if is_list else values[0]
        attributes.extend(
            Attribute(key, "list" if is_list else kind, int(value) if kind == "boolean" else value)
            for kind, value in zip(kinds, values, strict=True)
        )
    return shown, attributes


def _values(entry: object) -> list[Scalar]:
    """Return the values of a short or typed entry; an empty list for any other form."""
    if isinstance(entry, str | int | float):
        return [entry]
    typed = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(typed, dict) or typed.get("type") not in _TYPED:
        return []
    value = typed.get(_TYPED[typed["type"]])
    if typed["type"] == "STRING_LIST":
        return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else []
    return [value] if isinstance(value, str | int | float) else []
