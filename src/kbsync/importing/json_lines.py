"""JSON Lines, read one line at a time: memory holds one line, whatever the file's size.

Imports importing alone. Invariant: every line that is not blank is yielded, accepted or rejected.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO, NoReturn, TextIO

from kbsync.importing.decoding import MAX_LINE_CHARACTERS, decoded, is_undecoded
from kbsync.importing.records import Line, Rejected, check, parse_number
from kbsync.importing.typed import unwrap


def read_json_lines(stream: BinaryIO, *, after_line: int = 0) -> Iterator[Line]:
    """Yield every line behind `after_line` that is not blank, accepted or rejected, numbered from 1."""
    with decoded(stream, newline="\n") as text:
        number = 0
        while line := text.readline(MAX_LINE_CHARACTERS + 1):
            number += 1
            if number <= after_line:
                if not line.endswith("\n"):
                    _skip_line(text)
                continue
            if len(line) > MAX_LINE_CHARACTERS and not line.endswith("\n"):
                _skip_line(text)
                yield Rejected(number, f"the line is longer than {MAX_LINE_CHARACTERS} characters")
            elif line.strip():
                yield _read_line(number, line)


def _skip_line(text: TextIO) -> None:
    while (rest := text.readline(MAX_LINE_CHARACTERS)) and not rest.endswith("\n"):
        continue


def _read_line(number: int, line: str) -> Line:
    if is_undecoded(line):
        return Rejected(number, "not UTF-8")
    try:
        return check(number, unwrap(_DECODER.decode(line)))
    except json.JSONDecodeError as error:
        return Rejected(number, f"not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Rejected(number, "nested too deeply")
    except ValueError as error:
        return Rejected(number, str(error))


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name that is given twice: which of the two counts would be a guess."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object names a member twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


_DECODER = json.JSONDecoder(
    parse_float=parse_number,
    parse_int=parse_number,
    parse_constant=_refuse_constant,
    object_pairs_hook=_members,
)
