"""Ingestion jobs as rows: started by one process, carried on by whichever asks next."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from uuid import uuid4

from kbsync.errors import JobAlreadyRunningError
from kbsync.knowledge import IngestionJob, JobStatistics, JobStatus
from kbsync.local.database import Row
from kbsync.local.kb_schema import KnowledgeBaseFile
from kbsync.traces import Traces

_COLUMNS = "job_id, status, started_at, updated_at, description, statistics, failure_reasons"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{31,254}[A-Za-z0-9]")
_MOST_REASONS = 100
_MOST_REASON_CHARACTERS = 2_048
"""Source: botocore 1.44.8, FailureReasons (at most 2,048 of 2,048 characters each; we keep fewer)."""


class Jobs:
    """The jobs table; at most one job is not final at any time."""

    def __init__(self, file: KnowledgeBaseFile) -> None:
        self._file = file

    def start(self, *, description: str, client_token: str, at: datetime) -> IngestionJob:
        """Add a job in STARTING and return it, or the job that this token has started before.

        Raises:
            ValueError: the token is not 33 to 256 letters, digits and inner hyphens (botocore, ClientToken).
            JobAlreadyRunningError (retriable): another job is not final; nothing was added.
        """
        if not _TOKEN.fullmatch(client_token):
            raise ValueError("a client token is 33 to 256 letters, digits and hyphens, no hyphen at the ends")
        with self._file.transaction():
            earlier = self._select("WHERE client_token = ?", client_token)
            if earlier:
                return earlier[0]
            running = self.active()
            if running is not None:
                raise JobAlreadyRunningError(f"ingestion job {running.job_id} is running")
            job = IngestionJob(uuid4().hex[:10].upper(), JobStatus.STARTING, at, at, description[:200])
            self._file.write(
                f"INSERT INTO jobs (client_token, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - fixed texts
                (client_token, *_row(replace(job, statistics=JobStatistics()))),
            )
        return replace(job, statistics=JobStatistics())

    def get(self, job_id: str) -> IngestionJob:
        """Return one job; raise KeyError for an id that was never given."""
        found = self._select("WHERE job_id = ?", job_id)
        if not found:
            raise KeyError(job_id)
        return found[0]

    def newest(self, limit: int) -> list[IngestionJob]:
        """Return the newest jobs, newest first, without failure reasons."""
        return [
            replace(job, failure_reasons=())
            for job in self._select("ORDER BY number DESC LIMIT ?", max(limit, 0))
        ]

    def active(self) -> IngestionJob | None:
        """Return the job that is not final, if there is one."""
        found = self._select("WHERE status IN ('STARTING', 'IN_PROGRESS')")
        return found[0] if found else None

    def save(self, job: IngestionJob) -> None:
        """Replace a job's row; its failure reasons are cut to what Bedrock would keep."""
        _, *values = _row(job)
        self._file.write(
            "UPDATE jobs SET status = ?, started_at = ?, updated_at = ?, description = ?, statistics = ?,"
            " failure_reasons = ? WHERE job_id = ?",
            (*values, job.job_id),
        )

    def forget(self, traces: Traces) -> None:
        """Remove the failure reasons that name them; the caller holds the transaction."""
        for job in self._select("WHERE failure_reasons <> '[]'"):
            kept = tuple(reason for reason in job.failure_reasons if not traces.are_in(reason))
            if kept != job.failure_reasons:
                self.save(replace(job, failure_reasons=kept))

    def _select(self, where: str, *bindings: object) -> list[IngestionJob]:
        return [_job(row) for row in self._file.query(f"SELECT {_COLUMNS} FROM jobs {where}", bindings)]  # noqa: S608 - fixed texts


def with_reasons(job: IngestionJob, reasons: Iterable[str]) -> IngestionJob:
    """Return the job with more failure reasons, as many as a job keeps."""
    cut = (reason[:_MOST_REASON_CHARACTERS] for reason in reasons)
    return replace(job, failure_reasons=(*job.failure_reasons, *cut)[:_MOST_REASONS])


def _row(job: IngestionJob) -> tuple[str, ...]:
    return (
        job.job_id,
        job.status,
        job.started_at.isoformat(),
        job.updated_at.isoformat(),
        job.description,
        json.dumps(asdict(job.statistics or JobStatistics())),
        json.dumps(job.failure_reasons),
    )


def _job(row: Row) -> IngestionJob:
    job_id, status, started_at, updated_at, description, statistics, reasons = row
    return IngestionJob(
        job_id=job_id,
        status=JobStatus(status),
        started_at=datetime.fromisoformat(started_at),
        updated_at=datetime.fromisoformat(updated_at),
        description=description,
        statistics=JobStatistics(**json.loads(statistics)),
        failure_reasons=tuple(json.loads(reasons)),
    )
