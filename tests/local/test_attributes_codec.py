"""Attributes as text and back: nothing is lost, nothing is taken for something else."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.local.attributes_codec import decode_attributes, encode_attributes

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
SCALARS = st.one_of(st.none(), st.booleans(), TEXTS, st.binary(max_size=8), NUMBERS)
SETS = st.one_of(st.sets(TEXTS, min_size=1), st.sets(NUMBERS, min_size=1), st.sets(st.binary(), min_size=1))
VALUES = st.recursive(
    st.one_of(SCALARS, SETS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=10,
)
ITEMS = st.dictionaries(TEXTS, VALUES, max_size=4)


@given(ITEMS)
def test_any_item_comes_back_equal(item: dict[str, object]) -> None:
    assert decode_attributes(encode_attributes(item)) == item


@given(ITEMS)
def test_order_of_attributes_does_not_matter(item: dict[str, object]) -> None:
    backwards = dict(reversed(item.items()))

    assert encode_attributes(backwards) == encode_attributes(item)


def test_map_that_looks_like_a_tag_stays_a_map() -> None:
    item: dict[str, object] = {"a": {"N": "1"}, "b": {"M": {"SS": ["x"]}}, "c": {}}

    assert decode_attributes(encode_attributes(item)) == item


def test_numbers_of_every_kind_come_back_as_decimal() -> None:
    item = {"a": 1, "b": 1.1, "c": {1, 2}, "d": {1.5}}

    back = decode_attributes(encode_attributes(item))

    assert back == {
        "a": Decimal(1),
        "b": Decimal("1.1"),
        "c": {Decimal(1), Decimal(2)},
        "d": {Decimal("1.5")},
    }


def test_text_is_ascii_whatever_is_in_it() -> None:
    assert encode_attributes({"ñ": "\ud800 🙂"}).isascii()


def deeply_nested() -> object:
    value: object = "x"
    for _ in range(200):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param(lambda: float("nan"), ValueError, id="nan"),
        pytest.param(lambda: Decimal("Infinity"), ValueError, id="infinity"),
        pytest.param(deeply_nested, ValueError, id="deep"),
        pytest.param(lambda: {1, "a"}, TypeError, id="mixed set"),
        pytest.param(lambda: {True}, TypeError, id="set of booleans"),
        pytest.param(lambda: {1: "a"}, TypeError, id="map with a number for a name"),
        pytest.param(object, TypeError, id="object"),
    ],
)
def test_what_no_item_can_hold_is_refused(value: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_attributes({"a": value()})
