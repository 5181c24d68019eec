"""Which system an export comes from, and what it is written in. Imports errors and importing.

Invariant: a guess is never made: where the marks of no system or of two are there, that is told.
"""

from collections.abc import Sequence
from itertools import chain, islice
from typing import BinaryIO

from kbsync.errors import UsageError
from kbsync.importing.csv_rows import read_csv_rows
from kbsync.importing.json_rows import read_json_line_rows, read_json_rows
from kbsync.importing.mapping import ExportMapping
from kbsync.importing.paths import values_at
from kbsync.importing.records import Rejected
from kbsync.importing.rows import OpenRows, Row, Rows, Shape
from kbsync.importing.xml_rows import read_xml_rows

_LOOKED_AT = 20
_OWN = ("incident_id", "status")


def shape_of(beginning: bytes) -> Shape:
    """Return what a file is written in, from its first bytes."""
    encoding = "utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = beginning.decode(encoding, "replace").lstrip()
    if text.startswith("<"):
        return Shape.XML
    return Shape.JSON if text.startswith(("{", "[")) else Shape.CSV


def read_rows(stream: BinaryIO, shape: Shape, mappings: Sequence[ExportMapping], encoding: str) -> OpenRows:
    """Yield the rows of a file that is one of these systems' exports."""
    if shape is Shape.CSV:
        return read_csv_rows(stream, encoding)
    if shape is Shape.JSONL:
        return read_json_line_rows(stream, encoding)
    kinds = {each.kind for mapping in mappings for each in mapping.attached}
    if shape is Shape.XML:
        return read_xml_rows(stream, kinds.union(*(each.records.xml for each in mappings)), encoding)
    lists = {name for each in mappings for name in each.records.json_}
    return read_json_rows(stream, lists, encoding, kinds)


def recognised(rows: Rows, mappings: Sequence[ExportMapping]) -> tuple[ExportMapping, Rows]:
    """Return the one system whose marks the first records bear, and all rows from the first on.

    Raises:
        UsageError: no system's marks, or those of two; nothing was imported.
    """
    first = list(islice(rows, _LOOKED_AT))
    for row in first:
        if not isinstance(row, Row):
            continue
        if all(values_at(row, name) for name in _OWN):
            raise UsageError("this is kbsync's own form of incidents", hint="import it without --from")
        found = [mapping for mapping in mappings if _bears_marks(row, mapping)]
        if len(found) == 1:
            return found[0], chain(first, rows)
        if found:
            names = " and ".join(mapping.system for mapping in found)
            raise UsageError(f"this may come from {names}", hint="name the system with --from")
    reasons = [row.reason for row in first if isinstance(row, Rejected)]
    raise UsageError(
        f"no system is recognised in this file{f': {reasons[0]}' if reasons else ''}",
        hint=f"name one with --from ({', '.join(mapping.system for mapping in mappings)}), "
        "or give a mapping of your own with --mapping",
    )


def _bears_marks(row: Row, mapping: ExportMapping) -> bool:
    return any(all(_is_there(row, path) for path in paths) for paths in mapping.recognise)


def _is_there(row: Row, path: str) -> bool:
    return path in row.fields or path.casefold() in row.names or bool(values_at(row, path))
