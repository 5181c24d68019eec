"""What exports write around and into texts about people: taken out. Pure; imports nothing but ADF's mark.

A journal keeps its times and loses its authors; a mention becomes `[person]`.
"""

import re
from collections.abc import Iterable

from kbsync.importing.adf import PERSON

_TIME = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp]\.?[Mm]\.?)?"
_ENTRY = re.compile(
    rf"^({_TIME})[ \t]+-[ \t]+[^()\n]{{0,120}}(?:\n[^()\n]{{1,120}})?\([^()\n]{{1,60}}\)[ \t]*$", re.MULTILINE
)
_COMMENT = re.compile(r"\s*[^;\n]{4,40};[^;\n]{0,120};")
_WIKI_MENTION = re.compile(r"\[~[^\[\]\n]{1,200}\]")
_MOST_NAMES = 200
_SHORTEST_NAME = 3


def journal_text(text: str) -> str:
    """Return a ServiceNow journal oldest first, each entry under its time and without its author.

    Source: ServiceNow exports a journal field as `time - author (label)` lines, each before its text.
    """
    starts = list(_ENTRY.finditer(text))
    if not starts:
        return text
    ends = [*(start.start() for start in starts[1:]), len(text)]
    entries = [
        f"{start[1]}\n\n{text[start.end() : end].strip()}" for start, end in zip(starts, ends, strict=True)
    ]
    before = text[: starts[0].start()].strip()
    return "\n\n".join(filter(None, (before, *reversed(entries))))


def comment_text(text: str) -> str:
    """Return the text of a comment in Jira's CSV, which stands behind `time;author;`."""
    match = _COMMENT.match(text)
    return text[match.end() :] if match and any(map(str.isdigit, match[0].split(";")[0])) else text


def without_mentions(text: str) -> str:
    """Return Jira's wiki markup without the people that it mentions."""
    return _WIKI_MENTION.sub(PERSON, text)


def without_people(text: str, names: Iterable[str]) -> str:
    """Return the text without these people: full names as words, log-in names behind an `@`."""
    known = sorted({name.strip() for name in names if len(name.strip()) >= _SHORTEST_NAME}, key=len)
    alternatives = [
        rf"(?<!\w){re.escape(name)}(?!\w)" if " " in name else rf"(?<![\w@])@{re.escape(name)}(?![\w-])"
        for name in reversed(known[-_MOST_NAMES:])
    ]
    return re.sub("|".join(alternatives), lambda _: PERSON, text) if alternatives else text
