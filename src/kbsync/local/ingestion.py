"""Carries an ingestion job on, one bounded slice per call: scan, batches of documents, finish.

Each slice ends in one transaction, so a killed process loses at most the slice in hand, and whoever asks for
the job next goes on. A lock of the operating system keeps two processes from doing the same slice; it is free
again the moment its holder dies. Source: AWS_FACTS.md, section 5, for what a job counts as changed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from kbsync.knowledge import DocumentStatus, IngestionJob, JobStatistics, JobStatus
from kbsync.local.document_rows import DocumentRows, StoredDocument
from kbsync.local.documents_folder import Found, Reading, read_document, scan_folder
from kbsync.local.embedder import Embedder
from kbsync.local.faults import FaultCounter
from kbsync.local.folder_plan import FolderPlan
from kbsync.local.jobs import Jobs, with_reasons
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.model import Clock

DOCUMENTS_PER_SLICE = 64
_LOCK_WAIT_SECONDS = 0.2
"""How long a look at a job waits for the process that is at it: so nobody spins who polls without a pause."""
TEXT_VERSION = 1
"""Raised when the text that is embedded is made in another way: then every document is embedded anew."""


def space_of(embedder: Embedder | None) -> str:
    """Return the name of the vectors this embedder makes; vectors of two spaces are never compared."""
    return f"{embedder.id}/{embedder.dimension}/text-{TEXT_VERSION}" if embedder else ""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the documents are, which of them are ours, and how large a sidecar may be."""

    root: Path
    prefix: str
    most_sidecar_bytes: int


@dataclass(frozen=True, slots=True)
class _Task:
    task_id: int
    key: str
    action: str


@dataclass(frozen=True, slots=True)
class _Change:
    """One document's step: what is stored, what was read (None: gone), and its vector's number."""

    key: str
    stored: StoredDocument | None
    read: Reading | None

    @property
    def is_same_body(self) -> bool:
        return bool(
            self.stored
            and self.read
            and self.stored.status is DocumentStatus.INDEXED is self.read.status
            and self.stored.body_hash == self.read.body_hash
        )

    @property
    def is_same(self) -> bool:
        return bool(
            self.is_same_body
            and self.stored
            and self.read
            and self.stored.sidecar_hash == self.read.sidecar_hash
        )


