"""How an embedded ingestion job goes on: in slices, by anybody, after any death, embedding nothing twice."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kbsync.errors import JobAlreadyRunningError, UnavailableError
from kbsync.knowledge import DocumentStatus, IngestionJob, JobStatistics, JobStatus
from kbsync.local import ingestion
from kbsync.local.embedder import HashEmbedder
from kbsync.local.faults import LocalFaults
from kbsync.local.jobs import with_reasons
from kbsync.local.knowledge_base import LocalKnowledgeBase

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from kbsync.local import ingestion
from kbsync.local.embedder import HashEmbedder
from kbsync.local.knowledge_base import LocalKnowledgeBase

folder, mode = Path(sys.argv[1]), sys.argv[2]
ingestion.DOCUMENTS_PER_SLICE = 3

class Embedder(HashEmbedder):
    calls = 0
    def embed_documents(self, texts):
        self.calls += 1
        if mode == "dies" and self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "waits":
            print("embedding", flush=True)
            sys.stdin.readline()
        return super().embed_documents(texts)

kb = LocalKnowledgeBase(folder / "kb.db", folder, "incidents/", Embedder(), lambda: datetime.now(UTC))
job = kb.jobs(limit=1)[0]
for _ in range(4 if mode == "dies" else 2):
    job = kb.job(job.job_id)
print(kb.embedded, flush=True)
"""


class Clock:
    """A second passes with each look."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Home:
    """A documents folder and any number of knowledge base objects over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.tokens = 0

    def open(
        self, embedder: HashEmbedder | None = None, faults: LocalFaults | None = None
    ) -> LocalKnowledgeBase:
        return LocalKnowledgeBase(
            self.folder / "kb.db",
            self.folder,
            "incidents/",
            embedder or HashEmbedder(),
            self.clock,
            faults or LocalFaults(),
        )

    def put(self, name: str, text: str, metadata: dict[str, object] | None = None) -> None:
        path = self.folder / "incidents" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if metadata:
            sidecar = json.dumps({"metadataAttributes": metadata})
            (path.parent / f"{name}.md.metadata.json").write_text(sidecar, encoding="utf-8")

    def remove(self, name: str) -> None:
        (self.folder / "incidents" / f"{name}.md").unlink()

    def start(self, knowledge_base: LocalKnowledgeBase) -> IngestionJob:
        self.tokens += 1
        return knowledge_base.start_job(description="", client_token=f"{self.tokens:040}")

    def run(self, knowledge_base: LocalKnowledgeBase) -> IngestionJob:
        return finish(knowledge_base, self.start(knowledge_base))


def finish(knowledge_base: LocalKnowledgeBase, job: IngestionJob) -> IngestionJob:
    while not job.status.is_final:
        job = knowledge_base.job(job.job_id)
    return job


def indexed(knowledge_base: LocalKnowledgeBase) -> list[str]:
    listed = knowledge_base.list_documents(cursor="", limit=1_000).items
    return [each.key for each in listed if each.status is DocumentStatus.INDEXED]


def child(home: Home, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home.folder), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def ten(home: Home) -> Home:
    """Ten different documents."""
    for number in range(10):
        home.put(f"{number}", f"# Incident {number}", {"incident_id": f"{number}"})
    return home


def test_job_killed_in_the_middle_is_resumed_by_another_and_embeds_only_the_rest(ten: Home) -> None:
    """P7, P4: the killed process had stored its first slice of three; the slice in hand is done again."""
    job = ten.start(ten.open())
    killed = child(ten, "dies")
    killed.communicate()
    resumed = ten.open()

    ended = finish(resumed, job)

    assert killed.returncode == -9
    assert ended.status is JobStatus.COMPLETE
    assert resumed.embedded == 7
    assert ended.statistics == JobStatistics(scanned=10, metadata_scanned=10, new_indexed=10)
    assert len(indexed(resumed)) == 10
    assert resumed._file.integrity_check() == []


