"""What a job sees in the documents folder, whatever lies there."""

import os
from pathlib import Path

import pytest

from kbsync.errors import AccessDeniedError, UnavailableError
from kbsync.knowledge import DocumentStatus
from kbsync.local import documents_folder
from kbsync.local.documents_folder import Reading, read_document, scan_folder


def put(root: Path, key: str, content: bytes = b"# Title") -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(root: Path, key: str) -> Reading:
    reading = read_document(root, key, most_sidecar_bytes=1_024)
    assert reading is not None
    return reading


def keys(root: Path, prefix: str = "incidents/") -> list[str]:
    return sorted(found.key for found in scan_folder(root, prefix))


def test_scan_returns_files_of_all_levels_below_the_prefix(tmp_path: Path) -> None:
    for key in ("incidents/a.md", "incidents/x/y/b.md", "other/c.md", "incidents.md"):
        put(tmp_path, key)

    assert keys(tmp_path) == ["incidents/a.md", "incidents/x/y/b.md"]


def test_prefix_need_not_end_with_a_folder(tmp_path: Path) -> None:
    for key in ("incidents/2025-a.md", "incidents/2026-b.md"):
        put(tmp_path, key)

    assert keys(tmp_path, "incidents/2026") == ["incidents/2026-b.md"]


def test_hidden_names_and_half_written_files_are_no_documents(tmp_path: Path) -> None:
    for key in ("incidents/.a.md.part", ".metadata/incidents/a.md.json", "incidents/.git/b.md"):
        put(tmp_path, key)

    assert keys(tmp_path) == []
    assert keys(tmp_path, "") == []


def test_name_that_is_no_text_is_no_document(tmp_path: Path) -> None:
    put(tmp_path, "incidents/a.md")
    (tmp_path / "incidents" / os.fsdecode(b"\xff.md")).write_bytes(b"# Title")

    assert keys(tmp_path) == ["incidents/a.md"]


def test_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert keys(tmp_path / "absent") == []


def test_file_in_place_of_the_folder_is_empty(tmp_path: Path) -> None:
    put(tmp_path, "incidents")

    assert keys(tmp_path) == []


def test_link_to_nothing_is_no_document(tmp_path: Path) -> None:
    put(tmp_path, "incidents/a.md")
    (tmp_path / "incidents" / "b.md").symlink_to("nowhere")

    assert keys(tmp_path) == ["incidents/a.md"]


def test_folder_that_cannot_be_listed_is_an_error_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O-28: an empty listing must not be taken for a deletion."""

    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(documents_folder.os, "scandir", refused)
    with pytest.raises(AccessDeniedError, match="documents folder"):
        list(scan_folder(tmp_path, "incidents/"))


def test_link_in_a_circle_is_an_error_and_not_a_deletion(tmp_path: Path) -> None:
    put(tmp_path, "incidents/a.md").unlink()
    (tmp_path / "incidents" / "a.md").symlink_to("a.md")

    with pytest.raises(UnavailableError, match="documents folder"):
        list(scan_folder(tmp_path, "incidents/"))


def test_replaced_file_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    first = put(tmp_path, "incidents/a.md", b"# One")
    os.utime(first, ns=(1, 1))
    before = list(scan_folder(tmp_path, "incidents/"))
    second = put(tmp_path, "elsewhere/a.md", b"# Two")
    os.utime(second, ns=(1, 1))
    second.replace(first)

    assert list(scan_folder(tmp_path, "incidents/")) != before


REFUSED: dict[str, tuple[bytes, DocumentStatus, str]] = {
    "empty": (b"", DocumentStatus.IGNORED, "empty"),
    "blank": (b" \n\t\xef\xbb\xbf"[:3], DocumentStatus.IGNORED, "empty"),
    "not UTF-8": (b"# caf\xe9", DocumentStatus.FAILED, "not UTF-8"),
}


@pytest.mark.parametrize(("content", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_unacceptable_document_is_read_as_refused_without_its_text(
    content: bytes, status: DocumentStatus, reason: str, tmp_path: Path
) -> None:
    put(tmp_path, "a.md", content)

    reading = read(tmp_path, "a.md")

    assert (reading.status, reading.text) == (status, "")
    assert reason in reading.reason


def test_document_over_the_size_limit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_folder, "MOST_DOCUMENT_BYTES", 10)
    put(tmp_path, "a.md", b"# Title of more than ten bytes")

    reading = read(tmp_path, "a.md")

    assert reading.status is DocumentStatus.FAILED
    assert reading.reason == "document larger than 10 bytes"


def test_byte_order_mark_and_nul_are_not_part_of_the_text(tmp_path: Path) -> None:
    put(tmp_path, "a.md", b"\xef\xbb\xbf# Pool\x00exhausted")

    assert read(tmp_path, "a.md").text == "# Pool exhausted"


def test_document_that_is_gone_reads_as_none(tmp_path: Path) -> None:
    assert read_document(tmp_path, "a.md", most_sidecar_bytes=1_024) is None
    assert read_document(put(tmp_path, "b"), "a.md", most_sidecar_bytes=1_024) is None


def test_document_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to("a.md")

    reading = read(tmp_path, "a.md")

    assert reading.status is DocumentStatus.FAILED
    assert "cannot be read" in reading.reason
