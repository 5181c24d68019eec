"""Jira's document format, node by node."""

from typing import Any

import pytest
from export_files import FOLDER, read_export

from kbsync.importing.adf import adf_to_markdown, is_adf


def text(content: str, *marks: str, **attributes: str) -> dict[str, Any]:
    listed = [{"type": mark, "attrs": attributes} if attributes else {"type": mark} for mark in marks]
    return {"type": "text", "text": content, **({"marks": listed} if listed else {})}


def node(kind: str, *content: dict[str, Any], **attributes: object) -> dict[str, Any]:
    return {"type": kind, "content": list(content), "attrs": attributes}


def paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return node("paragraph", *content)


def document(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content)}


A, B = paragraph(text("a")), paragraph(text("b"))

NODES = [
    (paragraph(text("a "), text("b", "strong"), text("c", "em")), "a **b***c*"),
    (paragraph(text(" b ", "strong"), text("c")), " **b** c".strip("\n")),
    (paragraph(text("x`y", "code")), "`` x`y ``"),
    (paragraph(text("x", "code", "strong")), "`x`"),
    (paragraph(text("gone", "strike")), "~~gone~~"),
    (paragraph(text("u", "underline", "textColor", "subsup", "backgroundColor", "annotation")), "u"),
    (paragraph(text("here", "link", href="https://example.com/")), "[here](https://example.com/)"),
    (paragraph(text("https://example.com/", "link", href="https://example.com/")), "https://example.com/"),
    (paragraph(text("bad", "link", href="javascript:alert(1)")), "bad"),
    (paragraph(text("  ", "strong")), "  "),
    (paragraph(text("a"), node("hardBreak"), text("b")), "a\nb"),
    (paragraph(node("mention", id="1", text="@Mia Krystof")), "[person]"),
    (paragraph(node("emoji", shortName=":fire:", text="🔥")), "🔥"),
    (paragraph(node("emoji", shortName=":own:")), ":own:"),
    (paragraph(node("date", timestamp="1773273600000")), "2026-03-12"),
    (paragraph(node("date", timestamp="soon")), ""),
    (paragraph(node("status", text="DONE", color="green")), "DONE"),
    (paragraph(node("placeholder", text="type here"), text("a")), "a"),
    (paragraph(node("inlineCard", url="https://example.com/")), "https://example.com/"),
    (paragraph(node("inlineCard", url="javascript:alert(1)")), ""),
    (paragraph(node("inlineExtension", text="macro")), "macro"),
    (paragraph(node("mediaInline", alt="a.png")), "[a.png]"),
    (node("heading", text("a"), level=3), "### a"),
    (node("heading", text("a")), "# a"),
    (node("codeBlock", text("a\nb"), language="sh"), "```sh\na\nb\n```"),
    (node("codeBlock", text("```")), "````\n```\n````"),
    (node("blockquote", A, B), "> a\n>\n> b"),
    (node("panel", A, panelType="info"), "> a"),
    (node("rule"), "***"),
    (node("bulletList", node("listItem", A, node("bulletList", node("listItem", B)))), "- a\n\n  - b"),
    (node("orderedList", node("listItem", A), node("listItem", B), order=9), "9. a\n10. b"),
    (node("bulletList", node("listItem", node("codeBlock", text("x")))), "-\n  ```\n  x\n  ```"),
    (node("orderedList", node("listItem", A)), "1. a"),
    (
        node(
            "taskList",
            node("taskItem", text("a"), state="DONE"),
            node("taskList", node("taskItem", text("b"), state="TODO")),
        ),
        "- [x] a\n  - [ ] b",
    ),
    (node("decisionList", node("decisionItem", text("a"), state="DECIDED")), "- a"),
    (
        node(
            "table",
            node("tableRow", node("tableHeader", A), node("tableHeader", B)),
            node("tableRow", node("tableCell", paragraph(text("x|y")), B)),
        ),
        "| a | b |\n| --- | --- |\n| x\\|y b |  |",
    ),
    (node("table", node("tableRow", node("tableCell", A))), "|  |\n| --- |\n| a |"),
    (node("table"), ""),
    (node("mediaSingle", node("media", alt="a.png"), node("caption", text("c"))), "[a.png]\n\nc"),
    (node("mediaGroup", node("media", id="1")), "[attachment]"),
    (node("blockCard", url="https://example.com/"), "https://example.com/"),
    (node("embedCard", url="https://example.com/"), "https://example.com/"),
    (node("expand", A, title="Log"), "**Log**\n\na"),
    (node("nestedExpand", A), "a"),
    (node("layoutSection", node("layoutColumn", A), node("layoutColumn", B)), "a\n\nb"),
    (node("extension", text="macro"), "macro"),
    (node("bodiedExtension", A), "a"),
    (node("multiBodiedExtension", node("extensionFrame", A)), "a"),
    (node("bodiedSyncBlock", A), "a"),
    (node("kindOfTomorrow", A), "a"),
    (node("kindOfTomorrow", text("a"), text("b")), "ab"),
]
IDS = [f"{number}-{given['type']}" for number, (given, _) in enumerate(NODES)]


@pytest.mark.parametrize(("given", "expected"), NODES, ids=IDS)
def test_node_becomes_markdown(given: dict[str, Any], expected: str) -> None:
    assert adf_to_markdown(document(given)) == expected


def test_nesting_without_end_keeps_its_text() -> None:
    deep = paragraph(text("at the bottom"))
    for _ in range(5000):
        deep = node("blockquote", deep)

    assert adf_to_markdown(document(deep)).endswith("at the bottom")


@pytest.mark.parametrize("broken", [{"type": "doc"}, {"type": "doc", "content": "x"}, "doc", None])
def test_other_values_are_no_document(broken: object) -> None:
    assert not is_adf(broken)


def test_members_of_wrong_types_are_left_out() -> None:
    assert (
        adf_to_markdown({"type": "doc", "content": ["x", 7, {"type": "paragraph", "content": {}}, A]}) == "a"
    )
    assert adf_to_markdown(document(paragraph({"type": "text", "text": "a", "marks": "x"}))) == "a"


def test_export_with_every_kind_of_node_loses_no_word() -> None:
    found = read_export(FOLDER / "jira/search_adf.json").accepted["jira:OPS-200"]
    said = str(found["description"])

    for words in (
        "## What happens", "**timeout** *then*", "`retry()`", "~~once~~ twice\n", "bad 🔥 2026-03-12 SEV1",
        "[the runbook](https://example.com/runbook)", "[graph.png]inline macro",
        "  3. third\n  4. fourth",
        "-\n  ````sh\n  curl -v\n  ```\n  ````", "```python\ncharge(order)\ncharge(order)\n```",
        "> I paid twice.",
        "> Do not retry.", "| host | errors |\n| --- | --- |\n| a\\|b c | 7 |",
        "[screenshot.png]\n\nThe receipt",
        "- [x] refund\n- [ ] tell customers\n  - [ ] by mail", "- keys for all writes",
        "**Log**\n\nPOST /charge",
        "left\n\n**right**\n\ninside", "https://example.com/block", "https://example.com/embed", "macro body",
        "still here",
    ):  # fmt: skip
        assert words in said, words
    assert "javascript" not in said
    assert found["resolution"]["description"] == "The retry has no key.\n\n[person] sends the key now."  # type: ignore[index]
