"""Records out of JSON, XML and CSV exports: every form, every damage, bounded memory."""

import io
import json
import tracemalloc

import pytest

from kbsync.importing import json_rows, xml_rows
from kbsync.importing.attached import Attachments
from kbsync.importing.csv_rows import read_csv_rows
from kbsync.importing.json_rows import read_json_line_rows, read_json_rows
from kbsync.importing.mapping import Attached
from kbsync.importing.paths import parse_path, scalar, values_at
from kbsync.importing.records import Rejected
from kbsync.importing.rows import Row
from kbsync.importing.xml_rows import read_xml_rows


def of_json(content: str, *containers: str, beside: str = "") -> list[Row | Rejected]:
    return list(read_json_rows(io.BytesIO(content.encode()), containers, "utf-8-sig", beside.split()))


def of_xml(content: str | bytes, *elements: str) -> list[Row | Rejected]:
    data = content.encode() if isinstance(content, str) else content
    return list(read_xml_rows(io.BytesIO(data), elements, "utf-8-sig"))


def fields(rows: list[Row | Rejected]) -> list[object]:
    return [row.fields if isinstance(row, Row) else row.reason for row in rows]


@pytest.mark.parametrize(
    "content",
    [
        '[{"a": 1}, {"a": 2}]',
        '{"a": 1}{"a": 2}',
        '{"a": 1}\n{"a": 2}\n',
        '[{"a": 1}][{"a": 2}]',
        '[[{"a": 1}], [{"a": 2}]]',
        '{"list": [{"a": 1}, {"a": 2}]}',
        '{"page": {"id": 1}, "list": [{"a": 1}], "more": true}{"list": [{"a": 2}]}',
        '[{"list": [{"a": 1}]}, {"list": [{"a": 2}]}]',
        '{"list": {"a": 1}}[{"a": 2}]',
    ],
    ids=["list", "joined", "lines", "pages", "slurped", "named", "named pages", "slurped named", "single"],
)
def test_records_are_found_in_every_form_of_json(content: str) -> None:
    assert fields(of_json(content, "list")) == [{"a": 1}, {"a": 2}]


def test_member_inside_a_record_that_is_named_like_a_list_stays_inside() -> None:
    content = '{"list": [{"a": 1, "list": [{"b": 2}]}]}'

    assert fields(of_json(content, "list")) == [{"a": 1, "list": [{"b": 2}]}]


def test_second_list_beside_the_first_comes_with_its_name() -> None:
    behind = of_json('{"list": [{"a": 1}], "more": [{"b": 2}], "c": [{"c": 3}]}', "list", beside="more")
    before = of_json('{"c": [{"c": 3}], "more": [{"b": 2}, 7], "list": [{"a": 1}]}', "list", beside="more")

    assert [(row.kind, row.fields) for row in behind if isinstance(row, Row)] == [
        ("list", {"a": 1}),
        ("more", {"b": 2}),
    ]
    assert fields(before) == [{"b": 2}, "not an object", {"a": 1}]


@pytest.mark.parametrize(
    "content", ['{"a": 1, "more": [{"b": 2}]}', '[{"": {}, "a": 1, "more": [{"b": 2}]}]']
)
def test_list_inside_a_record_is_its_own_also_where_it_could_stand_beside_it(content: str) -> None:
    [found] = fields(of_json(content, "list", beside="more"))

    assert isinstance(found, dict)
    assert (found["a"], found["more"]) == (1, [{"b": 2}])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [json_rows._BROKEN]),
        ("[]", []),
        ("[1, null]", ["not an object", "not an object"]),
        ('"text"', ["not an object"]),
        ('[{"a": 1}, {"a": ', [{"a": 1}, json_rows._BROKEN]),
        ('[{"a": 1}, x]', [{"a": 1}, json_rows._BROKEN]),
        ("[" * 200, ["nested deeper than 100 levels: the rest is not read"]),
    ],
    ids=["empty", "empty list", "scalars", "text", "half", "no JSON", "deep"],
)
def test_what_is_no_record_is_told(content: str, expected: list[object]) -> None:
    assert fields(of_json(content)) == expected


