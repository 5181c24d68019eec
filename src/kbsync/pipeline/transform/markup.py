"""HTML, Jira and ServiceNow markup to Markdown; plain text and Markdown pass unchanged (O-47). Pure, bounded.

Only balanced HTML blocks are converted: text between them, and anything in a code fence, is left as it is.
"""

import html
import re
from collections.abc import Callable, Iterator

from markdownify import MarkdownConverter

from kbsync.pipeline.transform.blocks import split_fences
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
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ANY_TAG = re.compile(r"<[^<>]{0,2000}>")
_UNSEEN = re.compile(r"<(script|style)\b[^<>]{0,2000}>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_SERVICENOW = re.compile(r"\[code\](.*?)\[/code\]", re.DOTALL | re.IGNORECASE)
_MARK = re.compile(r"\[REDACTED:([a-z0-9-]{1,30})\]")
_SHIELDED = re.compile("\ue000([a-z0-9-]{1,30})\ue001")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_MAX_HTML_CHARACTERS = 200_000
_MAX_OPEN_TAGS = 60

NOTE_MARKUP_LIMIT = "markup too large or too deep to convert: its tags were removed"


def to_markdown(text: str, note: Callable[[str], None]) -> str:
    """Return the text as Markdown; placeholders of redaction come through as they are."""
    text = _MARK.sub("\ue000\\1\ue001", text)
    if "[/code]" in text.lower():
        text = _SERVICENOW.sub(lambda match: f"\n\n{_convert_html(match[1], note)}\n\n", text)
    if has_jira_markup(text):
        text = jira_to_markdown(text)
    if _SURE_TAG.search(text) or "<!--" in text:
        text = "".join(
            piece if is_code else _convert_blocks(piece, note) for is_code, piece in split_fences(text)
        )
    return _SHIELDED.sub(r"[REDACTED:\1]", text).strip("\n")


def _convert_blocks(text: str, note: Callable[[str], None]) -> str:
    text = _COMMENT.sub("", text) if "-->" in text else text
    pieces, done = [], 0
    for start, end in _balanced_blocks(text):
        pieces += [_LINE_BREAK.sub("\n", text[done:start]), _convert_html(text[start:end], note)]
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


def _convert_html(text: str, note: Callable[[str], None]) -> str:
    text = _UNSEEN.sub("", text) if "</" in text else text
    if len(text) > _MAX_HTML_CHARACTERS or _is_too_deep(text):
        note(NOTE_MARKUP_LIMIT)
        return html.unescape(_ANY_TAG.sub(" ", text))
    inline = not _SURE_TAG.search(text)
    converted: str = _CONVERTER.convert(text)
    return converted.strip() if inline else f"\n\n{converted.strip()}\n\n"


def _is_too_deep(text: str) -> bool:
    depth = 0
    for tag in re.finditer(r"<(/?)[a-zA-Z][^<>]{0,2000}>", text):
        depth += -1 if tag[1] or tag[0].endswith("/>") or tag[0][1:3].lower() in ("br", "hr", "im") else 1
        if depth > _MAX_OPEN_TAGS:
            return True
    return False


_CONVERTER = MarkdownConverter(
    heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False, escape_misc=False
)
