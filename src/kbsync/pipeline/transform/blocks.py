"""Foreign Markdown that cannot touch the structure of the document around it: pure, line by line, linear.

Invariant (CommonMark 0.31): a text that went through `contained` opens no first or second level heading, and
no fence or HTML block that outlives it, wherever it stands between blank lines, also in a list item.
"""

import re
from collections.abc import Iterator, Mapping

_CONTAINER = r"(?:[ \t]|>|[-+*](?=[ \t])|\d{1,9}[.)](?=[ \t]))*"
_HEADING = re.compile(rf"({_CONTAINER})(#{{1,2}}(?=[ \t]|$))")
_UNDERLINE = re.compile(rf"({_CONTAINER})(=+|-+)[ \t]*$")
_LASTING_HTML = re.compile(
    rf"({_CONTAINER})(<(?=[!?]|(?:script|pre|style|textarea)(?![\w-])))", re.IGNORECASE
)
_INNER_FENCE = re.compile(rf"({_CONTAINER})(`{{3,}}(?=[^`]*$)|~{{3,}})")
_MARK = re.compile(rf"{_CONTAINER}[#=<`~-]")
"""What each of the four begins with."""
_FENCE = re.compile(r"([ \t]*)(`{3,}(?=[^`]*$)|~{3,})[ \t]*([\w+#.-]{0,30})")
_RUNS = re.compile("`{3,}")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


def fence(text: str, language: str = "") -> str:
    """Return the text as one code block that nothing inside can close (O-45)."""
    runs = _RUNS.findall(text) if "```" in text else ()
    marks = "`" * max([3, *(len(run) + 1 for run in runs)])
    return f"{marks}{language}\n{text}\n{marks}"


def closed_spans(
    text: str, opening: re.Pattern[str], closings: Mapping[str, re.Pattern[str]]
) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Yield each opening with the closing after it, by the opening's first group; an unclosed one is skipped.

    Linear: that a closing does not come any more is found once, not once for each opening.
    """
    missing: set[str] = set()
    position = 0
    while start := opening.search(text, position):
        name = start[1].lower()
        end = None if name in missing else closings[name].search(text, start.end())
        if end is None:
            missing.add(name)
            position = start.end()
        else:
            yield start, end
            position = end.end()


def split_fences(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the text in pieces, each with whether it is a fenced code block; joined they are the text."""
    lines: list[str] = []
    closing: re.Pattern[str] | None = None
    if not _may_hold_fence(text):
        yield False, text
        return
    for line in _LINES.findall(text):
        opening = _FENCE.match(line.rstrip("\n")) if closing is None else None
        if opening:
            yield False, "".join(lines)
            lines, closing = [line], _closing(opening[2])
        else:
            lines.append(line)
            if closing and closing.fullmatch(line.rstrip("\n")):
                yield True, "".join(lines)
                lines, closing = [], None
    yield closing is not None, "".join(lines)


def _may_hold_fence(text: str) -> bool:
    return "```" in text or "~~~" in text


def contained(text: str) -> str:
    """Return the text with its headings demoted, its fences closed and its lasting HTML blocks escaped."""
    pieces = (_own_fence(piece) if is_code else _harmless(piece) for is_code, piece in split_fences(text))
    return ("".join(pieces) if _may_hold_fence(text) else _harmless(text)).strip("\n")


def _closing(opening: str) -> re.Pattern[str]:
    return re.compile(rf"[ \t]*{re.escape(opening[0])}{{{len(opening)},}}[ \t]*")


def _own_fence(piece: str) -> str:
    first, *lines = piece.rstrip("\n").split("\n")
    opening = _FENCE.match(first)
    indent, marks, language = opening.groups() if opening else ("", "", "")
    if lines and _closing(marks).fullmatch(lines[-1]):
        lines.pop()
    depth = len(indent)
    code = "\n".join(line[len(line[:depth]) - len(line[:depth].lstrip(" \t")) :] for line in lines)
    return f"\n{fence(code, language)}\n\n"


def _harmless(piece: str) -> str:
    return "\n".join(map(_harmless_line, piece.split("\n")))


def _harmless_line(line: str) -> str:
    if line[:1].isalpha() or not _MARK.match(line):  # no mark and no container begins with a letter
        return line
    if match := _UNDERLINE.match(line):
        return f"{match[1]}***" if match[2].startswith("---") else f"{match[1]}\\{match[2]}"
    if match := _HEADING.match(line):
        return f"{match[1]}##{line[match.end(1) :]}"
    if match := _LASTING_HTML.match(line) or _INNER_FENCE.match(line):
        return f"{match[1]}\\{line[match.end(1) :]}"
    return line