def test_record_without_end_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_RECORD_CHARACTERS", 200_000)
    record = json.dumps({"a": "x" * 1000})

    assert len(of_json(record * 400)) == 400
    assert fields(of_json(f'{record}{{"a": "{"x" * 400_000}"}}')) == [
        {"a": "x" * 1000},
        "a record is longer than 200000 characters: the rest is not read",
    ]


def test_json_lines_are_independent_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_LINE_CHARACTERS", 50)
    content = '{"a": 1}\n\n[]\n{"a"\n{"a": "' + "x" * 200 + '"}\n{"a": 2}'

    rows = list(read_json_line_rows(io.BytesIO(content.encode()), "utf-8-sig"))

    assert fields(rows) == [
        {"a": 1}, "not an object", "not JSON", "the line is longer than 50 characters", {"a": 2},
    ]  # fmt: skip
    assert [row.number if isinstance(row, Row) else row.line for row in rows] == [1, 3, 4, 5, 6]


def test_elements_become_records_with_attributes_and_repeated_children() -> None:
    rows = of_xml('<l xmlns="urn:x"><r k="1"><a>x</a><a>y</a><b c="d">z</b><e/></r></l>', "r")

    assert fields(rows) == [{"k": "1", "a": ["x", "y"], "b": {"c": "d", "value": "z"}, "e": ""}]


def test_root_that_is_a_record_is_read() -> None:
    assert fields(of_xml("<r><a>1</a></r>", "r")) == [{"a": "1"}]


def test_other_children_of_the_root_come_with_their_name() -> None:
    rows = of_xml("<l><o><a>1</a></o><r><a>2</a></r><plain>3</plain></l>", "r")

    assert [(row.kind, row.fields) for row in rows if isinstance(row, Row)] == [
        ("o", {"a": "1"}),
        ("r", {"a": "2"}),
    ]
    assert len(rows) == 2


def test_channel_around_records_is_no_record() -> None:
    assert fields(of_xml("<rss><channel><t>1</t><r><a>2</a></r><r><a>3</a></r></channel></rss>", "r")) == [
        {"a": "2"},
        {"a": "3"},
    ]


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ('<?xml version="1.0" encoding="latin-1"?><l><r><a>Sesión</a></r></l>'.encode("latin-1"), "Sesión"),
        ('<?xml version="1.0" encoding="UTF-16"?><l><r><a>Sesión</a></r></l>'.encode("utf-16"), "Sesión"),
        ('<?xml version="1.0" encoding="x-unknown"?><l><r><a>Sesión</a></r></l>'.encode(), "Sesión"),
        ("\ufeff<l><r><a>Sesión&#x0;&#11;</a></r></l>".encode(), "Sesión  "),
        (b"<l><r><a>Sesi\xf3n</a></r></l>", None),
    ],
    ids=["declared", "utf-16", "unknown name", "forbidden characters", "wrong bytes"],
)  # fmt: skip
def test_encoding_of_xml_is_the_declared_one(content: bytes, title: str | None) -> None:
    [row] = of_xml(content, "r")

    assert isinstance(row, Rejected) if title is None else fields([row]) == [{"a": title}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<l><r><a>1</a></r><r><a>", "from line 1 on this is no XML, or it ends in the middle"),
        ("<l><r><a>1</a></r></x>", "from line 1 on this is no XML, or it ends in the middle"),
        ("<l><r><a>1</a></r>" + "<r>" + "<d>" * 200, "from line 1 on this is no XML"),
        ("<l><r><a>1</a></r><r>" + "<d>" * 200 + "</d>" * 200 + "</r></l>", "nested deeper than 100 levels"),
    ],
    ids=["half", "no XML", "deep half", "deep"],
)
def test_damage_of_xml_costs_only_the_rest(content: str, reason: str) -> None:
    first, second = of_xml(content, "r")

    assert fields([first]) == [{"a": "1"}]
    assert isinstance(second, Rejected)
    assert second.reason.startswith(reason)


def test_element_without_end_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_rows, "MAX_RECORD_CHARACTERS", 100_000)

    assert fields(of_xml("<l><r><a>1</a></r>\n<r><a>" + "x" * 300_000, "r"))[-1] == (
        "an element is longer than 100000 characters: the rest is not read"
    )


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><l><r><a>&b;</a></r></l>',
        '<!DOCTYPE l SYSTEM "http://127.0.0.1/l.dtd"><l><r><a>x</a></r></l>',
    ],
    ids=["entities", "DTD"],
)
def test_entities_and_dtds_are_refused(bomb: str) -> None:
    assert fields(of_xml(bomb, "r")) == [
        "declares a DTD or entities, which are refused: the rest is not read"
    ]


