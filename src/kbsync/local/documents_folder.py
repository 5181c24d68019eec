"""What an ingestion job finds in the documents folder, and what it reads of one document.

May import the sidecar rules and the model. Invariant: `stat` texts say what was read, so a later change is
always seen.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from kbsync.knowledge import DocumentStatus
from kbsync.local.os_errors import translated_os_errors
from kbsync.local.sidecar import Attribute, Scalar, SidecarError, is_encodable, read_sidecar
from kbsync.model import sidecar_key

READABLE_SUFFIXES = frozenset({".md", ".txt", ".html", ".csv"})
"""What is plain text among the formats that Bedrock reads (AWS_FACTS.md, section 1)."""
MOST_DOCUMENT_BYTES = 50_000_000
"""Source: Bedrock endpoints and quotas, file size of a text document."""
_SIDECAR_SUFFIX = ".metadata.json"


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the scan; two equal stat texts mean the same bytes."""

    key: str
    stat: str

    @property
    def is_sidecar(self) -> bool:
        """Whether it describes another file."""
        return self.key.endswith(_SIDECAR_SUFFIX)

    @property
    def is_readable(self) -> bool:
        """Whether its format is one we can read."""
        return os.path.splitext(self.key)[1].lower() in READABLE_SUFFIXES  # noqa: PTH122 - a key is no path


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One document as it was read, with the verdict on it."""

    key: str
    status: DocumentStatus = DocumentStatus.INDEXED
    reason: str = ""
    body_stat: str
    sidecar_stat: str = ""
    body_hash: str = ""
    sidecar_hash: str = ""
    text: str = ""
    metadata: dict[str, Scalar] | None = None
    attributes: tuple[Attribute, ...] = ()


def scan_folder(root: Path, prefix: str) -> Iterator[Found]:
    """Yield every file whose key starts with the prefix; names that begin with a dot are not documents.

    Raises:
        AccessDeniedError (fatal), UnavailableError (retriable): a folder cannot be read, so that nobody can
            tell which documents are gone.
    """
    folders = [root.joinpath(*prefix.split("/")[:-1])]
    while folders:
        with translated_os_errors("the documents folder"):
            for entry in _entries(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                    continue
                key = Path(entry.path).relative_to(root).as_posix()
                if key.startswith(prefix):
                    with suppress(FileNotFoundError):  # removed since it was listed
                        yield Found(key, _stat_text(entry.stat()))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for each in entries:
            if not each.name.startswith(".") and is_encodable(each.name):
                yield each


def read_document(root: Path, key: str, *, most_sidecar_bytes: int) -> Reading | None:
    """Return a document and its sidecar as they are now, or None where the document is gone."""
    try:
        body = _read(root / key)
        sidecar = _read(root / sidecar_key(key))
    except OSError as error:
        reason = f"the document cannot be read: {error.strerror}"
        return Reading(key=key, status=DocumentStatus.FAILED, reason=reason, body_stat="")
    if body is None:
        return None
    content, body_stat = body
    read = Reading(
        key=key,
        body_stat=body_stat,
        sidecar_stat=sidecar[1] if sidecar else "",
        body_hash=sha256(content).hexdigest(),
        sidecar_hash=sha256(sidecar[0]).hexdigest() if sidecar else "",
    )
    if len(content) > MOST_DOCUMENT_BYTES:
        return _refused(read, DocumentStatus.FAILED, f"document larger than {MOST_DOCUMENT_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
        metadata, attributes = (
            read_sidecar(sidecar[0], most_bytes=most_sidecar_bytes) if sidecar else ({}, [])
        )
    except UnicodeDecodeError:
        return _refused(read, DocumentStatus.FAILED, "the document is not UTF-8 text")
    except SidecarError as error:
        return _refused(read, DocumentStatus.IGNORED, str(error))
    if not text.strip():
        return _refused(read, DocumentStatus.IGNORED, "the document is empty")
    return replace(read, text=text.replace("\x00", " "), metadata=metadata, attributes=tuple(attributes))


def _refused(read: Reading, status: DocumentStatus, reason: str) -> Reading:
    return replace(read, status=status, reason=reason)


def _read(path: Path) -> tuple[bytes, str] | None:
    try:
        with path.open("rb") as file:
            stat_text = _stat_text(os.fstat(file.fileno()))
            return file.read(MOST_DOCUMENT_BYTES + 1), stat_text
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _stat_text(found: os.stat_result) -> str:
    """Return size, time and inode: an atomic replacement changes the inode within one clock tick too."""
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"
