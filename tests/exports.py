"""A DynamoDB table export as the service writes one: gzip data files and the manifest that names them."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from kbsync.importing.typed import encode

NAME = "01700000000000-abcdef01"


def export_lines(items: Sequence[Mapping[str, object]]) -> bytes:
    """Return items as a full export writes them."""
    return "".join(json.dumps({"Item": encode(each)}) + "\n" for each in items).encode()


def write_export(folder: Path, files: Sequence[Sequence[Mapping[str, object]]]) -> Path:
    """Write an export of so many data files and return its folder."""
    place = folder / "AWSDynamoDB" / NAME
    (place / "data").mkdir(parents=True)
    manifest = []
    for number, items in enumerate(files):
        name = f"data{number:04}.json.gz"
        (place / "data" / name).write_bytes(gzip.compress(export_lines(items)))
        key = f"AWSDynamoDB/{NAME}/data/{name}"
        manifest.append(json.dumps({"itemCount": len(items), "dataFileS3Key": key}))
    (place / "manifest-files.json").write_text("\n".join(manifest) + "\n", encoding="utf-8")
    (place / "manifest-summary.json").write_text("{}", encoding="utf-8")
    return place
