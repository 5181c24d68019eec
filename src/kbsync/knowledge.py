"""Nouns of the knowledge base: jobs, documents and hits, with Bedrock's own words for their states.

Pure values; imports nothing of ours. Source of every state: botocore 1.44.8, service model of bedrock-agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class JobStatus(StrEnum):
    """Bedrock's ingestion job states, kept as they are (botocore 1.44.8, IngestionJobStatus)."""

    STARTING = "STARTING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Whether the job can no longer change."""
        return self in (JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """Bedrock's counts of one job; they prove nothing and may be missing as a whole."""

    scanned: int = 0
    metadata_scanned: int = 0
    new_indexed: int = 0
    modified_indexed: int = 0
    metadata_modified: int = 0
    deleted: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class IngestionJob:
    """One ingestion job; `statistics` of `None` means unknown, not zero."""

    job_id: str
    status: JobStatus
    started_at: datetime
    updated_at: datetime
    description: str = ""
    statistics: JobStatistics | None = None
    failure_reasons: tuple[str, ...] = ()


class DocumentStatus(StrEnum):
    """Bedrock's states of one document, kept as they are (botocore 1.44.8, DocumentStatus)."""

    INDEXED = "INDEXED"
    PARTIALLY_INDEXED = "PARTIALLY_INDEXED"
    PENDING = "PENDING"
    FAILED = "FAILED"
    METADATA_PARTIALLY_INDEXED = "METADATA_PARTIALLY_INDEXED"
    METADATA_UPDATE_FAILED = "METADATA_UPDATE_FAILED"
    IGNORED = "IGNORED"
    NOT_FOUND = "NOT_FOUND"
    STARTING = "STARTING"
    IN_PROGRESS = "IN_PROGRESS"
    DELETING = "DELETING"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"

    @property
    def is_refusal(self) -> bool:
        """Whether the knowledge base has looked at the document and not taken it whole."""
        return self in (
            DocumentStatus.FAILED,
            DocumentStatus.IGNORED,
            DocumentStatus.PARTIALLY_INDEXED,
            DocumentStatus.METADATA_PARTIALLY_INDEXED,
            DocumentStatus.METADATA_UPDATE_FAILED,
        )


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """The knowledge base's word on one document; `updated_at` is absent where it has none."""

    key: str
    status: DocumentStatus
    updated_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: where it came from, how well it fits, its text and its sidecar attributes."""

    document_key: str
    score: float
    text: str
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
