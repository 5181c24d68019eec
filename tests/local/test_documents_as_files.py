"""What only the folder of documents promises: whole files, safe keys, errors that say what they mean."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbsync.errors import AccessDeniedError, UnavailableError
from kbsync.local.document_store import LocalDocumentStore
from kbsync.local.os_errors import translated_os_errors

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> LocalDocumentStore:
    return LocalDocumentStore(tmp_path / "documents", "incidents/", lambda: NOON)


def put(store: LocalDocumentStore, key: str, *, if_etag: str = "") -> str:
    return store.put(key, b"text", fingerprint="f", incident_id="INC-1", if_etag=if_etag).etag


@pytest.mark.parametrize(
    "key",
    [
        "incidents/../secret",
        "../incidents/a",
        "/incidents/a",
        "incidents//a",
        "incidents/",
        "incidents/.hidden",
        "incidents/a\\b",
        "incidents/C:a",
        "incidents/a\x00",
        "elsewhere/a.md",
        "",
    ],
)
def test_key_that_leaves_the_prefix_is_refused(store: LocalDocumentStore, key: str) -> None:
    with pytest.raises(ValueError, match="relative path under the prefix"):
        put(store, key)


def test_failed_write_leaves_the_old_file_and_no_rest(
    store: LocalDocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = put(store, "incidents/a.md")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnavailableError, match="No space left"):
            store.put("incidents/a.md", b"new", fingerprint="g", incident_id="INC-1", if_etag=etag)

    assert store.get("incidents/a.md") == b"text"
    assert [path.name for path in (tmp_path / "documents" / "incidents").iterdir()] == ["a.md"]
    assert put(store, "incidents/a.md", if_etag=etag) == etag


def test_document_torn_from_its_metadata_is_nobodys(store: LocalDocumentStore, tmp_path: Path) -> None:
    etag = put(store, "incidents/a.md")
    kept = tmp_path / "documents" / ".metadata" / "incidents" / "a.md.json"
    for broken in (b"{", b"[]"):
        kept.write_bytes(broken)

        head = store.head("incidents/a.md")

        assert head is not None
        assert (head.etag, head.fingerprint) == (etag, "")


def test_folder_under_a_key_is_no_object(store: LocalDocumentStore) -> None:
    put(store, "incidents/a/b.md")

    assert store.head("incidents/a") is None
    assert store.head("incidents/a/b.md/c") is None
    with pytest.raises(KeyError):
        store.get("incidents/a")


def test_hidden_and_half_written_files_are_not_listed(store: LocalDocumentStore, tmp_path: Path) -> None:
    put(store, "incidents/a.md")
    (tmp_path / "documents" / "incidents" / ".x.part").write_bytes(b"half")
    (tmp_path / "documents" / "other.md").write_bytes(b"not ours")

    assert [head.key for head in store.list(begins="", cursor="", limit=9).items] == ["incidents/a.md"]


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.EACCES, AccessDeniedError), (errno.EROFS, AccessDeniedError), (errno.EIO, UnavailableError)],
    ids=["denied", "read only", "broken"],
)
def test_errors_of_the_system_are_told_by_consequence(number: int, error: type[Exception]) -> None:
    def fail() -> None:
        with translated_os_errors("the folder"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(error, match="the folder"):
        fail()
