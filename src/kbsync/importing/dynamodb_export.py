"""A DynamoDB table export: its files, and the incidents of one of them from a line on.

Imports importing, stretches and errors. Source: DynamoDB Developer Guide, "Table export output format".
Invariant: a file that is cut or damaged ends with an error, never as if it were read.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from kbsync.errors import UsageError
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted
from kbsync.stretches import Stretch

if TYPE_CHECKING:
    from kbsync.model import Attributes

MANIFEST = "manifest-files.json"
DATA_ENDINGS = (".json.gz", ".json", ".jsonl", ".jsonl.gz")
_GZIP = b"\x1f\x8b"


def manifest_keys(content: bytes, name: str) -> list[str]:
    """Return the keys of an export's files, in the order of its manifest, which is JSON Lines.

    Raises:
        UsageError: it is no such manifest.
    """
    try:
        lines = [json.loads(line) for line in content.decode("utf-8").splitlines() if line.strip()]
        return [str(line["dataFileS3Key"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{name} is no {MANIFEST} of an export", hint="name the folder that holds it, or the file"
        ) from error


class ExportSource:
    """The files of an export as parts of a back-fill; `opened` opens one by its name."""

    def __init__(
        self, name: str, files: Sequence[str], opened: Callable[[str], BinaryIO], *, size: int = 100
    ) -> None:
        told = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
        self.name = f"{name} {told}"
        self.parts = len(files)
        self._files = files
        self._opened = opened
        self._size = size

    def read(self, part: int, position: str) -> Iterator[Stretch]:
        """Yield what is behind a line of one file, plain or gzip, whatever its name says.

        Raises:
            UsageError: the file is cut or damaged; what was yielded before stands.
        """
        name = self._files[part]
        try:
            with self._opened(name) as raw:
                buffered = io.BufferedReader(cast("io.RawIOBase", raw))
                zipped = buffered.peek(2)[:2] == _GZIP
                plain = gzip.GzipFile(fileobj=buffered) if zipped else buffered
                yield from self._stretches(cast("BinaryIO", plain), int(position or 0))
        except (EOFError, OSError, zlib.error) as error:
            raise UsageError(
                f"{name} is cut or damaged", hint="copy the export again, then repeat this"
            ) from error

    def _stretches(self, text: BinaryIO, after_line: int) -> Iterator[Stretch]:
        items: list[tuple[str, Attributes]] = []
        other, last = 0, after_line
        for line in read_json_lines(text, after_line=after_line):
            last = line.line
            if isinstance(line, Accepted):
                items.append((line.incident_id, line.attributes))
            else:
                other += 1
            if len(items) + other >= self._size:
                yield Stretch(tuple(items), str(last), other)
                items, other = [], 0
        if items or other:
            yield Stretch(tuple(items), str(last), other)


def folder_source(path: Path) -> ExportSource:
    """Return an export that was copied to a folder: by its manifest, or every data file where there is none.

    Raises:
        UsageError: nothing there can be read as an export, or a file of the manifest is missing.
    """
    if path.is_file() and path.name != MANIFEST:
        return ExportSource(str(path), [str(path)], _open_file)
    manifests = [path] if path.is_file() else sorted(path.rglob(MANIFEST))
    if len(manifests) > 1:
        raise UsageError(f"{path} holds {len(manifests)} exports", hint="name the folder of one of them")
    if manifests:
        keys = manifest_keys(manifests[0].read_bytes(), str(manifests[0]))
        files = [str(manifests[0].parent / "data" / key.rsplit("/", 1)[-1]) for key in keys]
    else:
        files = data_files(each.as_posix() for each in path.rglob("*") if each.is_file())
    missing = [each for each in files if not Path(each).is_file()]
    if missing or not files:
        raise UsageError(
            f"{missing[0]} is missing" if missing else f"there is no export in {path}",
            hint="copy the whole export: its manifest and its data folder",
        )
    return ExportSource(str(path), files, _open_file)


def _open_file(name: str) -> BinaryIO:
    return Path(name).open("rb", buffering=0)


def data_files(names: Iterable[str]) -> list[str]:
    """Return those of a folder's names that hold items, where there is no manifest."""
    return sorted(
        each for each in names if each.endswith(DATA_ENDINGS) and "manifest" not in each.rsplit("/", 1)[-1]
    )
