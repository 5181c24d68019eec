"""Records of a JSON export, one at a time: memory holds one record, whatever the file's size.

Read: a list, one object, pages (one after another, or in a list), and a list under a known name such as
`issues`; JSON Lines by the line. Imports importing alone.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO, TextIO

import ijson
from ijson.common import ObjectBuilder

from kbsync.importing.decoding import MAX_LINE_CHARACTERS, decoded
from kbsync.importing.records import Rejected
from kbsync.importing.rows import MAX_LEVELS, MAX_RECORD_CHARACTERS, NOT_DECODED, UNDECODED, OpenRows, Row
from kbsync.importing.rows import has_undecoded as _has_undecoded

_PAGES = re.compile(r"(?:item(?:\.item)*)?")
_LONE = re.compile("[\ud800-\udfff]")
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

    def __init__(self, containers: Collection[str]) -> None:
        self._containers = containers
        self._kinds: dict[str, str] = {}
        self._builder: ObjectBuilder | None = None
        self._base = ""
        self.count = 0

    def take(self, prefix: str, event: str, value: object) -> Row | Rejected | None:
        """Take the next event; return a record when it is whole.

        Raises:
            _EndedError: something is nested deeper than any record of an export.
        """
        if len(prefix) > MAX_LEVELS and prefix.count(".") > MAX_LEVELS:
            raise _EndedError(f"nested deeper than {MAX_LEVELS} levels: the rest is not read")
        if self._builder is None:
            return self._begun(prefix, event)
        if event in ("start_array", "start_map") and self._is_container(prefix):
            self._builder = None
            name = prefix.rpartition(".")[2]
            self._kinds[f"{prefix}.item" if event == "start_array" else prefix] = name
            return self._begun(prefix, event)
        self._builder.event(event, value)
        if event != "end_map" or prefix != self._base:
            return None
        built, self._builder = self._builder.value, None
        self.count += 1
        if _has_undecoded(built):
            return Rejected(self.count, NOT_DECODED)
        return Row(self.count, built, self._kinds.get(prefix, ""))

    def _begun(self, prefix: str, event: str) -> Rejected | None:
        in_list = prefix in self._kinds or bool(_PAGES.fullmatch(prefix))
        if event == "start_map" and in_list:
            self._builder, self._base = ObjectBuilder(), prefix
            self._builder.event(event, None)
        elif event in ("string", "number", "boolean", "null") and in_list:
            self.count += 1
            return Rejected(self.count, "not an object")
        elif event == "start_array" and prefix.rpartition(".")[2] in self._containers:
            self._kinds[f"{prefix}.item"] = prefix.rpartition(".")[2]
        return None

    def _is_container(self, prefix: str) -> bool:
        parent, _, name = prefix.rpartition(".")
        return parent == self._base and name in self._containers and bool(_PAGES.fullmatch(parent))


def read_json_rows(stream: BinaryIO, containers: Collection[str], encoding: str) -> OpenRows:
    """Yield every record; `containers` are the names of members that hold lists of records."""
    building = _Building(containers)
    with decoded(stream, newline="", encoding=encoding) as text:
        source = _Source(text)
        try:
            for prefix, event, value in ijson.parse(source, multiple_values=True):
                row = building.take(prefix, event, value)
                if row is not None:
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
    return Rejected(number, NOT_DECODED) if _has_undecoded(value) else Row(number, value)
