import time
from typing import Any

import pytest

from kbsync.pipeline.transform.blocks import contained, split_fences
from kbsync.pipeline.transform.clean import NOTE_BASE64, clean, excerpt
from kbsync.pipeline.transform.markup import NOTE_MARKUP_LIMIT, to_markdown
from transform.transforming import render, text_of

DEEP = "<div>" * 100 + "core" + "</div>" * 100


def converted(text: str) -> str:
    return to_markdown(text, lambda _: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h2. Why\n* a\n** b\n# c\n---- x", "## Why\n- a\n   - b\n1. c\n---- x"),
        ("{code:java}\nint x;\n{code}\nend", "```java\nint x;\n```\n\n\nend"),
        ("{code:title=a|language=sql}x{code}", "```sql\nx\n```"),
        ("{noformat}\na ``` *b*\n{noformat}", "````\na ``` *b*\n````"),
        ("{noformat}\na ``` b\n````\n{noformat}", "`````\na ``` b\n````\n`````"),
        ("{color:red}hot{color} {{m_x}} *b* [t|https://a.test/b]", "hot `m_x` **b** [t](https://a.test/b)"),
        ("bq. said\n||a||b||\n|1|2|", "> said\n| a | b |\n| --- | --- |\n|1|2|"),
        ("{quote}see [REDACTED:key]{quote}", "see [REDACTED:key]"),
    ],
)
def test_jira_markup_becomes_markdown(text: Any, expected: Any) -> None:
    assert converted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "*bold* _it_ {{ template }} - x",
        "a | b\n--- | ---\n1 | 2",
        "1. One\n2. Two\n\n`code` [x](y)",
        "List<String> a<b && c>d </init>",
        "<b>not sure",
        "```\n<p>kept</p>\n```\n",
    ],
)
def test_plain_text_and_markdown_pass_unchanged(text: Any) -> None:
    assert converted(text) == text.strip("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[code]<b>Bold</b> &amp; more[/code] tail", "**Bold** & more\n\n tail"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("see <!-- hidden --> this", "see  this"),
        ("x <b>1</b>\n<p>one\ntwo</p>\nList<T> tail", "x **1**\n\none\ntwo\n\nList<T> tail"),
        ("<p>a</p>\n```\n<p>b</p>\n```\n<p>c</p>", "a\n\n```\n<p>b</p>\n```\n\n\nc"),
        ("<div>a<div>b</div>c</div> </p> <p>open", "a\n\nb\n\nc\n\n </p> <p>open"),
        ("<table><tr><th>a_b</th></tr><tr><td>1</td></tr></table>", "| a_b |\n| --- |\n| 1 |"),
        ("<p>x</p><style>b{}</style><hr/>", "x\n\n<hr/>"),
    ],
)
def test_html_blocks_become_markdown(text: Any, expected: Any) -> None:
    assert converted(text) == expected


@pytest.mark.parametrize("text", [DEEP, "<p>" + "core &amp; " * 20_000 + "</p>"], ids=["deep", "large"])
def test_markup_beyond_the_limits_loses_its_tags_and_is_noted(text: Any) -> None:
    notes: list[str] = []

    result = to_markdown(text, notes.append)

    assert "core" in result
    assert "<" not in result
    assert notes == [NOTE_MARKUP_LIMIT]


def test_void_elements_are_not_counted_as_deep() -> None:
    notes: list[str] = []

    to_markdown("<p>" + "a<br><img src='x'><hr>" * 100 + "</p>", notes.append)

    assert notes == []


def test_secrets_that_markup_hid_are_found_after_conversion() -> None:
    assert "hunter2" not in text_of(render(description="<p>pass<b></b>word=hunter2</p>"))


def test_control_characters_from_entities_are_cleaned() -> None:
    assert "\x1b" not in text_of(render(description="<p>a&#27;[31mb&#8232;# c</p>"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a\n## b\n### c", "### a\n#### b\n### c"),
        ("a\n===\nb\n--\nc\n----", "a\n\\===\nb\n\\--\nc\n***"),
        ("> - # a\n> ```", "> - ### a\n> \\```"),
        ("<!-- a\n<PRE>\n<prefix>", "\\<!-- a\n\\<PRE>\n<prefix>"),
        ("a\n  ~~~sh x\n  b\n    c\nd", "a\n\n```sh\nb\n  c\nd\n```"),
        ("```\na\n```\nb", "```\na\n```\n\nb"),
        ("```", "```\n\n```"),
        ("```x``` inline", "```x``` inline"),
    ],
)
def test_foreign_structure_is_contained(text: Any, expected: Any) -> None:
    assert contained(text) == expected


def test_pieces_join_to_the_text() -> None:
    text = "a\n```\nb\n```\n\nc\n~~~\nd"

    assert "".join(piece for _, piece in split_fences(text)) == text
    assert [piece for is_code, piece in split_fences(text) if is_code] == ["```\nb\n```\n", "~~~\nd"]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [("abc", 3, "abc"), ("abcd", 0, ""), ("abcd", -1, ""), ("\ud83d", 9, "\ufffd")],
)
def test_an_excerpt_within_its_limit(text: Any, limit: Any, expected: Any) -> None:
    assert excerpt(text, limit) == expected


def test_repeated_letters_are_no_picture() -> None:
    text = ("x" * 76 + "\n") * 40

    assert clean(text, lambda _: None) == text


def test_a_long_run_of_base64_is_replaced_and_noted() -> None:
    notes: list[str] = []

    assert clean("a " + "QUJDRA12" * 400 + " b", notes.append) == "a [base64 2400 bytes] b"
    assert notes == [NOTE_BASE64]


def test_a_very_long_text_is_not_searched_for_wrong_decoding() -> None:
    text = "Ã³" * 150_000

    assert clean(text, lambda _: None) == text


@pytest.mark.parametrize(
    "unit",
    ["<p>", "<", "{code}", "[a|", "*a ", "* ", "||a", "`", "```\n", "> ", "- ", "#", "=", "password=", "http://a:",
     "eyJ", "-----BEGIN PRIVATE KEY-----", "<!--", "<script>", "\x1b[", "[code]", "a" * 70 + "\n",
     "data:;base64,", "\u200d",
     "bearer ", "{{", "![", "authorization:", '"password": "', "h1. "],
)  # fmt: skip
def test_no_input_makes_rendering_slow(unit: Any) -> None:
    text = unit * (60_000 // len(unit))
    begun = time.process_time()

    render(description=text, title=text, error_message=text)

    assert time.process_time() - begun < 3
