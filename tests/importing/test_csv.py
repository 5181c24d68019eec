import csv
import io
from typing import Any

import pytest

from kbsync.errors import UsageError
from kbsync.importing import csv_table
from kbsync.importing.csv_table import neutralise, read_csv, restore, split_list
from kbsync.importing.records import Accepted, Line, Rejected

UNCLOSED = "a quotation mark is never closed: the rest of the file was taken for this row"


def read(content: str | bytes) -> list[Line]:
    return list(read_csv(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def attributes_of(content: str | bytes) -> dict[str, object]:
    [line] = read(content)
    assert isinstance(line, Accepted), line
    return dict(line.attributes)


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
def test_the_delimiter_is_found_in_the_header(sign: Any) -> None:
    content = "incident_id,status,title\nI,CLOSED,x y\n".replace(",", sign)

    assert attributes_of(content) == {
        "incident_id": "I",
        "status": "CLOSED",
        "title": "x y",
        "sk": "METADATA",
    }


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfincident_id;status\r\nI;CLOSED\r\n",
        b"\xef\xbb\xbfsep=;\r\nincident_id;status\r\nI;CLOSED\r\n",
        "incident_id\tstatus\r\nI\tCLOSED\r\n".encode("utf-16"),
        b"\r\n\r\nincident_id,status\rI,CLOSED\r",
        b'"Incident ID",STATUS\nI,CLOSED\n',
        b" incident-id ,Status,\nI,CLOSED,\n",
    ],
    ids=["excel", "sep line", "unicode text", "old line ends", "other spelling", "empty last column"],
)
def test_what_spreadsheets_write_is_read(content: Any) -> None:
    assert attributes_of(content) == {"incident_id": "I", "status": "CLOSED", "sk": "METADATA"}


def test_a_column_with_the_own_name_of_an_attribute_beats_another_spelling() -> None:
    assert attributes_of("incident_id,status,Status\nI,CLOSED,x\n") == {
        "incident_id": "I",
        "status": "CLOSED",
        "Status": "x",
        "sk": "METADATA",
    }


def test_quotes_delimiters_and_line_breaks_inside_cells_survive() -> None:
    content = 'incident_id,status,title\nI,CLOSED,"a ""b"", c\r\nd"\n'

    assert attributes_of(content)["title"] == 'a "b", c\r\nd'


def test_rows_carry_the_number_of_the_line_they_begin_on() -> None:
    content = 'incident_id,status,title\nI,CLOSED,"a\nb"\n\n,CLOSED,x\nJ,CLOSED,y\n'

    lines = read(content)

    assert [line.line for line in lines] == [2, 5, 6]
    assert lines[1] == Rejected(5, "incident_id is missing, empty or not text")


def test_lines_are_counted_also_behind_a_sep_line() -> None:
    assert read("sep=;\nincident_id;status\nI;\n") == [Rejected(3, "status is missing, empty or not text")]


def test_empty_cells_are_missing_attributes_and_blank_rows_are_none() -> None:
    assert attributes_of("incident_id,status,title,tags\nI,CLOSED, ,\n,,,\n") == {
        "incident_id": "I",
        "status": "CLOSED",
        "sk": "METADATA",
    }


def test_dotted_columns_become_maps_and_list_columns_lists() -> None:
    content = (
        "incident_id,status,Resolution.description,resolution.root_cause,tags,affected_systems,"
        "cline_work.solution.steps\n"
        'I,CLOSED,done,leak,"a; b","x,y","[""1"", 2.50]"\n'
    )

    found = attributes_of(content)

    assert found["resolution"] == {"description": "done", "root_cause": "leak"}
    assert (found["tags"], found["affected_systems"]) == (["a", "b"], ["x", "y"])
    assert [str(step) for step in found["cline_work"]["solution"]["steps"]] == ["1", "2.50"]  # type: ignore[index]


