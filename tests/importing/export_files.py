"""The export files of this folder, read as the command reads them, without an engine behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from kbsync.cli.exports import Export, export_lines, mappings_for
from kbsync.importing.mapping_report import MappingReport
from kbsync.importing.records import Accepted, Rejected
from kbsync.importing.rows import Shape
from kbsync.settings import Settings

FOLDER = Path(__file__).parent / "exports"
_SHAPES = {".jsonl": Shape.JSONL}


@dataclass(frozen=True)
class Read:
    """What came of a file."""

    accepted: Mapping[str, Mapping[str, object]]
    rejected: Mapping[int, str]
    report: MappingReport

    @property
    def statuses(self) -> dict[str, object]:
        return {name: each["status"] for name, each in self.accepted.items()}


def read_export(
    content: Path | str | bytes, *, from_: str | None = "auto", mapping: Path | None = None, **settings: str
) -> Read:
    """Read a file, named from this folder, or some content, whose shape is found out."""
    path = content if isinstance(content, Path) else None
    data = path.read_bytes() if path else content.encode() if isinstance(content, str) else content
    assert isinstance(data, bytes)
    shape = _SHAPES.get(path.suffix) if path else None
    export = Export(BytesIO(data), path, shape, mappings_for(from_, str(mapping) if mapping else None))
    accepted: dict[str, Mapping[str, object]] = {}
    rejected: dict[int, str] = {}
    with export_lines(export, Settings(**settings), "CLOSED") as (lines, report):  # type: ignore[arg-type]
        for line in lines:
            if isinstance(line, Accepted):
                accepted[line.incident_id] = line.attributes
            else:
                assert isinstance(line, Rejected)
                rejected[line.line] = line.reason
    return Read(accepted, rejected, report)
