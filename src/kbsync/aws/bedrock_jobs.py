"""Ingestion jobs of one Bedrock data source: started, looked at, listed.

May import boto3 through clients, the model and errors. Invariant: a state this code does not know counts as
one that may still change, never as an end.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from kbsync.aws.aws_errors import code_of, translated_aws_errors
from kbsync.aws.clients import Clients
from kbsync.knowledge import IngestionJob, JobStatistics, JobStatus

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent.type_defs import (
        IngestionJobStatisticsTypeDef,
        IngestionJobSummaryTypeDef,
        IngestionJobTypeDef,
        StartIngestionJobRequestTypeDef,
    )

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{31,254}[A-Za-z0-9]")
_JOB_ID = re.compile(r"[0-9a-zA-Z]{10}")
_MOST_DESCRIPTION_CHARACTERS = 200
_MOST_JOBS_A_PAGE = 1_000
"""Source of these four: botocore 1.44.8, ClientToken, Id, Description, MaxResults."""
_KNOWN = frozenset(map(str, JobStatus))
_MOST_REASONS = 100
_MOST_REASON_CHARACTERS = 2_048


class IngestionJobs:
    """The jobs of one data source; a knowledge base runs one at a time over all its data sources."""

    def __init__(self, clients: Clients, knowledge_base_id: str, data_source_id: str) -> None:
        self._clients = clients
        self._knowledge_base_id = knowledge_base_id
        self._data_source_id = data_source_id

    def start(self, *, description: str, client_token: str) -> IngestionJob:
        """Start a job over all documents, or return the job that this token has started before.

        Raises:
            ValueError: not a client token; nothing was called.
            JobAlreadyRunningError (retriable): a job runs, perhaps of another data source; nothing started.
            ThrottledError (retriable): a quota; nothing started.
            UnavailableError (retriable): it may have started: repeat it with the same token.
        """
        if not _TOKEN.fullmatch(client_token):
            raise ValueError("a client token is 33 to 256 letters, digits and hyphens, no hyphen at the ends")
        request: StartIngestionJobRequestTypeDef = {
            "knowledgeBaseId": self._knowledge_base_id,
            "dataSourceId": self._data_source_id,
            "clientToken": client_token,
        }
        if description:
            request["description"] = description[:_MOST_DESCRIPTION_CHARACTERS]
        with translated_aws_errors(self._subject):
            reply = self._clients.bedrock.start_ingestion_job(**request)
        return _job(reply["ingestionJob"])

    def get(self, job_id: str) -> IngestionJob:
        """Return a job with its failure reasons; raise KeyError for an id that was never given here."""
        if not _JOB_ID.fullmatch(job_id):
            raise KeyError(job_id)
        with translated_aws_errors(self._subject):
            try:
                reply = self._clients.bedrock.get_ingestion_job(
                    knowledgeBaseId=self._knowledge_base_id,
                    dataSourceId=self._data_source_id,
                    ingestionJobId=job_id,
                )
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise KeyError(job_id) from None
                raise
        return _job(reply["ingestionJob"])

    def newest(self, limit: int) -> list[IngestionJob]:
        """Return the jobs that started last, newest first; a listing has no failure reasons."""
        pages = self._clients.bedrock.get_paginator("list_ingestion_jobs").paginate(
            knowledgeBaseId=self._knowledge_base_id,
            dataSourceId=self._data_source_id,
            sortBy={"attribute": "STARTED_AT", "order": "DESCENDING"},
            PaginationConfig={"MaxItems": limit, "PageSize": min(limit, _MOST_JOBS_A_PAGE)},
        )
        with translated_aws_errors(self._subject):
            found = [_job(each) for page in pages for each in page["ingestionJobSummaries"]]
        return sorted(found, key=lambda job: job.started_at, reverse=True)

    @property
    def _subject(self) -> str:
        return f"data source {self._data_source_id} of knowledge base {self._knowledge_base_id}"


def _job(given: "IngestionJobTypeDef | IngestionJobSummaryTypeDef") -> IngestionJob:
    return IngestionJob(
        job_id=given["ingestionJobId"],
        status=_status(given["status"]),
        started_at=given["startedAt"],
        updated_at=given["updatedAt"],
        description=given.get("description", ""),
        statistics=_statistics(given.get("statistics")),
        failure_reasons=_reasons(given),
    )


def _status(text: str) -> JobStatus:
    return JobStatus(text) if text in _KNOWN else JobStatus.IN_PROGRESS


def _statistics(given: "IngestionJobStatisticsTypeDef | None") -> JobStatistics | None:
    """Return the counts, or None where the service tells none: unknown is not zero (CASES.md O-03)."""
    if not given:
        return None
    return JobStatistics(
        scanned=given.get("numberOfDocumentsScanned", 0),
        metadata_scanned=given.get("numberOfMetadataDocumentsScanned", 0),
        new_indexed=given.get("numberOfNewDocumentsIndexed", 0),
        modified_indexed=given.get("numberOfModifiedDocumentsIndexed", 0),
        metadata_modified=given.get("numberOfMetadataDocumentsModified", 0),
        deleted=given.get("numberOfDocumentsDeleted", 0),
        failed=given.get("numberOfDocumentsFailed", 0),
    )


def _reasons(given: Mapping[str, object]) -> tuple[str, ...]:
    reasons = cast("Sequence[str]", given.get("failureReasons", ()))  # a listing has none
    return tuple(reason[:_MOST_REASON_CHARACTERS] for reason in reasons[:_MOST_REASONS])
