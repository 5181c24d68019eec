"""The doctor's look at the knowledge base: kind, store, its data source, other data sources, and jobs.

Imports clients and findings. Invariant: Get and List calls only; no job is started, nothing is retrieved.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from kbsync.aws.doctor_calls import asking, wrong_region
from kbsync.aws.doctor_data_source import DataSourceChecks
from kbsync.aws.doctor_place import Place
from kbsync.aws.doctor_tables import region_of_arn
from kbsync.doctor.finding import Check, Code, Finding, error, warning, well

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent.type_defs import KnowledgeBaseTypeDef

SIDECAR_BYTES = {"S3_VECTORS": 1024}
"""Most bytes of a sidecar by vector store, where less than the documented 10,240.
Source: AWS_FACTS.md, section 2."""
KINDS = {"custom": "VECTOR", "managed": "MANAGED"}


class KnowledgeBaseChecks:
    """All checks of `KB_ID` and `DATA_SOURCE_ID`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._id = place.settings.kb_id
        self._subject = f"knowledge base {self._id}"
        self._sources = DataSourceChecks(place, lambda: self._knowledge_base)

    def checks(self) -> list[tuple[str, Check]]:
        """Return every check with its name."""
        checks = (
            self.check_kind,
            self.check_budget,
            *self._sources.checks(),
            self.check_jobs,
            self.check_documents,
        )
        return [(self._subject, check) for check in checks]

    @cached_property
    def _knowledge_base(self) -> "KnowledgeBaseTypeDef":
        remedy = f"check KB_ID (here {self._id}), the account, and AWS_REGION (here {self._place.region})"
        seen = f"there is none in {self._place.region}"
        absent = error(Code.KNOWLEDGE_BASE_MISSING, self._subject, seen, remedy)
        with asking("bedrock:GetKnowledgeBase", self._subject, absent=absent):
            return self._place.clients.bedrock.get_knowledge_base(knowledgeBaseId=self._id)["knowledgeBase"]

    def check_kind(self) -> Iterator[Finding]:
        """Judge region, status, and whether the kind is the one that the settings say."""
        found = self._knowledge_base
        there = region_of_arn(found["knowledgeBaseArn"])
        if there and there != self._place.region:
            yield wrong_region(self._subject, there, self._place.region)
        if found["status"] not in ("ACTIVE", "UPDATING"):
            why = "; ".join(found.get("failureReasons", [])) or "no reason is given"
            seen = f"it is {found['status']} ({why})"
            yield error(
                Code.KNOWLEDGE_BASE_STATUS, self._subject, seen, "mend it in Bedrock, or name another KB_ID"
            )
        kind = found["knowledgeBaseConfiguration"]["type"]
        wanted = KINDS[self._place.settings.kb_type]
        if kind != wanted:
            fitting = next((name for name, each in KINDS.items() if each == kind), "")
            remedy = (
                f"set KB_TYPE={fitting}" if fitting else "name a knowledge base that reads documents from S3"
            )
            seen = f"its type is {kind}, and KB_TYPE={self._place.settings.kb_type} means {wanted}"
            yield error(Code.KB_TYPE, self._subject, seen, remedy)
        else:
            yield well(
                Code.KNOWLEDGE_BASE, self._subject, f"{found['status']}, {kind}, {self._store or 'own store'}"
            )

    @property
    def _store(self) -> str:
        return str(self._knowledge_base.get("storageConfiguration", {}).get("type", ""))

    def check_budget(self) -> Iterator[Finding]:
        """Judge whether the vector store takes sidecars of the size that the settings allow."""
        budget_bytes, most_bytes = self._place.settings.metadata_budget_bytes, SIDECAR_BYTES.get(self._store)
        if most_bytes is not None and budget_bytes > most_bytes:
            seen = (
                f"METADATA_BUDGET_BYTES={budget_bytes}, and {self._store} takes {most_bytes}:"
                " documents with larger metadata are left out without an error"
            )
            yield error(Code.SIDECAR_BUDGET, self._subject, seen, f"set METADATA_BUDGET_BYTES={most_bytes}")

    def check_jobs(self) -> Iterator[Finding]:
        """Look at the newest ingestion job of our data source."""
        settings, bedrock = self._place.settings, self._place.clients.bedrock
        subject = f"data source {settings.data_source_id}"
        with asking("bedrock:ListIngestionJobs", subject, absent=self._sources.absent()):
            jobs = bedrock.list_ingestion_jobs(
                knowledgeBaseId=self._id,
                dataSourceId=settings.data_source_id,
                sortBy={"attribute": "STARTED_AT", "order": "DESCENDING"},
                maxResults=1,
            )["ingestionJobSummaries"]
        if not jobs:
            yield well(Code.JOBS, subject, "no ingestion job yet")
            return
        newest = jobs[0]
        with asking("bedrock:GetIngestionJob", subject):
            job = bedrock.get_ingestion_job(
                knowledgeBaseId=self._id,
                dataSourceId=settings.data_source_id,
                ingestionJobId=newest["ingestionJobId"],
            )["ingestionJob"]
        seen = f"the newest job, {job['ingestionJobId']}, is {job['status']}"
        if job["status"] == "FAILED":
            why = "; ".join(job.get("failureReasons", []))[:300] or "no reason is given"
            remedy = "allow its role s3:GetObject, s3:ListBucket and bedrock:InvokeModel, then sync"
            yield warning(Code.JOB_FAILED, subject, f"{seen}: {why}", remedy)
        else:
            yield well(Code.JOBS, subject, seen)

    def check_documents(self) -> Iterator[Finding]:
        """Try both reads of document states; the document that is asked for does not exist."""
        settings, bedrock = self._place.settings, self._place.clients.bedrock
        subject = f"data source {settings.data_source_id}"
        uri = f"s3://{settings.s3_bucket}/{settings.s3_prefix}kbsync-doctor-looks-for-nothing.md"
        with asking("bedrock:GetKnowledgeBaseDocuments", subject, absent=self._sources.absent()):
            bedrock.get_knowledge_base_documents(
                knowledgeBaseId=self._id,
                dataSourceId=settings.data_source_id,
                documentIdentifiers=[{"dataSourceType": "S3", "s3": {"uri": uri}}],
            )
        with asking("bedrock:ListKnowledgeBaseDocuments", subject, absent=self._sources.absent()):
            bedrock.list_knowledge_base_documents(
                knowledgeBaseId=self._id, dataSourceId=settings.data_source_id, maxResults=1
            )
        yield well(Code.JOBS, subject, "document states can be read")
