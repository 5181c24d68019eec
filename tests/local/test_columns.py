"""What search holds in memory: it follows the file, stays within bounds, finds what the file finds."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from kbsync.local.columns import ColumnCache, KeptPostings, Posting, numbers_of
from kbsync.local.embedder import HashEmbedder
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.knowledge_base import LocalKnowledgeBase

WORDS = ("pool", "disk", "queue", "timeout", "replica", "certificate", "deadlock")


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Callable[[], LocalKnowledgeBase]]:
    opened: list[LocalKnowledgeBase] = []

    def open_one() -> LocalKnowledgeBase:
        made = LocalKnowledgeBase(
            tmp_path / "kb.db", tmp_path / "documents", "", HashEmbedder(), lambda: datetime.now(UTC)
        )
        opened.append(made)
        return made

    (tmp_path / "documents").mkdir()
    yield open_one
    for each in opened:
        each.close()


def write(folder: Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        text = " ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 9))
        text += " ".join(f" w{number * step % 97}" for step in range(1, 20))
        sidecar = f'{{"metadataAttributes": {{"parity": {number % 2}}}}}'
        (folder / "documents" / f"{number:03}.md").write_text(
            f"# Number {number}\n\n{text}", encoding="utf-8"
        )
        (folder / "documents" / f"{number:03}.md.metadata.json").write_text(sidecar, encoding="utf-8")


def run_job(knowledge_base: LocalKnowledgeBase, token: str) -> None:
    job = knowledge_base.start_job(description="", client_token=token * 40)
    while not job.status.is_final:
        job = knowledge_base.job(job.job_id)


def found(knowledge_base: LocalKnowledgeBase, query: str) -> list[str]:
    return [hit.document_key for hit in knowledge_base.retrieve(query, limit=5)]


def test_search_sees_what_another_process_and_what_this_one_wrote(
    open_at: Callable[[], LocalKnowledgeBase], tmp_path: Path
) -> None:
    reader, writer = open_at(), open_at()
    assert found(reader, "number") == []
    write(tmp_path, [1])
    run_job(writer, "a")
    assert found(reader, "number 1") == ["001.md"]
    write(tmp_path, [2])
    run_job(reader, "b")
    assert found(reader, "number 2") == ["002.md", "001.md"]
    (tmp_path / "documents" / "002.md").unlink()
    run_job(writer, "c")
    assert found(reader, "number 2") == ["001.md"]


def test_columns_are_read_once_while_the_file_stays_as_it_is(
    open_at: Callable[[], LocalKnowledgeBase], tmp_path: Path
) -> None:
    write(tmp_path, range(3))
    knowledge_base = open_at()
    run_job(knowledge_base, "a")
    found(knowledge_base, "pool")
    first = knowledge_base._search._columns.current()
    found(knowledge_base, "disk queue")

    assert knowledge_base._search._columns.current() is first
    assert {"pool", "disk", "queue"} <= first.postings.by_term.keys()


@pytest.mark.parametrize("given", [None, {"equals": {"key": "parity", "value": 1}}], ids=["all", "filtered"])
def test_search_in_memory_finds_what_the_file_finds_with_the_same_scores(
    open_at: Callable[[], LocalKnowledgeBase],
    tmp_path: Path,
    given: dict[str, object] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More documents than candidates, so that both ways have to choose."""
    monkeypatch.setattr("kbsync.local.search._CANDIDATES", 8)
    write(tmp_path, range(60))
    held = open_at()
    run_job(held, "a")
    queries = ("pool timeout", "number 17", "certificate and deadlock of the replica", "nothing of it")

    in_memory = [held.retrieve(query, limit=6, filter=given) for query in queries]
    monkeypatch.setattr("kbsync.local.columns.MOST_VECTORS", 0)
    scanning = open_at()
    in_file = [scanning.retrieve(query, limit=6, filter=given) for query in queries]

    assert scanning._search._columns.current().vectors is None
    for one, other in zip(in_memory, in_file, strict=True):
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=1e-5)
        assert {hit.document_key for hit in one} == {hit.document_key for hit in other}


def test_vectors_are_read_in_blocks_and_stand_where_their_documents_say(
    open_at: Callable[[], LocalKnowledgeBase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbsync.local.columns._VECTORS_A_BLOCK", 4)
    write(tmp_path, range(11))
    knowledge_base = open_at()
    run_job(knowledge_base, "a")
    columns = knowledge_base._search._columns.current()
    assert columns.vectors is not None

    for number, key in knowledge_base._file.query("SELECT document_id, key FROM documents"):
        text = (tmp_path / "documents" / key).read_text(encoding="utf-8")
        vector = HashEmbedder().embed_documents([text])[0]
        assert columns.cosines(columns.vectors, vector)[number] == pytest.approx(1.0, abs=1e-6)


def test_vectors_of_another_space_are_none(tmp_path: Path) -> None:
    file = KnowledgeBaseFile(tmp_path / "kb.db")
    file.query("INSERT INTO embeddings VALUES (1, 'h', 'another', x'00000000')")

    columns = ColumnCache(file, "mine", 384).current()

    assert columns.vectors is not None
    assert columns.vectors.shape == (0, 384)
    file.close()


def test_kept_postings_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kbsync.local.columns.MOST_POSTINGS_KEPT", 5)
    kept = KeptPostings()

    for term, size in (("one", 3), ("two", 2)):
        kept.keep(term, Posting(np.arange(size), np.ones(size, dtype=np.int64)))
    assert kept.by_term.keys() == {"one", "two"}
    kept.keep("three", Posting(np.arange(3), np.ones(3, dtype=np.int64)))
    assert kept.by_term.keys() == {"three"}
    kept.keep("four", Posting(np.arange(2), np.ones(2, dtype=np.int64)))

    assert kept.by_term.keys() == {"three", "four"}


def test_numbers_of_no_row_are_none() -> None:
    assert numbers_of(None).tolist() == []
    assert numbers_of("7").tolist() == [7]
    assert numbers_of("1,-1,30").tolist() == [1, -1, 30]
