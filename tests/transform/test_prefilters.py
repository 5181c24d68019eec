"""What lets a text pass without a search must never let one pass in which the search would find something."""

import re
import sys
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ftfy import fix_encoding_and_explain
from ftfy.badness import is_bad
from hypothesis import given
from hypothesis import strategies as st

from kbsync.pipeline.transform import blocks, clean, dates, jira, markup, read, sidecar

EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))
MIXTURE = st.lists(
    st.sampled_from(
        [
            "\r\n", "\r", "\n", "\t", " ", "\x00", "\x0c", "\x1b[31m", "\x7f", "\x85", "\x9b1m", "\u2028",
            "\ue000", "\ud83d", "\u200b", "\u200d", "\u200c", "\ufe0f", "\u034f", "\u00ad", "\U000e0101",
            "❤", "م", "é", "ñ", "Ã±", "â€™", "Â ", "œ", "a", "Z", "9", ".", "AB/+" * 20,
            "AB/+" * 20 + "\n", "AB/+" * 20 + " \n\t", "Ab1/" * 600, "data:image/png;base64,",
            "iVBORw0KGgo" * 60, "data:;base64," + "QUJD" * 20,
        ]
    )
    | st.text(max_size=4),
    max_size=14,
).map("".join)  # fmt: skip


def plainly_cleaned(text: str, notes: list[str]) -> str:
    """Return what cleaning makes of a text when every search is made."""
    if re.search("[\ud800-\udfff]", text):
        notes.append(clean.NOTE_SURROGATE)
        text = clean.whole_characters(text)
    found = fix_encoding_and_explain(text)
    steps = {step.action for step in found.explanation or ()}
    if steps and steps <= {"encode", "decode"}:
        notes.append(clean.NOTE_MOJIBAKE)
        text = found.text
    text = clean._ESCAPE.sub("", clean._LINE_END.sub("\n", text))
    text = clean._ANY_CONTROL.sub("", clean._SEPARATING_CONTROL.sub(" ", text))
    text, removed = clean._INVISIBLE.subn("", text)
    notes += [clean.NOTE_INVISIBLE] * bool(removed)
    before = text
    for pattern in (clean._DATA_URI, clean._BASE64_LINES, clean._BASE64_RUN):
        text = pattern.sub(placeholder, text)
    return text if text == before else notes.append(clean.NOTE_BASE64) or text


def placeholder(match: re.Match[str]) -> str:
    content = match[match.lastindex or 0]
    if len(set(content)) < 4:
        return match[0]
    kind = match[1] if match.lastindex else clean._sniffed(content)
    return f"[{kind or 'base64'} {len(content) * 3 // 4} bytes]"


@given(MIXTURE)
def test_cleaning_says_the_same_with_and_without_prefilters(text: Any) -> None:
    expected: list[str] = []
    notes: list[str] = []

    wanted = plainly_cleaned(text, expected)

    assert clean.clean(text, notes.append) == wanted
    assert notes == expected


@given(MIXTURE.map(lambda text: text * 9))
def test_long_texts_are_cleaned_the_same_with_and_without_prefilters(text: Any) -> None:
    expected: list[str] = []
    notes: list[str] = []

    wanted = plainly_cleaned(text, expected)

    assert clean.clean(text, notes.append) == wanted
    assert notes == expected


def test_what_can_be_printed_holds_no_control_character_and_no_line_end() -> None:
    looked_for = re.compile(f"{clean._LINE_END.pattern}|{clean._ANY_CONTROL.pattern}|[\x1b\x9b]")

    assert not any(map(str.isprintable, looked_for.findall(EVERY_CHARACTER)))


def test_a_text_without_candidates_holds_nothing_invisible() -> None:
    innocent = clean._AT_TIMES_INVISIBLE.sub("", EVERY_CHARACTER)

    assert not clean._INVISIBLE.search(innocent)