@pytest.mark.parametrize("cell", ["[not json", '"[1,"', "[NaN"])
def test_a_list_cell_that_is_no_json_is_plain(cell: Any) -> None:
    assert attributes_of(f"incident_id,status,tags\nI,CLOSED,{cell}\n")["tags"] != []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("I,,x", "status is missing, empty or not text"),
        ("I,CLOSED,x,y", "4 cells under 3 column names"),
    ],
)
def test_a_row_that_is_no_incident_is_rejected_alone(row: Any, reason: Any) -> None:
    lines = read(f"incident_id,status,title\nA,CLOSED,x\n{row}\nB,CLOSED,y\n")

    assert lines[1] == Rejected(3, reason)
    assert [type(line) for line in lines] == [Accepted, Rejected, Accepted]


def test_empty_cells_beyond_the_header_do_no_harm() -> None:
    assert attributes_of("incident_id,status\nI,CLOSED,,\n")["incident_id"] == "I"


@pytest.mark.parametrize("header", ["resolution,resolution.description", "resolution.description,resolution"])
def test_a_column_and_its_member_cannot_both_be_filled(header: Any) -> None:
    assert read(f"incident_id,status,{header}\nI,CLOSED,x,y\n") == [
        Rejected(2, "a column and its dotted name are both filled")
    ]


def test_a_row_that_is_not_utf_8_is_rejected_alone() -> None:
    lines = read(b"incident_id,status,title\nA,CLOSED,caf\xe9\nB,CLOSED,y\n")

    assert lines[0] == Rejected(2, "not UTF-8: save the file as CSV UTF-8")
    assert isinstance(lines[1], Accepted)


def test_a_quotation_mark_that_is_never_closed_is_told() -> None:
    lines = read('incident_id,status,title\nA,CLOSED,x\nB,CLOSED,"y\nC,CLOSED,z\n')

    assert isinstance(lines[0], Accepted)
    assert lines[1:] == [Rejected(3, UNCLOSED)]


def test_a_last_row_without_line_end_is_read() -> None:
    assert attributes_of('incident_id,status,title\nA,CLOSED,"x"')["title"] == "x"


def test_a_line_over_the_limit_ends_the_file_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE_CHARACTERS", 60)

    lines = read(f"incident_id,status,title\nA,CLOSED,x\nB,CLOSED,{'y' * 100}\nC,CLOSED,z\n")

    assert isinstance(lines[0], Accepted)
    assert lines[1:] == [
        Rejected(3, "the rest of the file cannot be read as CSV: a line is longer than 60 characters")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column incident_id and no column status"),
        ("incident_id,title\n", "no column status"),
        ("incident_id,status,title,title\n", "names a column twice"),
        ("x" * 100, "a line is longer than 60 characters"),
    ],
    ids=["empty", "without status", "twice", "too long"],
)
def test_a_header_that_cannot_be_an_incident_s_is_refused(
    content: Any, message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE_CHARACTERS", 60)

    with pytest.raises(UsageError, match=message):
        read(content)


@pytest.mark.parametrize("text", ["=2*3", "+cmd", "@x", "-- note", "\tx", "\r=x", "\uff1d1+1", "'=x", "''=x"])
def test_a_formula_is_neutralised_and_restored(text: Any) -> None:
    assert neutralise(text) == f"'{text}"
    assert restore(neutralise(text)) == text


@pytest.mark.parametrize("text", ["-7.25", "+5", "-12,5", "1e5", "'tis", "a=b", ""])
def test_numbers_and_plain_text_pass_unchanged(text: Any) -> None:
    assert neutralise(text) == text
    assert restore(text) == text


@pytest.mark.parametrize(
    ("cell", "parts"), [("a; b ;", ["a", "b"]), ("a|b,c", ["a", "b,c"]), ("a, b", ["a", "b"]), ("a", ["a"])]
)
def test_a_list_cell_is_split_at_its_own_sign(cell: Any, parts: Any) -> None:
    assert split_list(cell) == parts


def test_a_cell_over_the_csv_limit_ends_the_file_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE_CHARACTERS", 60)
    broken = '"' + "y" * 40 + "\n" + "y" * 40 + '"'

    lines = read(f"incident_id,status,title\nA,CLOSED,{broken}\n")
    csv.field_size_limit(csv_table.MAX_LINE_CHARACTERS)

    assert lines == [
        Rejected(2, "the rest of the file cannot be read as CSV: field larger than field limit (60)")
    ]
