"""JSON Lines, read one line at a time: memory holds one line, whatever the file's size."""

import json
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from kbsync.importing.records import MAX_LINE_BYTES, Line, Rejected, check, parse_number
from kbsync.importing.typed import unwrap

_BOM = b"\xef\xbb\xbf"


def read_json_lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield every line that is not blank, accepted or rejected, with its number counted from 1."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_line(stream)
            yield Rejected(number, f"the line is longer than {MAX_LINE_BYTES} bytes")
            continue
        content = raw.removeprefix(_BOM) if number == 1 else raw
        if content.strip():
            yield _read_line(number, content)


def _skip_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        continue


def _read_line(number: int, content: bytes) -> Line:
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_float=parse_number,
            parse_int=parse_number,
            parse_constant=_refuse_constant,
        )
        return check(number, unwrap(value))
    except UnicodeDecodeError:
        return Rejected(number, "not UTF-8")
    except json.JSONDecodeError as error:
        return Rejected(number, f"not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Rejected(number, "nested too deeply")
    except ValueError as error:
        return Rejected(number, str(error))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
