"""HTML, Jira and ServiceNow markup to Markdown; plain text and Markdown pass unchanged (O-47). Pure, bounded.

Only balanced HTML blocks are converted: text between them, and anything in a code fence, is left as it is.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping

from kbsync.pipeline.transform.blocks import closed_spans, split_fences
from kbsync.pipeline.transform.jira import has_jira_markup, jira_to_markdown

_BLOCK_TAGS = (
    "p|div|ul|ol|dl|table|h[1-6]|blockquote|pre|html|body|section|article|script|style|span|font|center"
    "|header|footer|b|strong|em|i|u"
)
_TAG = re.compile(rf"<(/?)({_BLOCK_TAGS})(\s[^<>]{{0,2000}})?>", re.IGNORECASE)
_SURE_TAG = re.compile(
    r"</(?:p|div|ul|ol|li|table|tr|td|h[1-6]|blockquote|pre|html|body|section|article|span|font)>|<br\s*/?>",
    re.IGNORECASE,
)
_LINE_BREAK = re.compile(r"<br\s{0,4}/?>", re.IGNORECASE)
_COMMENT = re.compile("<!(--)")
_COMMENT_ENDS = {"--": re.compile("-->")}
_PROLOG = re.compile(r"<\?xml[^<>]{0,200}>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]{0,2000}>")
_UNSEEN = re.compile(r"<(script|style)\b[^<>]{0,2000}>", re.IGNORECASE)
_UNSEEN_ENDS = {name: re.compile(rf"</{name}[^<>]{{0,100}}>", re.IGNORECASE) for name in ("script", "style")}
_SERVICENOW = re.compile(r"\[(code)\]", re.IGNORECASE)
_SERVICENOW_ENDS = {"code": re.compile(r"\[/code\]", re.IGNORECASE)}
_MARK = re.compile(r"\[REDACTED:([a-z0-9-]{1,30})\]")
_SHIELDED = re.compile("\ue000([a-z0-9-]{1,30})\ue001")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_MAX_HTML_CHARACTERS = 200_000
_MAX_TAGS = 10_000
"""In one text, all its blocks together: conversion takes about 0.1 ms a tag (measured)."""

NOTE_MARKUP_LIMIT = "markup too large, too deep or too broken to convert: its tags were removed"


def to_markdown(text: str, note: Callable[[str], None]) -> str:
    """Return the text as Markdown; placeholders of redaction come through as they are."""
    convert = _Converting(note).markdown_of
    if "[" in text:
        text = _MARK.sub("\ue000\\1\ue001", text)
        text = _replaced(text, _SERVICENOW, _SERVICENOW_ENDS, lambda inside: f"\n\n{convert(inside)}\n\n")
    if has_jira_markup(text):
        text = jira_to_markdown(text)
    if "<" in text and (_SURE_TAG.search(text) or "<!--" in text):
        text = "".join(
            piece if is_code or "<" not in piece else _convert_blocks(piece, convert)
            for is_code, piece in split_fences(text)
        )
    if "\ue000" in text:
        text = _SHIELDED.sub(r"[REDACTED:\1]", text)
    return text.strip("\n")


def _replaced(
    text: str,
    opening: re.Pattern[str],
    closings: Mapping[str, re.Pattern[str]],
    replacement: Callable[[str], str],
) -> str:
    """Return the text with each pair of marks and what is between them replaced."""
    pieces, done = [], 0
    for start, end in closed_spans(text, opening, closings):
        pieces += [text[done : start.start()], replacement(text[start.end() : end.start()])]
        done = end.end()
    return "".join([*pieces, text[done:]])


def _convert_blocks(text: str, convert: Callable[[str], str]) -> str:
    text = _replaced(text, _COMMENT, _COMMENT_ENDS, lambda _: "")
    pieces, done = [], 0
    for start, end in _balanced_blocks(text):
        pieces += [_LINE_BREAK.sub("\n", text[done:start]), convert(text[start:end])]
        done = end
    return _BLANK_LINES.sub("\n\n", "".join([*pieces, _LINE_BREAK.sub("\n", text[done:])]))


def _balanced_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of outermost elements that are closed; an unclosed one is no HTML to us."""
    closers = {tag[2].lower() for tag in _TAG.finditer(text) if tag[1]}
    name, start, depth = "", 0, 0
    for tag in _TAG.finditer(text):
        this = tag[2].lower()
        if not depth and not tag[1] and this in closers:
            name, start, depth = this, tag.start(), 1
        elif depth and this == name:
            depth += -1 if tag[1] else 1
            if not depth:
                yield start, tag.end()


class _Converting:
    """Converts the HTML of one text, within the limits that hold for all its pieces together."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._characters_left = _MAX_HTML_CHARACTERS
        self._tags_left = _MAX_TAGS

    def markdown_of(self, markup: str) -> str:
        """Return Markdown; beyond the limits, or where the library gives up, the text without its tags."""
        markup = _replaced(markup, _UNSEEN, _UNSEEN_ENDS, lambda _: "")
        self._characters_left -= len(markup)
        self._tags_left -= markup.count("<")
        inline = not _SURE_TAG.search(markup)
        converted = self._converted(markup)
        if converted is None:
            self._note(NOTE_MARKUP_LIMIT)
            return html.unescape(_ANY_TAG.sub(" ", markup))
        return converted.strip() if inline else f"\n\n{converted.strip()}\n\n"

    def _converted(self, markup: str) -> str | None:
        if "<" not in markup:
            return html.unescape(markup)
        if min(self._characters_left, self._tags_left) < 0:
            return None
        # A fifth of a start-up: commands and runs that meet no HTML do without.
        from kbsync.pipeline.transform.html_markdown import html_to_markdown  # noqa: PLC0415

        return html_to_markdown(_PROLOG.sub("", markup))
