"""Whatever stands in an item: a document, no document, or a rejection; never another error or two answers."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsync.errors import IncidentRejectedError, UnreadableIncidentError
from kbsync.model import Document, StoredIncident
from kbsync.pipeline.transform.canonical import number_text
from kbsync.pipeline.transform.markup import NOTE_MARKUP_LIMIT, to_markdown
from kbsync.pipeline.transform.read import SOURCE_ATTRIBUTES
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from transform.transforming import BASE, headings_of, render, sidecar_of, text_of

MARKS = st.sampled_from(
    ["CLOSED", "<p>", "</p>", "<td colspan='²'>", "<ol start='½'>", "</ol>", "{code}", "[code]",
    "[/code]", "```",
     "\x00", "\ud83d", "\u202e", "\ufeff", "Ã³", "√≥", "=1+1", "---\n", "# x", "2025-02-30", "24:00",
     "password=",
     "-----BEGIN PRIVATE KEY-----", "data:image/png;base64,", "<!--", "<?xml version='1.0'?>",
     "<![CDATA[", "\r\n"]
)  # fmt: skip
TEXTS = st.lists(MARKS | st.text(st.characters(), max_size=6), max_size=8).map("".join)
SCALARS = (
    st.none() | st.booleans() | TEXTS | st.integers() | st.floats() | st.decimals() | st.binary(max_size=5)
)
HASHABLE = st.booleans() | TEXTS | st.integers() | st.decimals(allow_nan=False) | st.binary(max_size=5)
VALUES = st.recursive(
    SCALARS | st.frozensets(HASHABLE, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([*SOURCE_ATTRIBUTES, "team"])
WORK = st.fixed_dictionaries(
    {},
    optional={
        "analysis": VALUES | st.fixed_dictionaries({}, optional={"root_cause": VALUES}),
        "solution": VALUES
        | st.fixed_dictionaries(
            {}, optional={"description": VALUES, "steps": VALUES, "code_changes": VALUES}
        ),
    },
)
RESOLUTIONS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("description", "root_cause", "resolution_type", "resolved_at", "resolved_by"), VALUES
    ),
)
ITEMS = st.dictionaries(NAMES, VALUES, max_size=8) | st.fixed_dictionaries(
    {"resolution": RESOLUTIONS, "cline_work": WORK}
)
STRICT = TransformRules(exclude=(("team.name", ("x",)), ("tags", ("y",))), confidential=(("title", ("z",)),))


def outcome(item: Mapping[str, object]) -> object:
    try:
        return IncidentTransform(STRICT).desired(StoredIncident("I", item, ""))
    except IncidentRejectedError as error:
        return str(error)


@settings(max_examples=120, deadline=None)
@given(ITEMS)
@pytest.mark.slow
def test_any_item_is_a_document_or_a_rejection_and_twice_the_same(item: dict[str, object]) -> None:
    """Slow (5 s): hundreds of made-up items, the one proof that no shape of a value breaks the transform."""
    item = {**BASE, **item, "status": "CLOSED"}

    first = outcome(item)

    assert first == outcome(dict(reversed(item.items())))
    version = IncidentTransform(STRICT).source_version
    assert version(item) == version(dict(reversed(item.items())))
    if isinstance(first, Document):
        first.body.decode("utf-8")
        assert all(type(value) in (str, int) and value != "" for value in sidecar_of(first).values())
        assert len(first.sidecar) <= STRICT.metadata_budget_bytes
        assert not set("\x00\x1b\r\u202e\ufeff") & set(text_of(first))
        assert not {"\ud83d"} & set(first.title)


def nested(levels: int) -> object:
    value: object = "core"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"title": nested(5000)},
        {"cline_work": {"solution": {"steps": [{"a": nested(40)}]}}},
        {"cline_work": {"solution": {"code_changes": [nested(5000)]}}},
        {"title": datetime(2025, 3, 10, tzinfo=UTC)},
        {"description": bytearray(b"x")},
        {"error_message": [object()]},
    ],
    ids=["deep title", "deep step", "deep change", "datetime", "bytearray", "object in a list"],
)
def test_what_cannot_be_read_is_rejected_by_name_alone(change: dict[str, object]) -> None:
    with pytest.raises(
        UnreadableIncidentError, match=r"is no text: it holds a \w+$|nested deeper than 32 levels$"
    ):
        render(**change)


def test_what_only_rules_look_at_may_be_anything() -> None:
    rules = TransformRules(exclude=(("team", ("x",)),))

    assert render(rules, team=[bytearray(b"x"), object(), nested(5000), {"a": b"x"}])


@pytest.mark.parametrize(
    ("title", "heading"),
    [
        ("[x](javascript:1) <script>", "# [x](javascript:1) <script>"),
        (["a", ["b", {"c": 1}]], "# a b, c: 1"),
        ("a\r\n# b\r\n===", "# a # b ==="),
        ("\u200f\u202eabc\u202c", "# abc"),
        (Decimal("1E+3"), "# 1000"),
        ("---", "# Connections time out after 30 s."),
        ("N/A", "# Connections time out after 30 s."),
        ("\x00", "# Connections time out after 30 s."),
    ],
    ids=["links", "lists", "lines", "bidi", "number", "front matter", "filler", "control"],
)
def test_a_title_is_one_line_whatever_it_was(title: object, heading: str) -> None:
    text = text_of(render(title=title))

    assert text.split("\n")[0] == heading
    assert [tag for tag, _ in headings_of(text)].count("h1") == 1


@pytest.mark.parametrize("filler", ["None", " null ", "N/A", "No especificada", "-", "Not specified."])
def test_words_that_say_nothing_count_as_missing_and_the_fallback_speaks(filler: str) -> None:
    work = {"analysis": {"root_cause": "From the analysis."}}

    document = render(resolution={"root_cause": filler, "description": "Done."}, cline_work=work)

    assert "## Causa raíz\n\nFrom the analysis.\n" in text_of(document)
    assert "resolution.root_cause was left out: it only says that there is nothing" in document.notes


def test_plain_texts_where_the_original_has_maps_are_understood() -> None:
    text = text_of(render(resolution=None, cline_work={"analysis": "Leak.", "solution": "Restart."}))

    assert "## Causa raíz\n\nLeak.\n" in text
    assert "## Resolución\n\nRestart.\n" in text


def test_a_cline_work_that_is_no_map_is_noted() -> None:
    assert "cline_work was left out: it is no map" in render(cline_work="x").notes
    assert "cline_work was left out: it is no map" not in render(cline_work=None).notes


@pytest.mark.parametrize("tags", ["db; pool", "db\npool", ["db", "pool", "d\u200bb"]])
def test_tags_are_told_once_whatever_parts_them(tags: object) -> None:
    assert sidecar_of(render(tags=tags))["tags"] == "db,pool"


@pytest.mark.parametrize(
    ("language", "heading"),
    [("ES-mx", "Problema"), ("spa", "Problema"), ("Español (México)", "Problema"), ("eng", "Problem"),
     ("English", "Problem"), ("klingon", "Problem"), (["es"], "Problem"), ("", "Problem")],
)  # fmt: skip
def test_a_language_is_understood_as_code_and_as_word(language: object, heading: str) -> None:
    document = render(TransformRules(document_language="en"), language=language)

    assert ("h2", heading) in headings_of(text_of(document))


def test_an_address_is_kept_whole_or_left_out() -> None:
    long = "https://example.test/" + "a" * 500

    assert (
        sidecar_of(render(TransformRules(metadata_budget_bytes=2048), source_url=long))["source_url"] == long
    )
    assert "source_url" not in sidecar_of(render(source_url=long * 3))


def test_a_budget_drops_whole_values_in_their_order_and_no_more_than_it_must() -> None:
    wide = "ñ" * 150
    changes = dict.fromkeys(
        ("source_url", "title", "environment", "category", "source_system", "priority"), wide
    )

    document = render(status="CLOSED", **changes)

    sidecar = sidecar_of(document)
    assert len(document.sidecar) <= 1024
    assert {"tags", "source_url", "title", "environment"} & set(sidecar) == set()
    assert (sidecar["source_system"], sidecar["priority"]) == (wide, wide)
    assert (sidecar["incident_id"], sidecar["external_id"], sidecar["severity"]) == (
        "INC-1001",
        "EXT-77",
        "high",
    )


@pytest.mark.parametrize(("one", "other"), [(10**200, Decimal("1E+200")), (1e300, Decimal("1.0E+300"))])
def test_equal_numbers_have_one_text_also_beyond_what_a_table_holds(one: float, other: Decimal) -> None:
    assert number_text(one) == number_text(other)
    assert number_text(-other) == f"-{number_text(other)}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[code]<?xml version="1.0"?><a>x</a>[/code]', "x"),
        ("[code]https://a.test/b &amp; c[/code]", "https://a.test/b & c"),
        ('<p><a href=" javascript:x()">go</a> <img src="data:x" alt="pic"></p>', "go ![pic]()"),
        ("<p>a</p>[code]b", "a\n\n[code]b"),
        ("<!-- open <p>a</p>", "<!-- open \n\na"),
        ("{panel:title=Why|borderStyle=x}body{panel}", "**Why**\nbody"),
        ("{code:java}open", "{code:java}open"),
    ],
    ids=["xml", "address", "script links", "open code", "open comment", "panel", "open jira code"],
)
def test_odd_markup_keeps_its_text(text: str, expected: str) -> None:
    assert to_markdown(text, lambda _: None) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["<p>" + '<div a="<">' * 3000 + "core</p>", "<p>core</p>" * 5001, '<ol start="½"><li>core</li></ol>'],
    ids=["hidden depth", "many small blocks", "what the library trips over"],
)
def test_markup_that_cannot_be_converted_keeps_its_text_and_is_noted(text: str) -> None:
    """Slow (2 s): the limit is the number of tags that takes so long."""
    notes: list[str] = []

    assert "core" in to_markdown(text, notes.append)
    assert notes[0] == NOTE_MARKUP_LIMIT


HOSTILE = [
    ("", "<p>a</p>", ""), ("", "<b></b>", "</p>"), ("<p>", "<script>", "</p>"), ("-->", "<!--", "<p>a</p>"),
    ("[/code]", "[code]", ""), ("{code}", "{code:x}", ""), ("{code} ||a", " ", "x"), ("<p>",
    '<div a="<">', "</p>"),
    ("<p>", "<a ", "</p>"), ("<p>", "&#x", "</p>"), ("", "-eyJaaaaaaaa", ""), ("", "secret_key_", ""),
    ('password="', "a", ""), ("", "`a", ""), ("a", "\x01\x1c", " "), ("", "A1" * 30 + "   \n", ""), ("",
    "> - ", "-"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("before", "unit", "after"), HOSTILE, ids=[unit for _, unit, _ in HOSTILE])
def test_hostile_text_of_the_largest_item_takes_bounded_time(before: str, unit: str, after: str) -> None:
    """Slow (up to 3 s each): the size that DynamoDB allows shows whether a pattern is linear."""
    text = before + unit * (400_000 // len(unit)) + after
    begun = time.process_time()

    render(description=text)

    assert time.process_time() - begun < 6


def test_a_date_of_a_million_blanks_is_refused_at_once() -> None:
    begun = time.process_time()

    document = render(resolved_at="2025-03-10" + "\u00a0" * 1_000_000 + "x")

    assert time.process_time() - begun < 1
    assert "resolved_date" not in sidecar_of(document)
