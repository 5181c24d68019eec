import io
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.importing import decoding, json_lines
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted, Line, Rejected

GOOD = '{"incident_id": "I", "status": "CLOSED"}'


def read(content: str | bytes) -> list[Line]:
    return list(read_json_lines(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def attributes_of(content: str | bytes) -> dict[str, object]:
    [line] = read(content)
    assert isinstance(line, Accepted), line
    return dict(line.attributes)


def test_lines_keep_their_numbers_across_blank_ones() -> None:
    lines = read(f"\n{GOOD}\r\n   \n{GOOD.replace('I', 'J', 1).replace('Jn', 'In')}")

    assert [line.line for line in lines] == [2, 4]


def test_a_line_becomes_plain_attributes_with_a_sort_key() -> None:
    assert attributes_of(GOOD) == {"incident_id": "I", "status": "CLOSED", "sk": "METADATA"}


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode("utf-16"), ("\ufeff" + GOOD).encode("utf-16-be")],
    ids=["utf-8 mark", "utf-16 little end", "utf-16 big end"],
)
def test_a_byte_order_mark_tells_the_encoding(content: Any) -> None:
    assert attributes_of(content)["incident_id"] == "I"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"status": "CLOSED"}', "incident_id is missing, empty or not text"),
        ('{"incident_id": " ", "status": "CLOSED"}', "incident_id is missing, empty or not text"),
        ('{"incident_id": 7, "status": "CLOSED"}', "incident_id is missing, empty or not text"),
        ('{"incident_id": "I"}', "status is missing, empty or not text"),
        ('{"incident_id": "I", "status": null}', "status is missing, empty or not text"),
        ('{"incident_id": "I", "status": ["CLOSED"]}', "status is missing, empty or not text"),
        (
            '{"incident_id": "I", "status": "CLOSED", "sk": "COMMENT#1"}',
            "sk is not METADATA, so this is not the incident itself",
        ),
        (
            '{"incident_id": "I\\ud83d", "status": "CLOSED"}',
            "incident_id holds half a character (an unpaired surrogate)",
        ),
        (
            f'{{"incident_id": "{"é" * 1025}", "status": "CLOSED"}}',
            "incident_id is longer than 2048 bytes",
        ),
        ("[" + GOOD + "]", "not an object"),
        ('"text"', "not an object"),
        (GOOD[:-1] + ",}", "not JSON: Illegal trailing comma before end of object at character 40"),
        (GOOD[:-1] + ', "x": NaN}', "NaN is not a number of JSON"),
        (GOOD[:-1] + ', "x": -Infinity}', "-Infinity is not a number of JSON"),
        (
            GOOD[:-1] + f', "x": {"9" * 39}}}',
            "a number has more than 38 digits or lies outside 1E-130 to 9.99E+125",
        ),
        (GOOD[:-1] + ', "x": 1e999999999999999999999}', "a number is not finite or too long"),
        (GOOD[:-1] + f', "x": {"9" * 600}}}', "a number is not finite or too long"),
        (
            GOOD[:-1] + ', "x": 1e126}',
            "a number has more than 38 digits or lies outside 1E-130 to 9.99E+125",
        ),
        (GOOD[:-1] + ', "status": "OPEN"}', "an object names a member twice"),
        (GOOD[:-1] + ', "x": {"a": 1, "a": 2}}', "an object names a member twice"),
        (GOOD[:-1] + f', "x": {"[" * 40}{"]" * 40}}}', "nested deeper than 32 levels"),
        (GOOD[:-1] + f', "x": {"[" * 100_000}{"]" * 100_000}}}', "nested too deeply"),
        (
            '{"incident_id": {"S": "I"}, "status": "CLOSED"}',
            "typed and plain values are mixed in one item",
        ),
        ('{"incident_id": {"S": "I"}, "status": {"S": 1}}', "a value of type S is malformed"),
        (
            '{"incident_id": {"S": "I"}, "status": {"S": "C"}, "x": {"B": "?"}}',
            "a value of type B is malformed",
        ),
        (
            '{"incident_id": {"S": "I"}, "status": {"S": "C"}, "x": {"BOOL": 1}}',
            "a value of type BOOL is malformed",
        ),
        (
            '{"incident_id": {"S": "I"}, "status": {"S": "C"}, "x": {"L": {}}}',
            "a value of type L is malformed",
        ),
        (
            '{"incident_id": {"S": "I"}, "status": {"S": "C"}, "x": {"M": []}}',
            "a value of type M is malformed",
        ),
        (
            '{"incident_id": {"S": "I"}, "status": {"S": "C"}, "x": {"N": "NaN"}}',
            "a number is not finite or too long",
        ),
    ],
)
def test_a_line_that_is_no_incident_is_rejected_alone_and_with_its_reason(line: Any, reason: Any) -> None:
    before, rejected, after = read(f"{GOOD}\n{line}\n{GOOD}\n")

    assert isinstance(before, Accepted)
    assert isinstance(after, Accepted)
    if reason.startswith("not JSON"):
        assert isinstance(rejected, Rejected)
        assert (rejected.line, rejected.reason[:10]) == (2, "not JSON: ")
    else:
        assert rejected == Rejected(2, reason)


