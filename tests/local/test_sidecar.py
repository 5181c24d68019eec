"""What a sidecar may hold, as strictly as the service: a wrong one costs the document its place."""

import json

import pytest

from kbsync.local.sidecar import Attribute, SidecarError, read_sidecar


def sidecar(attributes: object) -> bytes:
    return json.dumps({"metadataAttributes": attributes}).encode()


def test_short_scalars_are_shown_as_they_are_and_compared_by_kind() -> None:
    shown, attributes = read_sidecar(sidecar({"a": "x", "b": 1, "c": 1.5, "d": True, "e": 0}))

    assert shown == {"a": "x", "b": 1, "c": 1.5, "d": True, "e": 0}
    assert attributes == [
        Attribute("a", "string", "x"),
        Attribute("b", "number", 1),
        Attribute("c", "number", 1.5),
        Attribute("d", "boolean", 1),
        Attribute("e", "number", 0),
    ]


def test_typed_entries_are_read_by_their_type() -> None:
    shown, attributes = read_sidecar(
        sidecar(
            {
                "a": {"value": {"type": "STRING", "stringValue": "x"}, "includeForEmbedding": True},
                "b": {"value": {"type": "NUMBER", "numberValue": 7}},
                "c": {"value": {"type": "BOOLEAN", "booleanValue": False}},
                "d": {"value": {"type": "STRING_LIST", "stringListValue": ["p", "q"]}},
            }
        )
    )

    assert shown == {"a": "x", "b": 7, "c": False, "d": "p, q"}
    assert attributes[2:] == [
        Attribute("c", "boolean", 0),
        Attribute("d", "list", "p"),
        Attribute("d", "list", "q"),
    ]


WRONG: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b'{"metadataAttributes": {"a": "\xff"}}', "not JSON"),
    "nested without end": (b"[" * 5_000, "not JSON"),
    "an array": (b"[]", "no metadata"),
    "no attributes": (b"{}", "no metadata"),
    "empty attributes": (sidecar({}), "no metadata"),
    "attributes that are no object": (sidecar("a"), "no metadata"),
    "null": (sidecar({"severity": None}), "invalid metadata attribute 'severity'"),
    "empty text": (sidecar({"severity": ""}), "invalid"),
    "list": (sidecar({"severity": ["a"]}), "invalid"),
    "object": (sidecar({"severity": {"a": 1}}), "invalid"),
    "infinite": (b'{"metadataAttributes": {"a": 1e999}}', "invalid"),
    "not a number": (b'{"metadataAttributes": {"a": NaN}}', "invalid"),
    "over 64 bits": (b'{"metadataAttributes": {"a": 1' + b"0" * 400 + b"}}", "invalid"),
    "half a character": (sidecar({"severity": "\ud800"}), "invalid"),
    "half a character in a key": (sidecar({"\ud800": "a"}), "invalid"),
    "unknown type": (sidecar({"a": {"value": {"type": "DATE", "stringValue": "x"}}}), "invalid"),
    "type without its value": (sidecar({"a": {"value": {"type": "STRING", "numberValue": 1}}}), "invalid"),
    "empty typed list": (
        sidecar({"a": {"value": {"type": "STRING_LIST", "stringListValue": []}}}),
        "invalid",
    ),
    "typed list of numbers": (
        sidecar({"a": {"value": {"type": "STRING_LIST", "stringListValue": [1]}}}),
        "invalid",
    ),
    "too large": (sidecar({"a": "x" * 11_000}), "larger than 10240 bytes"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_wrong_sidecar_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(SidecarError, match=message):
        read_sidecar(content)


def test_budget_of_the_store_is_the_callers() -> None:
    """The live limit of one store is 1,024 bytes (AWS_FACTS.md, section 2)."""
    content = sidecar({"a": "x" * 1_100})

    with pytest.raises(SidecarError, match="larger than 1024 bytes"):
        read_sidecar(content, most_bytes=1_024)
