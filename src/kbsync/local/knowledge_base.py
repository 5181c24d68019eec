"""The embedded KnowledgeBase: Bedrock's manners over one SQLite file, with nothing running in the background.

A job goes on when somebody looks at it. May import apsw through kb_schema, the ports and errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kbsync.knowledge import DocumentInfo, DocumentStatus, Hit, IngestionJob
from kbsync.local.database import cut_page
from kbsync.local.embedder import Embedder
from kbsync.local.faults import FaultCounter, LocalFaults
from kbsync.local.ingestion import Folder, Ingestion, space_of
from kbsync.local.jobs import Jobs
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.local.sidecar import MOST_SIDECAR_BYTES
from kbsync.model import Clock
from kbsync.ports import Page
from kbsync.traces import Traces

if TYPE_CHECKING:
    from kbsync.local.search import Search

WORDS_WEIGHT = 0.25
_COLUMNS = "key, status, updated_at, reason"


class LocalKnowledgeBase:
    """Implements ports.KnowledgeBase; any number of processes may share the file.

    Opening creates the file. Keys are paths below `documents_root` with slashes; only those that start with
    `prefix` are documents.

    Raises:
        SchemaTooNewError (fatal): a newer kbsync wrote the file; it was not changed.
    """

    poll_seconds = 0.0

    def __init__(  # noqa: PLR0913 - the composition root names each
        self,
        path: Path,
        documents_root: Path,
        prefix: str,
        embedder: Embedder | None,
        now: Clock,
        faults: LocalFaults = LocalFaults(),  # noqa: B008 - frozen
        *,
        most_sidecar_bytes: int = MOST_SIDECAR_BYTES,
        words_weight: float = WORDS_WEIGHT,
    ) -> None:
        self._file = KnowledgeBaseFile(path)
        self._embedder = embedder
        self._now = now
        self._faults = FaultCounter(faults)
        self._jobs = Jobs(self._file)
        folder = Folder(documents_root, prefix, most_sidecar_bytes)
        self._ingestion = Ingestion(self._file, folder, embedder, now, self._faults)
        self._words_weight = words_weight

    @cached_property
    def _search(self) -> "Search":
        from kbsync.local.search import Search  # noqa: PLC0415 - brings numpy, which a run that is idle does without

        return Search(self._file, self._embedder, space_of(self._embedder), self._words_weight)

    @property
    def embedded(self) -> int:
        """Number of texts that this object has embedded for documents so far."""
        return self._ingestion.embedded_count

    def start_job(self, *, description: str, client_token: str) -> IngestionJob:
        """Start an ingestion job over all documents; raise JobAlreadyRunningError where one runs."""
        self._faults.fail_call()
        self._faults.fail_start()
        return self._seen(
            self._jobs.start(description=description, client_token=client_token, at=self._now())
        )

    def job(self, job_id: str) -> IngestionJob:
        """Do the next slice of an active job, then return it; raise KeyError for an unknown id."""
        self._faults.fail_call()
        job = self._jobs.get(job_id)
        if not job.status.is_final and not self._faults.delays(job_id):
            self._ingestion.advance(job_id)
            job = self._jobs.get(job_id)
        return self._seen(job)

    def jobs(self, *, limit: int) -> list[IngestionJob]:
        """Return the newest jobs, newest first, without failure reasons."""
        self._faults.fail_call()
        return [self._seen(job) for job in self._jobs.newest(limit)]

    def documents(self, keys: Sequence[str]) -> dict[str, DocumentInfo]:
        """Return one entry for each key asked, NOT_FOUND included."""
        self._faults.fail_call()
        answer = {}
        for key in keys:
            rows = self._file.query(f"SELECT {_COLUMNS} FROM documents WHERE key = ?", (key,))  # noqa: S608 - fixed texts
            answer[key] = _document(*rows[0]) if rows else DocumentInfo(key, DocumentStatus.NOT_FOUND)
        return answer

    def list_documents(self, *, cursor: str, limit: int) -> Page[DocumentInfo]:
        """Return one page of all documents that the knowledge base knows, by key."""
        self._faults.fail_call()
        rows = self._file.query(
            f"SELECT {_COLUMNS} FROM documents WHERE key > ? ORDER BY key LIMIT ?",  # noqa: S608 - fixed texts
            (cursor, limit + 1),
        )
        return cut_page([_document(*row) for row in rows], limit, lambda document: document.key)

    def retrieve(
        self,
        query: str,
        *,
        limit: int,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - Bedrock's word
    ) -> list[Hit]:
        """Return the best hits, best first; an empty query with a filter returns documents that match it."""
        self._faults.fail_call()
        return self._search.retrieve(query, limit=limit, given=filter)

    def describe(self) -> dict[str, str | int]:
        """Return what makes the vectors, and whether search goes by meaning and words or by words only."""
        if self._embedder is None:
            return {"mode": "lexical", "embedder": "none", "dimension": 0}
        return {"mode": "hybrid", "embedder": self._embedder.id, "dimension": self._embedder.dimension}

    def forget(self, traces: Traces) -> None:
        """Drop unused vectors, deleted words and what jobs said of these documents, then freed pages."""
        with self._file.transaction():
            self._ingestion.drop_unused()
            self._jobs.forget(traces)
        self._file.compact()

    def close(self) -> None:
        """Close the file; a repeat does nothing."""
        self._file.close()

    def _seen(self, job: IngestionJob) -> IngestionJob:
        return replace(job, statistics=None) if self._faults.faults.statistics_missing else job


def _document(key: str, status: str, updated_at: str, reason: str) -> DocumentInfo:
    return DocumentInfo(key, DocumentStatus(status), datetime.fromisoformat(updated_at), reason)
