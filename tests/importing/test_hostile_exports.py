"""Whatever bytes an export holds, the reader tells it: no traceback, and the counts add up."""

import json
from typing import Any

import pytest
from export_files import FOLDER, read_export
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsync.errors import UsageError
from kbsync.importing.adf import adf_to_markdown
from kbsync.importing.mapping import System
from kbsync.importing.records import is_encodable

FILES = sorted(path for path in FOLDER.glob("*/*") if path.suffix != ".jsonl")
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
NAMES = st.sampled_from(
    ["type", "content", "attrs", "marks", "text", "key", "fields", "status", "name", "value", "number", "id"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
KINDS = st.sampled_from(["doc", "paragraph", "text", "table", "tableRow", "orderedList", "date", ""])


def nodes(depth: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    content = st.lists(nodes(depth - 1) | VALUES, max_size=3) if depth else st.just([])
    return st.fixed_dictionaries(
        {"type": KINDS},
        optional={"content": content, "text": LEAVES, "attrs": VALUES, "marks": VALUES},
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@settings(max_examples=8)
@given(data=st.data())
def test_damaged_export_is_told_and_nothing_is_lost(path: Any, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))

    try:
        read = read_export(bytes(content), from_=path.parent.name)
    except UsageError:
        return  # the header of a CSV cannot be read: nothing was imported, and that is said

    report = read.report
    assert report.records == report.mapped + report.rejected + sum(report.skipped.values())
    assert len(read.rejected) <= report.rejected
    assert all(map(is_encodable, read.accepted))


@pytest.mark.parametrize("system", System)
@settings(max_examples=15)
@given(records=st.lists(VALUES, max_size=4))
def test_records_of_any_shape_are_accepted_or_told(system: System, records: list[Any]) -> None:
    read = read_export(json.dumps(records), from_=system)

    assert read.report.records == read.report.mapped + read.report.rejected + sum(
        read.report.skipped.values()
    )


@settings(max_examples=80)
@given(nodes())
def test_document_of_any_shape_becomes_text(document: dict[str, Any]) -> None:
    assert isinstance(adf_to_markdown(document), str)