def test_without_its_signs_the_library_finds_no_wrong_decoding() -> None:
    around = [
        f" {char} a{char}a A{char}A 1{char}1 .{char}. ({char})" for char in EVERY_CHARACTER[128:0x10000]
    ]
    innocent = "".join(part for part in around if not clean._PERHAPS_MOJIBAKE.search(part))

    assert len(innocent) > 1_000_000
    assert not is_bad(innocent)
    assert is_bad("clichÃ©")


@given(st.from_regex(read._FILLER, fullmatch=True))
def test_no_filler_is_longer_than_the_longest(text: Any) -> None:
    assert len(text) <= read._LONGEST_FILLER


MARKS = st.lists(
    st.sampled_from(
        ["h1. ", "bq. ", "\n", "||", "{code}", "{color:red}", "{{x}}", "[a|http://b]", "[code]", "[/code]",
         "<p>", "</p>", "<br>", "<!--", "-->", "h", "a", "#", "```", "~~~", "- ", "> ", "1. ", "===", "<pre>"]
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)  # fmt: skip


@given(MARKS)
def test_jira_markup_is_seen_where_a_search_sees_it(text: Any) -> None:
    assert jira.has_jira_markup(text) == bool(jira._MARKUP.search(text))


@given(st.from_regex(jira._MARKUP))
def test_all_jira_markup_holds_one_of_its_signs(text: Any) -> None:
    assert jira.has_jira_markup(text)


@given(MARKS)
def test_a_text_without_angle_brackets_holds_no_tag(text: Any) -> None:
    bare = text.replace("<", "")

    assert not markup._SURE_TAG.search(bare)


@given(MARKS)
def test_each_mark_of_structure_is_behind_the_first_look(text: Any) -> None:
    marks = (blocks._UNDERLINE, blocks._HEADING, blocks._LASTING_HTML, blocks._INNER_FENCE)

    for line in text.split("\n"):
        assert blocks._MARK.match(line) or not any(mark.match(line) for mark in marks)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "Pacific/Apia"])
@given(st.from_regex(dates._INSTANT, fullmatch=True))
def test_an_instant_is_read_as_its_shape_would_be(zone: Any, text: Any) -> None:
    try:
        expected = dates._read_text(text, ZoneInfo(zone), "")
    except (ValueError, OverflowError):
        expected = None

    assert dates.read_moment(text, ZoneInfo(zone), "") == expected


@given(st.one_of(st.from_regex(shape, fullmatch=True) for shape in dates._SHAPES))
def test_a_date_has_the_first_shape_of_all_whatever_it_begins_with(text: Any) -> None:
    expected = next(shape for shape in dates._SHAPES if shape.fullmatch(text))

    found = dates._shaped(text)

    assert found is not None
    assert found.re is expected


@given(st.characters(categories=["L"]), MARKS)
def test_no_mark_of_structure_begins_with_a_letter(letter: Any, text: Any) -> None:
    marks = (blocks._UNDERLINE, blocks._HEADING, blocks._LASTING_HTML, blocks._INNER_FENCE)

    assert not any(mark.match(letter + text) for mark in marks)
    assert blocks._harmless_line(letter + text) == letter + text


def test_a_joiner_that_belongs_stays_and_is_not_noted() -> None:
    notes: list[str] = []

    assert clean.clean("sent ❤\ufe0f by می\u200cرود", notes.append) == "sent ❤\ufe0f by می\u200cرود"
    assert notes == []


@pytest.mark.parametrize(
    ("external_id", "shortened"),
    [("E" * 200, ["external_id"]), ("", ["incident_id"])],
    ids=["longer", "absent"],
)
def test_only_ids_that_must_be_are_shortened(external_id: Any, shortened: Any) -> None:
    notes: list[str] = []
    ids = {"incident_id": "I" * (9 if external_id else 200)} | (
        {"external_id": external_id} if external_id else {}
    )

    content = sidecar.render_sidecar(ids, 150, notes.append)

    assert len(content) <= 150
    assert notes == [f"sidecar: {name} was shortened" for name in shortened]
