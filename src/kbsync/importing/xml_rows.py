"""Records of an XML export, one element at a time; no entities, no DTD. Imports importing alone.

Memory holds one record. Characters that XML forbids, and that systems export nevertheless, become spaces.
"""

import codecs
import re
from collections.abc import Collection, Iterator
from typing import BinaryIO, TextIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kbsync.importing.decoding import decoded
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

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}\bencoding=["']([A-Za-z0-9._-]{1,40})["']""")
_COLOUR = re.compile(r"(?:\x1b|&#(?:27|x1[bB]);)\[[0-9;]{0,20}m")
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
    "|&#(?:x0*(?:[0-8bcefBCEF]|1[0-9a-fA-F])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));"
)
_LONE = re.compile("[\ud800-\udfff]")
_LINE = 16 * 1024
_CHILD_OF_ROOT = 2
_SPENT = "kbsync-spent"
"""An attribute that marks elements a record was taken from: no record themselves."""


class _TooLargeError(Exception):
    """One element is larger than any record."""


class _Source:
    """Text for the parser, without characters that it would stop at."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._since_record = 0

    def read(self, _size: int = 0, /) -> str:
        """Return the next line, so that no reference to a character is cut in two; empty at the end."""
        while line := self._text.readline(_LINE):
            self._since_record += len(line)
            if self._since_record > MAX_RECORD_CHARACTERS:
                raise _TooLargeError
            if kept := _LONE.sub(UNDECODED, _FORBIDDEN.sub(" ", _COLOUR.sub("", line))):
                return kept
        return ""

    def record_ends(self) -> None:
        self._since_record = 0


def read_xml_rows(stream: BinaryIO, elements: Collection[str], encoding: str) -> OpenRows:
    """Yield a row for each element with one of these names, wherever it stands, and for its like.

    Its like are children of the root that have children and hold no such element: they come with their
    name as `kind`, so that whoever maps them can say that they were left out.
    """
    count = 0
    with decoded(stream, newline="", encoding=encoding) as text:
        declared = _DECLARED.match(text.buffer.peek(200)[:200].removeprefix(codecs.BOM_UTF8))  # type: ignore[attr-defined] # a BufferedReader: `decoded` makes it
        if declared and _is_other(declared[1].decode(), text.encoding):
            text.reconfigure(encoding=declared[1].decode())
        source = _Source(text)
        try:
            for element in _records(source, elements):
                count += 1
                source.record_ends()
                yield _row_of(count, element)
        except ParseError as error:
            line = error.position[0]
            yield Rejected(count + 1, f"from line {line} on this is no XML, or it ends in the middle")
        except DefusedXmlException:
            yield Rejected(count + 1, "declares a DTD or entities, which are refused: the rest is not read")
        except _TooLargeError:
            yield Rejected(
                count + 1,
                f"an element is longer than {MAX_RECORD_CHARACTERS} characters: the rest is not read",
            )


def _is_other(declared: str, used: str) -> bool:
    """Tell whether a file names an encoding that we know and that is not the one in use."""
    if used == "utf-16":
        return False
    try:
        return codecs.lookup(declared).name not in ("utf-8", "utf-16", codecs.lookup(used).name)
    except LookupError:
        return False


def _records(source: _Source, elements: Collection[str]) -> Iterator[Element]:
    """Yield whole elements; what was yielded, and what is of no use, is let go."""
    open_elements: list[Element] = []
    inside = 0
    for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            open_elements.append(element)
            if not inside and _name(element) in elements:
                inside = len(open_elements)
            continue
        depth = len(open_elements)
        open_elements.pop()
        if depth > inside > 0:
            continue
        is_like = depth == _CHILD_OF_ROOT and len(element) > 0 and not element.get(_SPENT)
        if inside or is_like:
            yield element
            for parent in open_elements:
                parent.set(_SPENT, "yes")
        if open_elements and (inside or depth == _CHILD_OF_ROOT or element.get(_SPENT)):
            open_elements[-1].remove(element)
        inside = 0


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _row_of(number: int, element: Element) -> Row | Rejected:
    fields = _fields(element, MAX_LEVELS)
    if fields is None:
        return Rejected(number, f"nested deeper than {MAX_LEVELS} levels")
    return Rejected(number, NOT_DECODED) if has_undecoded(fields) else Row(number, fields, _name(element))


def _fields(element: Element, levels: int) -> dict[str, object] | None:
    if not levels:
        return None
    members: dict[str, list[object]] = {}
    for child in element:
        value = _fields(child, levels - 1) if len(child) else _leaf(child)
        if value is None:
            return None
        members.setdefault(_name(child), []).append(value)
    attributes = {name: value for name, value in element.attrib.items() if name not in members}
    return {**attributes, **{name: each[0] if len(each) == 1 else each for name, each in members.items()}}


def _leaf(element: Element) -> object:
    text = element.text or ""
    return {**element.attrib, "value": text} if element.attrib else text