def test_large_exports_take_the_memory_of_one_record() -> None:
    class Endless(io.RawIOBase):
        """A file of many records that is never in memory."""

        def __init__(self, beginning: bytes, record: bytes, count: int) -> None:
            super().__init__()
            self.parts = iter([beginning, *([record] * count)])

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            part = next(self.parts, b"")
            assert isinstance(buffer, memoryview)
            buffer[: len(part)] = part
            return len(part)

    text = b"x" * 3000
    for read, beginning, record in (
        (read_json_rows, b"[", b'{"a": "' + text + b'"}'),
        (read_xml_rows, b"<l>", b"<r><a>" + text + b"</a></r>\n"),
    ):
        tracemalloc.start()
        separator = b"," if read is read_json_rows else b""
        stream = Endless(beginning + record, separator + record, 2000)
        count = sum(1 for _ in read(stream, ["r"], "utf-8-sig"))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert count == 2002
        assert peak < 2_000_000


def test_columns_of_one_name_become_a_list_and_names_keep_their_case() -> None:
    content = b"sep=;\nKey;Comment;Comment;;comment\nA;one;two;no name;three\nB;;four;;\n\n"

    first, second = read_csv_rows(io.BytesIO(content), "utf-8-sig")

    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.number, first.fields) == (3, {"Key": "A", "Comment": ["one", "two"], "comment": "three"})
    assert second.fields == {"Key": "B", "Comment": "four"}
    assert values_at(second, "KEY") == ["B"]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("a", ["x"]),
        ("b.c", [1, 2]),
        ("b[c=1|3].d", []),
        ("b[d=Yes].c", [2]),
        ("b[d=no|YES].c", [1, 2]),
        ("none.at.all", []),
        ("a.deeper", []),
        ("dotted.name", ["y"]),
        ("empty", []),
    ],
)
def test_path_leads_through_objects_and_lists(path: str, values: list[object]) -> None:
    record = {
        "a": "x", "b": [{"c": 1, "d": "no"}, [{"c": 2, "d": "yes"}], "text"], "dotted.name": "y",
        "empty": [None, "", " ", [], {}, {"display_value": "", "value": ""}],
    }  # fmt: skip

    assert values_at(Row(1, record), path) == values


@pytest.mark.parametrize("path", ["", "a..b", "a[b]", "a[b=c", ".a"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (True, "true"),
        (None, ""),
        ({"name": "a", "id": "7"}, "a"),
        ({"display_value": "a", "value": "7"}, "a"),
        ({"display_value": "", "value": "7"}, "7"),
        ({"value": {"name": "a"}}, "a"),
        ({"id": "7"}, ""),
        (["a"], ""),
    ],
)
def test_object_is_shown_by_its_name(value: object, text: str) -> None:
    assert scalar(value) == text


def test_what_belongs_to_incidents_is_held_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from kbsync.errors import UsageError  # noqa: PLC0415 - only here
    from kbsync.importing import attached  # noqa: PLC0415 - only here

    monkeypatch.setattr(attached, "MOST_CHARACTERS", 1000)
    rule = Attached(kind="note", parent="of", matches="id", into="notes")
    rows = [Row(n, {"of": "1", "value": "x" * 300}, "note") for n in range(10)]

    with pytest.raises(UsageError, match="too much beside its incidents"):
        Attachments((rule,)).gather(iter(rows))


def test_what_belongs_to_an_incident_joins_what_it_has_itself() -> None:
    rule = Attached(kind="note", parent="of", matches="id", into="notes")
    incident, other = Row(2, {"id": "1", "notes": "own"}), Row(3, {"id": "2"})
    rows = [Row(1, {"of": "1", "value": "late"}, "note"), incident, other, Rejected(4, "broken")]

    attachments = Attachments((rule,)).gather(iter(rows))

    assert attachments.completed(incident).fields["notes"] == ["own", {"of": "1", "value": "late"}]
    assert attachments.completed(other) == other