def test_a_line_that_is_not_utf_8_is_rejected_alone() -> None:
    lines = read(GOOD.encode() + b'\n{"incident_id": "\xff"}\n' + GOOD.encode())

    assert lines[1] == Rejected(2, "not UTF-8")
    assert [type(line) for line in lines] == [Accepted, Rejected, Accepted]


def test_half_a_character_in_a_text_is_accepted() -> None:
    assert attributes_of(GOOD[:-1] + ', "title": "a\\ud83d"}')["title"] == "a\ud83d"


def test_numbers_are_exact() -> None:
    text = GOOD[:-1] + ', "a": 0.10, "b": 1E+3, "c": -12345678901234567890123456789012345678, "d": 0e999}'

    found = attributes_of(text)

    assert [str(found[name]) for name in "abc"] == ["0.10", "1E+3", "-12345678901234567890123456789012345678"]
    assert found["d"] == 0


@pytest.mark.parametrize("wrapped", [False, True], ids=["scan", "table export"])
def test_dynamodb_s_own_json_becomes_plain_values(wrapped: Any) -> None:
    item = (
        '{"incident_id": {"S": "I"}, "status": {"S": "CLOSED"}, "n": {"N": "1E+3"}, "b": {"B": "AAE="},'
        ' "t": {"BOOL": true}, "z": {"NULL": true}, "l": {"L": [{"S": "x"}]}, "m": {"M": {"a": {"N": "2"}}},'
        ' "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["1"]}, "bs": {"BS": ["AA=="]}}'
    )

    found = attributes_of(f'{{"Item": {item}}}' if wrapped else item)

    assert found == {
        "incident_id": "I", "status": "CLOSED", "sk": "METADATA", "n": Decimal(1000), "b": b"\x00\x01",
        "t": True,
        "z": None, "l": ["x"], "m": {"a": Decimal(2)}, "ss": {"a", "b"}, "ns": {Decimal(1)}, "bs": {b"\x00"},
    }  # fmt: skip


def test_a_line_over_the_limit_is_skipped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_CHARACTERS", 60)

    lines = read(f"{GOOD}\n{'x' * 500}\n{GOOD}\n{'y' * 500}")

    assert [type(line) for line in lines] == [Accepted, Rejected, Accepted, Rejected]
    assert lines[1] == Rejected(2, "the line is longer than 60 characters")


def test_reading_holds_one_line_whatever_the_file_s_size() -> None:
    line = (GOOD[:-1] + f', "description": "{"x" * 5000}"}}\n').encode()
    stream = io.BytesIO(line * 2000)
    tracemalloc.start()

    count = sum(isinstance(each, Accepted) for each in read_json_lines(stream))

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2000
    assert peak_bytes < 500_000


def test_the_stream_is_still_open_afterwards() -> None:
    stream = io.BytesIO(GOOD.encode())

    assert len(list(read_json_lines(stream))) == 1
    assert not stream.closed


def test_a_limit_stands_over_what_a_table_can_hold() -> None:
    assert decoding.MAX_LINE_CHARACTERS > 400 * 1024 * 6


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: Any) -> None:
    assert all(isinstance(line, Rejected) for line in read(content))
