"""A job's tasks: what differs between the folder and the stored documents, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbsync.errors import UnavailableError
from kbsync.knowledge import DocumentStatus
from kbsync.local.document_rows import DocumentRows
from kbsync.local.documents_folder import Found, Reading
from kbsync.local.folder_plan import FolderPlan
from kbsync.local.kb_schema import KnowledgeBaseFile

SPACE = "model/384/text-1"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[KnowledgeBaseFile]:
    opened = KnowledgeBaseFile(tmp_path / "knowledge_base.db")
    yield opened
    opened.close()


def store(
    file: KnowledgeBaseFile, key: str, *, space: str = SPACE, status: DocumentStatus = DocumentStatus.INDEXED
) -> None:
    read = Reading(key=key, status=status, body_stat="1", sidecar_stat="2", text=key, metadata={})
    with file.transaction():
        DocumentRows(file, space).write(read, None, datetime(2026, 1, 1, tzinfo=UTC))


def tasks(file: KnowledgeBaseFile) -> list[tuple[str, str]]:
    return [(key, action) for key, action in file.query("SELECT key, action FROM job_tasks ORDER BY task_id")]


def planned(file: KnowledgeBaseFile, *found: Found) -> list[tuple[str, str]]:
    plan = FolderPlan(file, SPACE)
    plan.scan(found)
    with file.transaction():
        plan.write_tasks()
    plan.forget()
    return tasks(file)


def pair(key: str, *, body: str = "1", sidecar: str = "2") -> tuple[Found, Found]:
    return Found(key, body), Found(f"{key}.metadata.json", sidecar)


def test_only_what_differs_is_a_task(file: KnowledgeBaseFile) -> None:
    for key in ("a.md", "b.md", "c.md", "gone.md"):
        store(file, key)
    store(file, "other-model.md", space="another")
    store(file, "refused.md", status=DocumentStatus.FAILED)

    written = planned(
        file,
        *pair("a.md"),
        *pair("b.md", body="new"),
        *pair("c.md", sidecar="new"),
        *pair("new.md"),
        *pair("other-model.md"),
        *pair("refused.md"),
    )

    assert written == [
        ("b.md", "index"),
        ("c.md", "index"),
        ("new.md", "index"),
        ("other-model.md", "index"),
        ("refused.md", "index"),
        ("gone.md", "delete"),
    ]
    assert file.query("SELECT key FROM documents WHERE status = 'DELETING'") == [("gone.md",)]


def test_sidecar_that_is_gone_makes_its_document_differ(file: KnowledgeBaseFile) -> None:
    store(file, "a.md")

    assert planned(file, Found("a.md", "1")) == [("a.md", "index")]


def test_next_plan_replaces_the_tasks_of_the_one_before(file: KnowledgeBaseFile) -> None:
    planned(file, *pair("a.md"), *pair("b.md"))

    assert planned(file, *pair("b.md")) == [("b.md", "index")]


def test_files_are_counted_by_kind_and_ten_refused_ones_are_named(file: KnowledgeBaseFile) -> None:
    found = [*pair("a.md"), *(Found(f"{number:02}.pdf", "1") for number in range(12))]

    scanned = FolderPlan(file, SPACE).scan(found)

    assert (scanned.documents, scanned.sidecars, scanned.refused) == (13, 1, 12)
    names = ", ".join(f"{number:02}.pdf" for number in range(10))
    assert scanned.reasons == [f"Ignored 12 files as their file format was not supported. [Files: {names}]"]


def test_scan_that_breaks_off_leaves_what_was_planned(file: KnowledgeBaseFile) -> None:
    """O-28: what a scan did not reach is not gone."""
    store(file, "a.md")
    store(file, "b.md")

    def broken() -> Iterator[Found]:
        yield from pair("a.md")
        raise UnavailableError("the folder went away")

    with pytest.raises(UnavailableError):
        FolderPlan(file, SPACE).scan(broken())

    assert tasks(file) == []
    assert file.query("SELECT count(*) FROM documents WHERE status = 'INDEXED'") == [(2,)]
    assert planned(file, *pair("a.md"), *pair("b.md")) == []


def test_memory_of_a_scan_does_not_follow_the_number_of_files(file: KnowledgeBaseFile) -> None:
    """The peak for eight times as many files is the same within a tenth."""

    def peak(count: int) -> int:
        tracemalloc.start()
        FolderPlan(file, SPACE).scan(Found(f"incidents/{number:07}.md", "1") for number in range(count))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(2_000)  # what is made once is made now

    assert peak(16_000) < 1.1 * peak(2_000)
