"""Attribute values between DynamoDB's form and Python; and sync records as items, and their size."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import pytest

from kbsync.aws.attributes import attributes_of, item_of, size_bytes, token_of
from kbsync.aws.sync_records import is_gone, record_item, record_of
from kbsync.model import State, SyncRecord, Transition

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def a_record(steps: int) -> SyncRecord:
    """Return a record as a live one is: every hash, tag and time in it, and a story of so many steps."""
    digest = [sha256(bytes([n])).hexdigest() for n in range(6)]
    seconds = random.Random(7)  # noqa: S311 - no secret
    story = tuple(
        Transition(
            NOON + timedelta(seconds=n * 86_400 + seconds.random() * 3600),
            f"20260310T{seconds.randrange(235959):06}-{seconds.randrange(16**8):08x}",
            State.INDEXED if n % 2 else State.PUBLISHED,
        )
        for n in range(steps)
    )
    return SyncRecord(
        incident_id="INC-2026-123456",
        state=State.INDEXED,
        source_version=digest[0],
        document_key="incidents/INC-2026-123456.md",
        fingerprint=digest[1],
        body_hash=digest[2],
        sidecar_hash=digest[3],
        body_etag=f'"{digest[4][:32]}"',
        sidecar_etag=f'"{digest[5][:32]}"',
        rendered_by="template=1;rules=1;redaction=1;schema=1;settings=0123456789ab",
        published_at=NOON,
        indexed_at=NOON,
        ingestion_job_id="ABCDEFGHIJ",
        queue="publish#12",
        due="2026-03-10T12:00:00.000000Z#0123abcd",
        pending_since=NOON,
        searchable_seconds=312.5,
        generation=123_456,
        transitions=story,
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1E+3", 1000), ("0.10", Decimal("0.1")), ("5432.0", 5432), ("9" * 38, 10**38 - 1), ("-0", 0)],
    ids=["exponent", "zeros", "point", "38-digits", "minus-zero"],
)
def test_o_11_number_in_any_form_is_the_number(text: str, value: object) -> None:
    """O-11: what prints strangely is equal to what it means, also inside maps and lists."""
    nested = {"M": {"list": {"L": [{"N": text}]}}}

    assert attributes_of({"n": {"N": text}, "m": nested}) == {"n": value, "m": {"list": [value]}}


def test_o_12_sets_have_one_token_whatever_their_order() -> None:
    """O-12: what was read twice is the same, although sets come in any order."""
    one = {"tags": {"SS": ["a", "b"]}, "n": {"NS": ["1", "2"]}, "b": {"BS": [b"x", b"y"]}}
    other = {"n": {"NS": ["2", "1"]}, "b": {"BS": [b"y", b"x"]}, "tags": {"SS": ["b", "a"]}}

    assert token_of(one) == token_of(other)
    assert token_of(one) != token_of({**one, "tags": {"L": [{"S": "a"}, {"S": "b"}]}})
    assert item_of({"tags": {"weekend", "db", "alpha"}}) == {"tags": {"SS": ["alpha", "db", "weekend"]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (90.1, "90.1"), (-0.0, "0"), (3, "3"), (1e100, "1E+100")],
    ids=["tenth", "minutes", "zero", "integer", "large"],
)
def test_o_13_computed_numbers_are_short_exact_decimals(value: float, text: str) -> None:
    """O-13: a float is written as the shortest decimal that means it."""
    assert item_of({"n": value}) == {"n": {"N": text}}


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, Decimal("NaN"), Decimal(10**38 + 1), 10**126, Decimal("1E-131"), set(), "\ud800"],
    ids=["nan", "infinite", "decimal-nan", "39-digits", "too-large", "too-small", "empty-set", "half-a-pair"],
)
def test_o_13_values_that_no_item_can_hold_are_refused_before_the_call(value: object) -> None:
    """O-13: NaN and its kind are never sent."""
    with pytest.raises(ValueError, match=r"cannot be stored|surrogate|truncated|decode"):
        item_of({"n": value})


@pytest.mark.parametrize(
    "value", [object(), {1: "a"}, {"a", 1}, {True}], ids=["object", "key", "mixed-set", "boolean-set"]
)
def test_types_that_no_item_knows_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"attribute|set holds"):
        item_of({"n": value})


def test_nesting_stops_where_dynamodb_stops() -> None:
    deep: object = "x"
    for _ in range(32):
        deep = [deep]

    assert item_of({"deep": deep})["deep"]["L"]
    with pytest.raises(ValueError, match="nested too deeply"):
        item_of({"deep": [deep]})


def test_two_halves_of_a_pair_are_written_as_one_character() -> None:
    assert item_of({"text": "\ud83d\ude00"}) == {"text": {"S": "\U0001f600"}}


def test_o_14_null_false_text_and_nothing_stay_apart() -> None:
    """O-14: an attribute of type NULL exists; it is neither false nor missing."""
    item = {"a": {"NULL": True}, "b": {"BOOL": False}, "c": {"S": "false"}, "d": {"S": ""}}

    assert attributes_of(item) == {"a": None, "b": False, "c": "false", "d": ""}
    assert item_of(attributes_of(item)) == item


def test_maps_that_look_like_tags_keep_their_tokens_apart() -> None:
    one = {"m": {"M": {"SS": {"L": [{"S": "b"}, {"S": "a"}]}}}}
    other = {"m": {"M": {"SS": {"L": [{"S": "a"}, {"S": "b"}]}}}}

    assert token_of(one) != token_of(other)


def test_size_of_a_value_is_never_below_its_content() -> None:
    value = {"text": "x" * 100, "list": [b"y" * 50, {"z" * 20}], "n": 1}

    assert 170 < size_bytes(value) < 400


def test_usual_record_is_one_write_unit() -> None:
    """A mark is billed by the record's size: at most 1,024 bytes for up to four steps, 2,048 with all twenty.

    Source: DynamoDB Developer Guide, "Item sizes and formats": names and values in UTF-8, numbers by digits.
    """
    assert item_bytes(a_record(4)) <= 1024
    assert 1024 < item_bytes(a_record(20)) <= 2048


def item_bytes(record: SyncRecord) -> int:
    """Return an item's size as DynamoDB counts it, numbers by their upper bound."""
    total = 0
    for name, value in record_item(record).items():
        [content] = value.values()
        total += len(name) + (1 if isinstance(content, bool) else len(content))
    return total


def test_record_of_defaults_stores_little_and_comes_back() -> None:
    record = SyncRecord(incident_id="INC-1")

    item = record_item(record)

    assert item == {
        "pk": {"S": "incident#INC-1"},
        "sk": {"S": "record"},
        "state": {"S": "pending"},
        "generation": {"N": "0"},
    }
    assert record_of(item) == record


def test_attributes_of_a_newer_release_are_passed_over() -> None:
    assert record_of({**record_item(a_record(2)), "novelty": {"S": "x"}}) == a_record(2)


def test_expiry_is_stored_in_whole_seconds_and_never_early() -> None:
    """TTL wants epoch seconds; half a second is not taken from what must stay."""
    ends_at = NOON + timedelta(milliseconds=500)
    item = record_item(replace(a_record(1), expires_at=ends_at))

    assert item["expires_at"] == {"N": str(int(NOON.timestamp()) + 1)}
    assert not is_gone(item, ends_at)
    assert is_gone(item, NOON + timedelta(seconds=1))
