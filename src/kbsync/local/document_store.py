"""DocumentStore of local mode: documents and sidecars as files of a folder.

May import filelock, the model and ports. Invariant: a file is whole or absent at every moment, and a
condition is tested and acted on under one lock, whoever else writes.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from kbsync.errors import WriteConflictError
from kbsync.local.database import cut_page
from kbsync.local.os_errors import translated_os_errors
from kbsync.local.whole_files import UNFINISHED, fsync_folder, write_atomically
from kbsync.model import Clock, ObjectHead, PutReply
from kbsync.ports import ObjectVersion, Page
from kbsync.traces import Traces

_METADATA = ".metadata"
_STANDING = "standing"
_BAD_KEY = re.compile(r"(\A|/)(\.|/|\Z)|[\\:\x00-\x1f]")
"""Empty and hidden segments, `..` among them, and what leaves the folder on some system."""


class LocalDocumentStore:
    """Implements ports.DocumentStore; the ETag is the MD5 of the bytes, as S3's is for a plain put.

    What S3 keeps as user metadata is kept beside the documents under `.metadata/`, tied to the bytes by their
    ETag: a file that somebody edits by hand is another object.
    """

    late_effects = False

    def __init__(self, root: Path, prefix: str, now: Clock) -> None:
        self._root = root
        self._prefix = prefix
        self._now = now
        self._lock = FileLock(root / f"{_METADATA}.lock")

    def put(self, key: str, content: bytes, *, fingerprint: str, incident_id: str, if_etag: str) -> PutReply:
        """Store one object where the condition holds; raise WriteConflictError where it does not."""
        path, etag = self._path(key), _etag(content)
        with translated_os_errors("the documents folder"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._require(key, if_etag)
                at = self._now()
                kept = {
                    "etag": etag,
                    "fingerprint": fingerprint,
                    "incident_id": incident_id,
                    "modified_at": at.isoformat(),
                }
                # Metadata first: until the bytes follow, its ETag fits nothing and it counts as absent.
                write_atomically(self._metadata_path(key), json.dumps(kept).encode(), durable=False)
                write_atomically(path, content, durable=True)
        return PutReply(etag, at)

    def delete(self, key: str, *, if_etag: str) -> datetime | None:
        """Delete the object with this ETag; returns our time, None where it was already absent."""
        path = self._path(key)
        with translated_os_errors("the documents folder"), self._locked():
            if self.head(key) is None:
                return None
            self._require(key, if_etag)
            path.unlink()
            fsync_folder(path.parent)
            self._metadata_path(key).unlink(missing_ok=True)
            return self._now()

    def head(self, key: str) -> ObjectHead | None:
        """Return what is stored under a key, or None; an edited file has no fingerprint of ours."""
        path = self._path(key)
        with translated_os_errors("the documents folder"):
            try:
                content = path.read_bytes()
                modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        etag, fingerprint = _etag(content), ""
        kept = self._kept(key)
        if kept.get("etag") == etag:
            fingerprint, modified_at = kept["fingerprint"], datetime.fromisoformat(kept["modified_at"])
        return ObjectHead(key, etag, len(content), modified_at, fingerprint)

    def get(self, key: str) -> bytes:
        """Return an object's bytes; raise KeyError where there is none."""
        with translated_os_errors("the documents folder"):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise KeyError(key) from None

    def list(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectHead]:
        """Return one page of the objects whose keys begin so, by key."""
        found: list[ObjectHead] = []
        with translated_os_errors("the documents folder"):
            for key in self._keys(begins, cursor):
                if (head := self.head(key)) is not None:
                    found.append(head)
                if len(found) > limit:
                    break
        return cut_page(found, limit, lambda head: head.key)

    def versions(self, *, begins: str, cursor: str, limit: int) -> Page[ObjectVersion]:
        """Return one page of the objects whose keys begin so: a folder keeps the standing version only."""
        found: list[ObjectVersion] = []
        with translated_os_errors("the documents folder"):
            for key in self._keys(begins, cursor):
                found.append(ObjectVersion(key, _STANDING))
                if len(found) > limit:
                    break
        return cut_page(found, limit, lambda version: version.key)

    def version(self, version: ObjectVersion) -> bytes:
        """Return the bytes of the standing version; raise KeyError where it is gone."""
        return self.get(version.key)

    def remove_version(self, version: ObjectVersion) -> None:
        """Remove the standing version with what is kept beside it; an absent one is what is wanted."""
        path = self._path(version.key)
        with translated_os_errors("the documents folder"), self._locked():
            self._metadata_path(version.key).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def forget(self, traces: Traces) -> None:
        """Remove what killed puts left half written, and what is kept of these keys; documents stay."""
        with translated_os_errors("the documents folder"), self._locked():
            for left in self._root.rglob(f".*{UNFINISHED}"):
                left.unlink(missing_ok=True)
            for key in traces.keys:
                if self.head(key) is None:
                    self._metadata_path(key).unlink(missing_ok=True)

    def _keys(self, begins: str, cursor: str) -> Iterator[str]:
        """Yield the keys under the prefix that begin so, after the cursor, in the order of their text."""
        whole = f"{self._prefix}{begins.removeprefix(self._prefix)}"
        start = whole[: whole.rfind("/") + 1]
        return (key for key in _walk(self._root / start, start, cursor) if key.startswith(whole))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with self._lock:
            yield

    def _path(self, key: str) -> Path:
        if _BAD_KEY.search(key) or not key.startswith(self._prefix):
            raise ValueError("a document key is a relative path under the prefix without hidden parts")
        return self._root / key

    def _metadata_path(self, key: str) -> Path:
        return self._root / _METADATA / f"{key}.json"

    def _kept(self, key: str) -> dict[str, str]:
        try:
            kept = json.loads(self._metadata_path(key).read_bytes())
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _require(self, key: str, etag: str) -> None:
        head = self.head(key)
        if (head.etag if head else "") != etag:
            raise WriteConflictError(f"{key} is not what it was when it was last seen")


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _walk(folder: Path, start: str, cursor: str) -> Iterator[str]:
    """Yield the keys after the cursor in the order of their text; hidden names are not objects."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted(
            f"{entry.name}/" if entry.is_dir() else entry.name
            for entry in entries
            if not entry.name.startswith(".")
        )
    for name in names:
        key = start + name
        if name.endswith("/"):
            if key > cursor or cursor.startswith(key):
                yield from _walk(folder / name, key, cursor)
        elif key > cursor:
            yield key
