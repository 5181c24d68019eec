"""The KnowledgeBase of AWS mode: one Bedrock knowledge base, custom or managed, and one S3 data source of it.

May import its three parts and the ports. Invariant: it only asks and starts jobs; the knowledge base, its
data sources and its documents are changed by nothing here.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from kbsync.aws.bedrock_documents import (
    DOCUMENT_CALLS_PER_SECOND,
    BedrockDocuments,
    Pacer,
    S3Addresses,
)
from kbsync.aws.bedrock_jobs import IngestionJobs
from kbsync.aws.clients import Clients
from kbsync.aws.retrieval import Kind, Retrieval
from kbsync.knowledge import DocumentInfo, Hit, IngestionJob
from kbsync.ports import Page

POLL_SECONDS = 5.0
"""Two percent of the quota of 10 looks a second, which all callers of the account share."""


class BedrockKnowledgeBase:
    """Implements ports.KnowledgeBase; documents are the objects of `bucket`, by their keys."""

    def __init__(  # noqa: PLR0913 - the composition root names each
        self,
        clients: Clients,
        knowledge_base_id: str,
        data_source_id: str,
        bucket: str,
        *,
        kind: Kind = "VECTOR",
        hybrid: bool = True,
        poll_seconds: float = POLL_SECONDS,
        document_calls_per_second: float = DOCUMENT_CALLS_PER_SECOND,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        addresses = S3Addresses(bucket)
        self.poll_seconds = poll_seconds
        self._jobs = IngestionJobs(clients, knowledge_base_id, data_source_id)
        self._documents = BedrockDocuments(
            clients,
            knowledge_base_id,
            data_source_id,
            addresses,
            Pacer(document_calls_per_second, sleep, monotonic),
        )
        self._retrieval = Retrieval(clients, knowledge_base_id, addresses, kind=kind, hybrid=hybrid)

    def start_job(self, *, description: str, client_token: str) -> IngestionJob:
        """Start an ingestion job over all documents; raise JobAlreadyRunningError where one runs."""
        return self._jobs.start(description=description, client_token=client_token)

    def job(self, job_id: str) -> IngestionJob:
        """Return a job as it stands; raise KeyError for an id that was never given."""
        return self._jobs.get(job_id)

    def jobs(self, *, limit: int) -> list[IngestionJob]:
        """Return the newest jobs, newest first, without failure reasons."""
        return self._jobs.newest(limit)

    def documents(self, keys: Sequence[str]) -> dict[str, DocumentInfo]:
        """Return one entry for each key asked, NOT_FOUND included; a key may be missing from the answer."""
        return self._documents.states(keys)

    def list_documents(self, *, cursor: str, limit: int) -> Page[DocumentInfo]:
        """Return one page of all documents that the knowledge base knows."""
        return self._documents.page(cursor=cursor, limit=limit)

    def retrieve(
        self,
        query: str,
        *,
        limit: int,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - Bedrock's word
    ) -> list[Hit]:
        """Return the best hits, best first; an empty query with a filter returns documents that match it."""
        return self._retrieval.retrieve(query, limit=limit, given=filter)

    def describe(self) -> dict[str, str | int]:
        """Return how the next search goes: hybrid, semantic, or managed where the service decides."""
        return {"mode": self._retrieval.mode, "embedder": "bedrock"}
