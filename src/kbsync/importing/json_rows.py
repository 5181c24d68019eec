"""Records of a JSON export, one at a time: memory holds one record, whatever the file's size.

Read: a list, one object, pages (one after another, or in a list), and a list under a known name such as
`issues`; JSON Lines by the line. Imports importing alone.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO

import ijson
from ijson.common import ObjectBuilder

from kbsync.importing.decoding import MAX_LINE_CHARACTERS, decoded
from kbsync.importing.records import Rejected
from kbsync.importing.rows import (
    MAX_LEVELS,
    MAX_RECORD_CHARACTERS,
    NOT_DECODED,
    UNDECODED,
    OpenRows,
    Row,
    has_undecoded,
)

_PAGES = re.compile(r"(?:item(?:\.item)*)?")
_LONE = re.compile("[\ud800-\udfff]")
_STEPS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
_BROKEN = "from here on the file is no JSON, or it ends in the middle: the rest cannot be read"


class _EndedError(Exception):
    """The rest of a file is not read; the message is the reason."""


class _Source:
    """Text as UTF-8 bytes for the parser, which is stopped where one record never ends."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._since_record = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes; raise where a record is larger than any incident."""
        text = self._text.read(size)
        self._since_record += len(text)
        if self._since_record > MAX_RECORD_CHARACTERS:
            raise _EndedError(
                f"a record is longer than {MAX_RECORD_CHARACTERS} characters: the rest is not read"
            )
        return (text if text.isascii() else _LONE.sub(UNDECODED, text)).encode()

    def record_ends(self) -> None:
        self._since_record = 0


class _Building:
    """Puts the parser's events together to records."""

    def __init__(self, containers: Collection[str], beside: Collection[str]) -> None:
        self._containers = containers
        self._beside = beside
        self._kinds: dict[str, str] = {}
        self._builder: ObjectBuilder | None = None
        self._base = ""
        self._depth = 0
        self._wrapper: str | None = None
        self.count = 0

    def take(self, prefix: str, event: str, value: object) -> Sequence[Row | Rejected]:
        """Take the next event; return records that are whole.

        Raises:
            _EndedError: something is nested deeper than any record of an export.
        """
        if len(prefix) > MAX_LEVELS and prefix.count(".") > MAX_LEVELS:
            raise _EndedError(f"nested deeper than {MAX_LEVELS} levels: the rest is not read")
        if self._builder is None:
            return self._begun(prefix, event)
        if event in ("start_array", "start_map") and self._is_container(prefix):
            return self._unwrapped(prefix, event, self._builder.value)
        self._builder.event(event, value)
        self._depth += _STEPS.get(event, 0)
        if self._depth:
            return ()
        built, self._builder = self._builder.value, None
        return (self._record(built, self._kinds.get(self._base, "")),)

    def _unwrapped(self, prefix: str, event: str, begun: Mapping[str, object]) -> Sequence[Row | Rejected]:
        """Find out that what was begun is no record: lists of records stand in it, some perhaps behind us."""
        self._builder, self._wrapper = None, self._base
        parts = ((name, begun.get(name)) for name in self._beside)
        rows = [
            self._record(part, name) for name, parts in parts if isinstance(parts, list) for part in parts
        ]
        self._kinds[f"{prefix}.item" if event == "start_array" else prefix] = prefix.rpartition(".")[2]
        return [*rows, *self._begun(prefix, event)]

    def _begun(self, prefix: str, event: str) -> Sequence[Row | Rejected]:
        in_list = prefix in self._kinds or bool(_PAGES.fullmatch(prefix))
        parent, _, name = prefix.rpartition(".")
        if event == "start_map" and in_list:
            self._builder, self._base, self._depth = ObjectBuilder(), prefix, 1
            self._builder.event(event, None)
        elif event in ("string", "number", "boolean", "null") and in_list:
            return (self._record(None, ""),)
        elif (
            event == "start_array" and parent == self._wrapper and name in (*self._containers, *self._beside)
        ):
            self._kinds[f"{prefix}.item"] = name
        return ()

    def _record(self, built: object, kind: str) -> Row | Rejected:
        self.count += 1
        if not isinstance(built, dict):
            return Rejected(self.count, "not an object")
        return Rejected(self.count, NOT_DECODED) if has_undecoded(built) else Row(self.count, built, kind)

    def _is_container(self, prefix: str) -> bool:
        parent, _, name = prefix.rpartition(".")
        return name in self._containers and parent == self._base and bool(_PAGES.fullmatch(parent))


def read_json_rows(
    stream: BinaryIO, containers: Collection[str], encoding: str, beside: Collection[str] = ()
) -> OpenRows:
    """Yield every record; `containers` are the names of members that hold lists of records.

    Lists named in `beside` count only where they stand beside one of those: inside a record they are its own.
    """
    building = _Building(containers, beside)
    with decoded(stream, newline="", encoding=encoding) as text:
        source = _Source(text)
        try:
            for prefix, event, value in ijson.parse(source, multiple_values=True):
                for row in building.take(prefix, event, value):
                    source.record_ends()
                    yield row
        except ijson.JSONError:
            yield Rejected(building.count + 1, _BROKEN)
        except _EndedError as ended:
            yield Rejected(building.count + 1, str(ended))


def read_json_line_rows(stream: BinaryIO, encoding: str) -> OpenRows:
    """Yield the record of each line that is not blank; a broken line costs no other."""
    with decoded(stream, newline="\n", encoding=encoding) as text:
        for number, line in enumerate(_lines(text), start=1):
            if len(line) > MAX_LINE_CHARACTERS:
                yield Rejected(number, f"the line is longer than {MAX_LINE_CHARACTERS} characters")
            elif line.strip():
                yield _row_of(number, _LONE.sub(UNDECODED, line))


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARACTERS + 1):
        yield line
        rest = line if len(line) > MAX_LINE_CHARACTERS else "\n"
        while rest and not rest.endswith("\n"):
            rest = text.readline(MAX_LINE_CHARACTERS)


def _row_of(number: int, line: str) -> Row | Rejected:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return Rejected(number, "not JSON")
    if not isinstance(value, Mapping):
        return Rejected(number, "not an object")
    return Rejected(number, NOT_DECODED) if has_undecoded(value) else Row(number, value)