def test_job_another_process_is_at_is_left_to_it(ten: Home) -> None:
    knowledge_base = ten.open()
    job = ten.start(knowledge_base)
    working = child(ten, "waits")
    assert working.stdout is not None
    assert working.stdout.readline() == "embedding\n"

    looked_at = knowledge_base.job(job.job_id)
    output, _ = working.communicate("go on\n")
    ended = finish(knowledge_base, job)

    assert looked_at.status is JobStatus.IN_PROGRESS
    assert int(output) == 3
    assert knowledge_base.embedded == 7
    assert ended.status is JobStatus.COMPLETE


def test_two_that_advance_one_job_share_the_work(ten: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "DOCUMENTS_PER_SLICE", 1)
    both = [ten.open(), ten.open()]
    job = ten.start(both[0])

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(lambda each: finish(each, job), both))

    assert [each.status for each in ended] == [JobStatus.COMPLETE] * 2
    assert sum(each.embedded for each in both) == 10
    assert ended[0].statistics is not None
    assert ended[0].statistics.new_indexed == 10


def test_every_slice_is_stored_before_the_next(ten: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "DOCUMENTS_PER_SLICE", 4)
    knowledge_base = ten.open()
    job = ten.start(knowledge_base)

    seen = []
    while not job.status.is_final:
        job = knowledge_base.job(job.job_id)
        seen.append(len(indexed(ten.open())))

    assert seen == [0, 4, 8, 10, 10]


def test_second_job_over_the_same_bytes_embeds_nothing(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)

    again = ten.run(knowledge_base)

    assert knowledge_base.embedded == 10
    assert again.statistics == JobStatistics(scanned=10, metadata_scanned=10)


def test_same_bytes_written_again_embed_nothing_and_keep_their_time(ten: Home) -> None:
    """O-34: a new time of the file is no change."""
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    before = knowledge_base.documents(["incidents/3.md"])
    (ten.folder / "incidents" / "3.md").unlink()
    ten.put("3", "# Incident 3", {"incident_id": "3"})

    job = ten.run(knowledge_base)

    assert knowledge_base.embedded == 10
    assert knowledge_base.documents(["incidents/3.md"]) == before
    assert job.statistics == JobStatistics(scanned=10, metadata_scanned=10)


