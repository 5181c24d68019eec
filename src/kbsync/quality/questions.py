"""Questions whose right answers are known: a file of the user's own, one JSON object a line.

Imports errors and the decoding of files. Invariant: a file is read whole or refused; no line of it is dropped
in silence, and no message quotes one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from kbsync.errors import UsageError
from kbsync.importing.decoding import decoded, is_undecoded

MOST_QUESTIONS = 10_000
MOST_EXCLUDED = 50
"""A knowledge base returns a hundred hits at most, and fifty of them are looked at."""
_MOST_LINE_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: any of `relevant` answers it; `excluded` incidents are passed over in the answer."""

    query: str
    relevant: frozenset[str]
    set_name: str
    language: str = ""
    excluded: frozenset[str] = frozenset()


class _Line(BaseModel):
    query: str = Field(pattern=r"\w")
    relevant_ids: list[str] = Field(min_length=1)
    exclude_ids: list[str] = Field(default=[], max_length=MOST_EXCLUDED)
    set: str = ""
    language: str = ""


def read_questions(path: Path) -> list[Asked]:
    """Return the questions of a file; a line that names no set belongs to the set named as the file.

    Raises:
        UsageError: the file cannot be read, a line of it is no question, or there are none or too many.
    """
    questions = [
        Asked(
            line.query,
            frozenset(line.relevant_ids),
            line.set or path.stem,
            line.language,
            frozenset(line.exclude_ids),
        )
        for line in _lines(path)
    ]
    if not questions:
        raise UsageError(f"{path} holds no question", hint=_HINT)
    return questions


_HINT = 'one JSON object a line: {"query": "...", "relevant_ids": ["INC-1"], "set": "mine", "language": "es"}'


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open("rb") as stream, decoded(stream, newline="\n") as text:
            number = 0
            while line := text.readline(_MOST_LINE_CHARACTERS + 1):
                number += 1
                if number > MOST_QUESTIONS:
                    raise UsageError(f"{path} holds more than {MOST_QUESTIONS} lines", hint="ask fewer")
                if line.strip():
                    yield _question(line, path, number)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__})", hint="name a file") from error


def _question(line: str, path: Path, number: int) -> _Line:
    if is_undecoded(line):
        raise UsageError(f"line {number} of {path} is not UTF-8", hint=_HINT)
    try:
        return _Line.model_validate_json(line)
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or "the line"
        raise UsageError(f"line {number} of {path}: {where}: {detail['msg']}", hint=_HINT) from error
