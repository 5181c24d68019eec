"""What of a document is shown: its title, a section, the passage that a query meant. Pure text.

Invariant: a heading inside a code block is code, so a section ends only at a heading of ours.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

EXCERPT_CHARACTERS = 280
SECTION_CHARACTERS = 4_000

_WORD = re.compile(r"\w+")
_FENCE = re.compile(r"`{3,}")
_SECTION = "## "


def fold(text: str) -> str:
    """Return the text without letter case and accents, as queries are compared."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return _WORD.findall(fold(text))


def title_of(text: str) -> str:
    """Return the first-level heading on the first line, or an empty text."""
    first = text.split("\n", 1)[0]
    return first[2:].strip() if first.startswith("# ") else ""


def sections_of(text: str, headings: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the text of each named section, cut at 4,000 characters; empty where there is none."""
    found = dict(_sections(text))
    return {
        name: cut(next((found[each] for each in named if found.get(each)), ""), SECTION_CHARACTERS)
        for name, named in headings.items()
    }


def cut(text: str, most_characters: int) -> str:
    """Return the text, or its beginning with an ellipsis."""
    return text if len(text) <= most_characters else text[: most_characters - 1].rstrip() + "…"


def excerpt_of(text: str, query: str) -> str:
    """Return the passage that holds most of the query's words; the first one where none holds any."""
    wanted = set(words_of(query))
    passages = [passage for passage in _passages(text) if passage]
    if not passages:
        return ""
    best = max(passages, key=lambda passage: len(wanted.intersection(words_of(passage))))
    return _around(best, wanted)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    heading, lines = "", list[str]()
    for line, is_code in _lines(text):
        if line.startswith(_SECTION) and not is_code:
            yield heading, "\n".join(lines).strip()
            heading, lines = line.removeprefix(_SECTION).strip(), []
        else:
            lines.append(line)
    yield heading, "\n".join(lines).strip()


def _passages(text: str) -> Iterator[str]:
    """Yield paragraphs on one line each, headings and the marks of code blocks left out."""
    lines: list[str] = []
    for line, is_code in _lines(text):
        if (line.startswith("#") and not is_code) or _FENCE.match(line) or not line.strip():
            yield " ".join(lines)
            lines = []
        else:
            lines.append(line.strip())
    yield " ".join(lines)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line with whether it belongs to a code block."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            yield line, True
            if mark and len(mark[0]) >= len(fence) and not line[mark.end() :].strip():
                fence = ""
        else:
            fence = mark[0] if mark else ""
            yield line, bool(fence)


def _around(passage: str, wanted: set[str]) -> str:
    """Return the part of a long passage around the first word that was asked for."""
    if len(passage) <= EXCERPT_CHARACTERS:
        return passage
    places = (match.start() for match in _WORD.finditer(passage) if fold(match[0]) in wanted)
    start = max(next(places, 0) - EXCERPT_CHARACTERS // 4, 0)
    start = passage.find(" ", start) + 1 if start else 0
    lead = "…" if start else ""
    return lead + cut(passage[start:], EXCERPT_CHARACTERS - len(lead))
