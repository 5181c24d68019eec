"""An export of a ticket system as lines of incidents: chooses the mapping and gives it what it reads with.

Imports importing and the pipeline's readers of dates and markup. Invariant: nothing is written here.
"""

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo

from kbsync.errors import UsageError
from kbsync.importing.attached import Attachments
from kbsync.importing.mapped import Mapper, Reading
from kbsync.importing.mapping import ExportMapping, System, load_mapping, shipped
from kbsync.importing.mapping_report import MappingReport
from kbsync.importing.people import without_mentions
from kbsync.importing.recognise import read_rows, recognised, shape_of
from kbsync.importing.records import Line
from kbsync.importing.rows import Rows, Shape
from kbsync.pipeline.transform.dates import read_moment
from kbsync.pipeline.transform.jira import jira_to_markdown
from kbsync.pipeline.transform.markup import to_markdown
from kbsync.settings import Settings

AUTO = "auto"
_BEGINNING = 4096


@dataclass(frozen=True)
class Export:
    """One export to read: `path` is None for standard input, `shape` None where its content must tell."""

    stream: BinaryIO
    path: Path | None
    shape: Shape | None
    mappings: Sequence[ExportMapping]


def mappings_for(from_: str | None, mapping: str | None) -> tuple[ExportMapping, ...]:
    """Return the mappings in question: one, all that are shipped, or none for our own form.

    Raises:
        UsageError: the user's mapping cannot be used, or is another system's.
    """
    if mapping is None:
        if from_ is None:
            return ()
        return tuple(map(shipped, System)) if from_ == AUTO else (shipped(System(from_)),)
    own = load_mapping(mapping)
    if from_ not in (None, AUTO, own.system):
        raise UsageError(f"{mapping} is for {own.system}, not for {from_}", hint="leave --from out")
    return (own,)


@contextmanager
def export_lines(
    export: Export, settings: Settings, closed_status: str
) -> Iterator[tuple[Iterator[Line], MappingReport]]:
    """Give the lines of an export, and the report that grows while they are read.

    Raises:
        UsageError: the system is not recognised; nothing was read further.
    """
    with ExitStack() as stack:
        stream, shape = export.stream, export.shape
        if shape is None:
            buffered = io.BufferedReader(cast("io.RawIOBase", stream))
            stack.callback(buffered.detach)
            stream, shape = cast("BinaryIO", buffered), shape_of(buffered.peek(_BEGINNING))
        mappings = export.mappings
        opened = stack.enter_context(closing(read_rows(stream, shape, mappings, mappings[0].encoding)))
        rows: Rows = opened
        mapping = mappings[0]
        if len(mappings) > 1:
            mapping, rows = recognised(rows, mappings)
        attachments = _attachments(export, shape, mapping)
        mapper = Mapper(mapping, shape, _reading(settings, closed_status), attachments)
        yield mapper.lines(rows), mapper.report


def _attachments(export: Export, shape: Shape, mapping: ExportMapping) -> Attachments:
    """Read the file once for what stands beside its incidents, where it is of a kind that can hold it."""
    attachments = Attachments(mapping.attached)
    if not mapping.attached or export.path is None or shape not in (Shape.JSON, Shape.XML):
        return attachments
    with open_file(export.path) as stream:
        return attachments.gather(read_rows(stream, shape, [mapping], mapping.encoding))


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked where its name ends in .gz."""
    packed = path.name.lower().endswith(".gz")
    return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


def _reading(settings: Settings, closed_status: str) -> Reading:
    def moment(text: str, zone: str, order: str) -> str | None:
        found = read_moment(text, ZoneInfo(zone or settings.timezone), order or settings.date_order)
        if found is None:
            return None
        return found.at.isoformat().replace("+00:00", "Z") if found.at else found.day.isoformat()

    markdown: dict[str, Callable[[str], str]] = {
        "text": str,
        "markdown": str,
        "wiki": lambda text: jira_to_markdown(without_mentions(text)),
        "html": lambda text: to_markdown(text, lambda _: None),
    }
    return Reading(moment, markdown, closed_status)