class Ingestion:
    """The work behind the jobs of one knowledge base file."""

    def __init__(
        self,
        file: KnowledgeBaseFile,
        folder: Folder,
        embedder: Embedder | None,
        now: Clock,
        faults: FaultCounter,
    ) -> None:
        self._file = file
        self._folder = folder
        self._embedder = embedder
        self._now = now
        self._faults = faults
        self._jobs = Jobs(file)
        self._space = space_of(embedder)
        self._rows = DocumentRows(file, self._space)
        self._plan = FolderPlan(file, self._space)
        self.embedded_count = 0

    def advance(self, job_id: str) -> None:
        """Do the next slice of a job that is not final; nothing where another process is at it."""
        lock = FileLock(f"{self._file.path}.ingestion.lock")
        try:
            with lock.acquire(timeout=_LOCK_WAIT_SECONDS):
                job = self._jobs.get(job_id)
                if job.status is JobStatus.STARTING:
                    self._scan(job)
                elif job.status is JobStatus.IN_PROGRESS:
                    self._index(job)
        except Timeout:
            return

    def drop_unused(self) -> None:
        """Drop what no document needs any more; the caller holds the transaction."""
        self._rows.drop_unused_embeddings()
        self._rows.drop_deleted_words()

    def _scan(self, job: IngestionJob) -> None:
        if self._faults.fails_job():
            job = with_reasons(job, ["the ingestion job was made to fail"])
            self._jobs.save(replace(job, status=JobStatus.FAILED, updated_at=self._now()))
            return
        is_blind = self._faults.faults.zero_scan
        scanned = self._plan.scan(() if is_blind else self._files())
        statistics = JobStatistics(
            scanned=scanned.documents, metadata_scanned=scanned.sidecars, failed=scanned.refused
        )
        with self._file.transaction():
            if not is_blind:
                self._plan.write_tasks()
            self._jobs.save(
                replace(
                    with_reasons(job, scanned.reasons),
                    status=JobStatus.IN_PROGRESS,
                    statistics=statistics,
                    updated_at=self._now(),
                )
            )
        self._plan.forget()

    def _files(self) -> Iterator[Found]:
        """Yield what the folder holds, but for documents that a drill leaves out."""
        for each in scan_folder(self._folder.root, self._folder.prefix):
            if each.is_sidecar or not self._faults.ignores_document(each.key):
                yield each

    def _index(self, job: IngestionJob) -> None:
        tasks = [
            _Task(*row)
            for row in self._file.query(
                "SELECT task_id, key, action FROM job_tasks ORDER BY task_id LIMIT ?", (DOCUMENTS_PER_SLICE,)
            )
        ]
        changes = [self._change(task) for task in tasks]
        vectors = self._embed(changes)
        counted: Counter[str] = Counter(asdict(job.statistics or JobStatistics()))
        with self._file.transaction():
            for change in changes:
                counted[self._apply(change, vectors)] += 1
            counted.pop("", None)
            for task in tasks:
                self._file.write("DELETE FROM job_tasks WHERE task_id = ?", (task.task_id,))
            if not tasks:
                self._rows.drop_unused_embeddings()
            self._jobs.save(
                replace(
                    with_reasons(job, _reasons(changes)),
                    status=JobStatus.IN_PROGRESS if tasks else JobStatus.COMPLETE,
                    statistics=JobStatistics(**counted),
                    updated_at=self._now(),
                )
            )
        if self._embedder and not tasks:
            self._embedder.release()

    def _change(self, task: _Task) -> _Change:
        stored = self._rows.stored(task.key)
        if task.action == "delete":
            return _Change(task.key, stored, None)
        read = read_document(self._folder.root, task.key, most_sidecar_bytes=self._folder.most_sidecar_bytes)
        if read and self._faults.fails_document(task.key):
            read = Reading(
                key=task.key,
                status=DocumentStatus.FAILED,
                reason="the document was made to fail",
                body_stat=read.body_stat,
                sidecar_stat=read.sidecar_stat,
            )
        return _Change(task.key, stored, read)

    def _embed(self, changes: Iterable[_Change]) -> dict[str, bytes]:
        """Return the vectors of all texts that have none yet, by text."""
        if self._embedder is None:
            return {}
        texts = {
            change.read.text
            for change in changes
            if change.read and change.read.status is DocumentStatus.INDEXED
        }
        missing = sorted(text for text in texts if self._rows.embedding_of(text) is None)
        if not missing:
            return {}
        rows = self._embedder.embed_documents(missing)
        self.embedded_count += len(missing)
        return {text: row.tobytes() for text, row in zip(missing, rows, strict=True)}

    def _apply(self, change: _Change, vectors: dict[str, bytes]) -> str:
        """Make one change and return the name of the statistic it counts under, or an empty text."""
        stored, read = change.stored, change.read
        if read is None:
            return "deleted" if self._rows.delete(change.key) else ""
        if stored and change.is_same and stored.space == self._space:
            self._rows.touch(stored, read)
            return ""
        self._rows.write(read, self._embedding_id(read, vectors), self._now())
        if read.status is not DocumentStatus.INDEXED:
            return "failed"
        if stored is None or not stored.body_hash or stored.status is not DocumentStatus.INDEXED:
            return "new_indexed"
        if change.is_same:
            return ""
        return "metadata_modified" if change.is_same_body else "modified_indexed"

    def _embedding_id(self, read: Reading, vectors: dict[str, bytes]) -> int | None:
        if self._embedder is None or read.status is not DocumentStatus.INDEXED:
            return None
        if read.text in vectors:
            return self._rows.keep_embedding(read.text, vectors[read.text])
        return self._rows.embedding_of(read.text)


def _reasons(changes: Iterable[_Change]) -> list[str]:
    return [
        f"{change.key}: {change.read.reason}"
        for change in changes
        if change.read and change.read.status is not DocumentStatus.INDEXED
    ]
