"""A pasted stack trace or log to the lines that tell: pure text, imports nothing of ours.

Knowledge bases read the beginning of a query only (Bedrock 1,000 characters, the embedded one 4,000), and a
pasted log begins with what was well. Invariant: a query without frames and log lines comes back as it was.
"""

import re
from collections.abc import Iterable, Sequence

MOST_READ_CHARACTERS = 400_000
MOST_TELLING_CHARACTERS = 2_000
"""Enough for a description, the errors and their frames; the embedding model reads about as much."""
_MOST_LINE_CHARACTERS = 400
_MOST_TYPED_CHARACTERS = 1_000
_LEAST_HEADLINE_WORDS = 3
_MOST_HEADLINE_CHARACTERS = 200
_FRAMES_KEPT = 4
_FRAME_REACH = 2
"""Python prints the error below its last frame and the code of that frame."""
_LEAST_NOISY_LINES = 3

_FRAME = re.compile(
    r"\s*(?:at (?:async |new )?[\w.$<>/@`-]+ ?\("  # Java, Scala, JavaScript, .NET
    r"|at \S+:\d+"
    r"|File \"[^\"]+\", line \d+"  # Python
    r"|\.\.\. \d+ (?:more|common frames omitted)"
    r"|[\w./-]+\.(?:go|rs|c|cc|cpp|rb|php):\d+"  # Go, Rust, C, Ruby, PHP
    r"|#\d+ )"
)
_STAMP = re.compile(
    r"\s*[\[(<]?(?:\d{4}-\d\d-\d\d|\d{1,2}/[A-Za-z]{3}/\d{2,4}|\d{2,4}/\d\d/\d\d|[A-Z][a-z]{2} [ \d]\d)?"
    r"[T :,]?\s*\d\d:\d\d:\d\d[\d.,:]*\s*(?:Z|UTC|[+-]\d\d:?\d\d)?[\])>]?[ :,-]*"
)
_LEVEL = re.compile(r"\b(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b")
_QUIET = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE"})
_LOUD = frozenset({"ERROR", "SEVERE", "CRITICAL", "FATAL", "PANIC"})
_ERROR = re.compile(
    r"Caused by:|Traceback|panic:|\b[\w.$]*(?:Exception|Error|Throwable|Failure)\b"
    r"|\b(?:error|fatal|failed|failure|denied|refused|abort(?:ed)?|time[d -]*out|cannot|could not"
    r"|no se pudo|rechazad[oa]|denegad[oa]|agotado|fall[oó])\b|\b[A-Z]{2,}-\d{3,}\b",
    re.IGNORECASE,
)
_CAUSE = re.compile(r"\s*(?:Caused by:|panic:)")
_WORD = re.compile(r"^(?!\s*\{\w+(?::\w+)?\}\s*$).*\w{2}")
"""A line that says something: not punctuation or a mark of code alone."""
_DIGITS = re.compile(r"\d+")


def telling_part(text: str) -> str:
    """Return what of a pasted trace or log says most: its description, errors, causes, first frames.

    The root causes come before the rest of the errors, so that a knowledge base that cuts queries keeps them.
    Times and lines that differ only in numbers are left out. Work is linear in the text's size; of more
    than 400,000 characters the first and the last half of so many are read.
    """
    lines = [line[:_MOST_LINE_CHARACTERS] for line in _ends(text).splitlines()]
    frames = [bool(_FRAME.match(line)) for line in lines] + [False] * (_FRAMES_KEPT + 1)
    noise = [frames[number] or frames[number + 1] or _is_log(line) for number, line in enumerate(lines)]
    if sum(noise) < _LEAST_NOISY_LINES:
        return text
    begin = noise.index(True)
    typed = _within(filter(_WORD.search, lines[:begin]), _MOST_TYPED_CHARACTERS)
    errors = [
        number for number in range(begin, len(lines)) if not frames[number] and _is_error(lines[number])
    ]
    ranked = sorted(errors, key=lambda number: _rank(lines, frames, number))
    told = [line for number in ranked for line in _with_frames(lines, frames, number)]
    rest = (line for line, is_noise in zip(lines, noise, strict=True) if not is_noise and _WORD.search(line))
    return "\n".join(_within([*typed, *told, *rest], MOST_TELLING_CHARACTERS)) or text


def headline(text: str) -> str:
    """Return the first line of a text of several, where it reads like a title; else an empty text.

    People put what matters most there, and an embedding of the whole drowns it in what follows.
    """
    first, _, rest = text.strip().partition("\n")
    words = first.split()
    is_title = len(words) >= _LEAST_HEADLINE_WORDS and len(first) <= _MOST_HEADLINE_CHARACTERS
    return first.strip() if rest and is_title else ""


def _ends(text: str) -> str:
    half = MOST_READ_CHARACTERS // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n{text[-half:]}"


def _is_log(line: str) -> bool:
    return bool(_STAMP.match(line) or _LEVEL.match(line.lstrip(" [<(")))


def _is_error(line: str) -> bool:
    level = _LEVEL.search(line)
    return bool(_ERROR.search(line)) and not (level and level[0] in _QUIET)


def _rank(lines: Sequence[str], frames: Sequence[bool], number: int) -> tuple[int, int]:
    """Return what sorts root causes first, the last one before the others, then what was thrown or logged."""
    line = lines[number]
    if _CAUSE.match(line):
        return 0, -number
    if any(frames[max(number - _FRAME_REACH, 0) : number + 2]):
        return 1, number
    level = _LEVEL.search(line)
    return (2 if level and level[0] in _LOUD else 3), number


def _with_frames(lines: Sequence[str], frames: Sequence[bool], number: int) -> list[str]:
    """Return an error's line without its time, and the first frames below it."""
    told = [_STAMP.sub("", lines[number], count=1)]
    for below in range(number + 1, number + 1 + _FRAMES_KEPT):
        if not frames[below]:
            break
        told.append(lines[below])
    return told


def _within(lines: Iterable[str], most_characters: int) -> list[str]:
    """Return the first lines that fit, each kind once; numbers make no difference of kind."""
    kept: dict[str, str] = {}
    size = 0
    for line in lines:
        kind = _DIGITS.sub("0", line.strip())
        if kind in kept:
            continue
        size += len(line) + 1
        if size > most_characters and kept:
            break
        kept[kind] = line.strip()
    return list(kept.values())