def test_changed_sidecar_alone_embeds_nothing_and_is_filtered_by_at_once(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    ten.put("3", "# Incident 3", {"incident_id": "3", "severity": "HIGH"})

    job = ten.run(knowledge_base)

    hits = knowledge_base.retrieve("", limit=5, filter={"equals": {"key": "severity", "value": "HIGH"}})
    assert knowledge_base.embedded == 10
    assert [hit.metadata for hit in hits] == [{"incident_id": "3", "severity": "HIGH"}]
    assert job.statistics == JobStatistics(scanned=10, metadata_scanned=10, metadata_modified=1)


def test_exactly_the_edited_documents_are_embedded(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    for number in (2, 5, 7):
        ten.put(f"{number}", f"# Incident {number}, edited")

    job = ten.run(knowledge_base)

    assert knowledge_base.embedded == 13
    assert job.statistics is not None
    assert job.statistics.modified_indexed == 3


def test_equal_texts_are_embedded_once_and_both_found(home: Home) -> None:
    """O-37: two documents of one text are two documents."""
    home.put("a", "# The same", {"incident_id": "a"})
    home.put("b", "# The same", {"incident_id": "b"})
    knowledge_base = home.open()

    home.run(knowledge_base)

    assert knowledge_base.embedded == 1
    assert len(knowledge_base.retrieve("same", limit=5)) == 2


def test_removed_document_leaves_nothing_of_itself_in_the_file(home: Home) -> None:
    """P3: neither text, nor words, nor attributes, nor a vector."""
    home.put("a", "# Zebra crossing", {"incident_id": "zebra"})
    home.put("b", "# Pool exhausted")
    knowledge_base = home.open()
    home.run(knowledge_base)
    home.remove("a")

    job = home.run(knowledge_base)

    file = knowledge_base._file
    assert job.statistics is not None
    assert job.statistics.deleted == 1
    assert file.query("SELECT count(*) FROM documents") == [(1,)]
    assert file.query("SELECT count(*) FROM embeddings") == [(1,)]
    assert file.query("SELECT count(*) FROM attributes") == [(0,)]
    assert file.query("SELECT term FROM word_documents WHERE term = 'zebra'") == []


def test_document_removed_between_scan_and_reading_is_gone_afterwards(ten: Home) -> None:
    knowledge_base = ten.open()
    job = knowledge_base.job(ten.start(knowledge_base).job_id)
    ten.remove("3")

    finish(knowledge_base, job)

    assert "incidents/3.md" not in indexed(knowledge_base)
    assert len(indexed(knowledge_base)) == 9


def test_stored_document_removed_between_scan_and_reading_is_gone_afterwards(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    ten.put("3", "# Incident 3, edited")
    job = knowledge_base.job(ten.start(knowledge_base).job_id)
    ten.remove("3")

    finish(knowledge_base, job)

    assert "incidents/3.md" not in indexed(knowledge_base)


def test_document_on_its_way_out_is_not_found_any_more(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    ten.remove("3")

    knowledge_base.job(ten.start(knowledge_base).job_id)

    state = knowledge_base.documents(["incidents/3.md"])["incidents/3.md"].status
    assert state is DocumentStatus.DELETING
    assert "incidents/3.md" not in [hit.document_key for hit in knowledge_base.retrieve("incident", limit=20)]


def test_document_that_became_unacceptable_is_not_found_with_its_old_text(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)
    ten.put("3", "# Incident 3", {"severity": None})

    ten.run(knowledge_base)

    answer = knowledge_base.documents(["incidents/3.md"])["incidents/3.md"]
    assert answer.status is DocumentStatus.IGNORED
    assert "incidents/3.md" not in [hit.document_key for hit in knowledge_base.retrieve("incident", limit=20)]


def test_refused_document_that_is_put_right_counts_as_new(home: Home) -> None:
    home.put("a", "# Title", {"severity": None})
    knowledge_base = home.open()
    home.run(knowledge_base)
    home.put("a", "# Title", {"severity": "HIGH"})

    job = home.run(knowledge_base)

    assert job.statistics == JobStatistics(scanned=1, metadata_scanned=1, new_indexed=1)


def test_embedding_that_fails_leaves_the_job_where_it_was(ten: Home) -> None:
    class Failing(HashEmbedder):
        failures = 1

        def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if self.failures:
                self.failures -= 1
                raise UnavailableError("no memory")
            return super().embed_documents(texts)

    knowledge_base = ten.open(Failing())
    job = knowledge_base.job(ten.start(knowledge_base).job_id)

    with pytest.raises(UnavailableError, match="no memory"):
        knowledge_base.job(job.job_id)

    assert finish(knowledge_base, job).status is JobStatus.COMPLETE
    assert knowledge_base.embedded == 10


def test_embedder_is_asked_to_let_go_when_the_job_has_ended(ten: Home) -> None:
    released = []

    class Watching(HashEmbedder):
        def release(self) -> None:
            released.append(True)

    knowledge_base = ten.open(Watching())
    ten.run(knowledge_base)

    assert released == [True]


def test_job_of_a_killed_process_stands_in_the_way_until_somebody_finishes_it(ten: Home) -> None:
    job = ten.start(ten.open())
    later = ten.open()

    with pytest.raises(JobAlreadyRunningError, match=job.job_id):
        ten.start(later)

    finish(later, job)
    assert ten.run(later).status is JobStatus.COMPLETE


def test_reasons_of_a_job_are_bounded() -> None:
    job = IngestionJob("J", JobStatus.IN_PROGRESS, NOON, NOON)

    full = with_reasons(job, ["x" * 5_000] * 150)

    assert len(full.failure_reasons) == 100
    assert {len(reason) for reason in full.failure_reasons} == {2_048}


def test_closed_knowledge_base_can_be_closed_again_and_opened_anew(ten: Home) -> None:
    knowledge_base = ten.open()
    ten.run(knowledge_base)

    knowledge_base.close()
    knowledge_base.close()

    assert len(indexed(ten.open())) == 10
