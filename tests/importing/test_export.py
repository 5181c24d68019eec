import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.importing.csv_table import read_csv
from kbsync.importing.export import json_line, write_csv
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted
from kbsync.importing.typed import encode

KEYS = {"incident_id": "I", "sk": "METADATA", "status": "CLOSED"}
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=3)
ANY_TEXT = st.text(st.characters(), max_size=8)
SCALARS = st.none() | st.booleans() | ANY_TEXT | NUMBERS | st.binary(max_size=4)
SETS = (
    st.frozensets(ANY_TEXT, min_size=1, max_size=3)
    | st.frozensets(NUMBERS, min_size=1, max_size=3)
    | st.frozensets(st.binary(max_size=3), min_size=1, max_size=3)
)
VALUES = st.recursive(
    SCALARS | SETS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3)
)


def imported(line: str) -> object:
    [read] = read_json_lines(io.BytesIO(line.encode()))
    assert isinstance(read, Accepted), read
    return read.attributes


def csv_of(*items: dict[str, object]) -> str:
    out = io.StringIO(newline="")
    write_csv(lambda: items, out)
    return out.getvalue()


def reimported(*items: dict[str, object]) -> list[object]:
    lines = read_csv(io.BytesIO(csv_of(*items).encode()))
    return [line.attributes if isinstance(line, Accepted) else line for line in lines]


@pytest.mark.slow
@given(st.dictionaries(ANY_TEXT, VALUES, max_size=4))
def test_json_lines_give_back_what_was_exported(attributes: Any) -> None:
    """Slow (1.5 s): a hundred made-up items with every type that a table knows."""
    item = {**attributes, **KEYS}

    line = json_line(item)

    assert imported(line) == item
    assert "\n" not in line
    assert type(json.loads(line)) is dict


def test_a_line_is_plain_json_where_that_is_lossless_and_typed_where_not() -> None:
    assert json_line({"incident_id": "Ñ", "n": Decimal("0.10")}) == '{"incident_id": "Ñ", "n": 0.10}'
    assert json_line({"a": {"y", "x"}}) == '{"Item": {"a": {"SS": ["x", "y"]}}}'


def test_half_a_character_is_escaped_and_comes_back() -> None:
    line = json_line({**KEYS, "title": "é\ud83d"})

    assert line.isascii()
    assert imported(line) == {**KEYS, "title": "é\ud83d"}


def test_typed_json_has_a_form_for_every_type() -> None:
    assert encode({"a": None, "b": True, "c": 1, "d": b"\x00", "e": ["x"], "f": {"g": frozenset({2})}}) == {
        "a": {"NULL": True}, "b": {"BOOL": True}, "c": {"N": "1"}, "d": {"B": "AA=="},
        "e": {"L": [{"S": "x"}]},
        "f": {"M": {"g": {"NS": ["2"]}}},
    }  # fmt: skip


CSV_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12).filter(
    lambda text: text.strip() != ""
)


@given(CSV_TEXT, st.lists(CSV_TEXT, min_size=1, max_size=3), CSV_TEXT)
def test_csv_gives_back_texts_and_lists(title: Any, tags: Any, cause: Any) -> None:
    item = {**KEYS, "title": title, "tags": tags, "resolution": {"root_cause": cause}}

    assert reimported(item) == [item]


@pytest.mark.parametrize(
    "tags", [["a;b", "c"], ["a,b"], ["a|b"], [" a"], ["[x]"], ["[1]", "b"], [""], [Decimal(1)]]
)
def test_a_list_that_no_plain_cell_can_hold_comes_back(tags: Any) -> None:
    assert reimported({**KEYS, "tags": tags}) == [{**KEYS, "tags": tags}]


def test_steps_and_code_changes_come_back_as_lists() -> None:
    work = {"solution": {"steps": ["one", "two"], "code_changes": [{"file": "a.py"}]}}

    assert reimported({**KEYS, "cline_work": work}) == [{**KEYS, "cline_work": work}]


def test_columns_are_those_of_all_rows_without_the_sync_status() -> None:
    text = csv_of(
        {**KEYS, "kb_sync_status": {"synced": True}, "b": {"c": Decimal("-12.5")}, "n": None},
        {**KEYS, "tags": {"y", "x"}, "=x": "1", "bin": b"\x00", "flag": True, "m": {}},
    )

    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["incident_id", "status", "title", "sk", "b.c", "tags", "'=x", "bin", "flag"],
        ["I", "CLOSED", "", "METADATA", "-12.5", "", "", "", ""],
        ["I", "CLOSED", "", "METADATA", "", "x;y", "1", '{"B": "AA=="}', "true"],
    ]


def test_half_a_character_does_not_stop_an_export() -> None:
    assert "a\ufffd" in csv_of({**KEYS, "title": "a\ud83d"})


def test_the_number_of_rows_is_returned() -> None:
    assert write_csv(lambda: [KEYS, KEYS], io.StringIO(newline="")) == 2
