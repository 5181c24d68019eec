"""Ingestion over the documents of a bucket: incremental by ETag, partial, with deletions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from bedrock_double.rules import (
    MOST_SIDECAR_BYTES,
    SIDECAR,
    Attributes,
    RefusedError,
    attributes_of,
    chunks_of,
    is_supported,
    text_of,
)
from bedrock_double.switches import Place, Switches

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COUNTS = (
    "numberOfDocumentsScanned",
    "numberOfMetadataDocumentsScanned",
    "numberOfNewDocumentsIndexed",
    "numberOfModifiedDocumentsIndexed",
    "numberOfMetadataDocumentsModified",
    "numberOfDocumentsDeleted",
    "numberOfDocumentsFailed",
)


@dataclass
class Job:
    """One ingestion job; `work` holds what the scan found to do: key to whether it is to be removed."""

    job_id: str
    started_at: datetime
    updated_at: datetime
    description: str = ""
    status: str = "STARTING"
    looks: int = 0
    work: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    @property
    def is_final(self) -> bool:
        return self.status in ("COMPLETE", "FAILED", "STOPPED")

    def count(self, name: str) -> None:
        self.counts[name] += 1


@dataclass
class Held:
    """What the knowledge base keeps of one document."""

    status: str
    updated_at: datetime
    reason: str = ""
    body_etag: str = ""
    sidecar_etag: str = ""
    chunks: list[str] = field(default_factory=list)
    attributes: Attributes = field(default_factory=dict)


class Ingestion:
    """Reads the bucket and keeps what it found; `embedded_count` counts passages that would be paid for."""

    def __init__(self, s3: "S3Client", place: Place, switches: Switches) -> None:
        self._s3 = s3
        self._place = place
        self._switches = switches
        self.held: dict[str, Held] = {}
        self.embedded_count = 0

    def scan(self, job: Job, at: datetime) -> None:
        """Look at every object under the prefix and note what differs from what is held."""
        found = {} if self._switches.zero_scan else self._objects()
        sidecars = {key: etag for key, etag in found.items() if key.endswith(SIDECAR)}
        documents = {key: etag for key, etag in found.items() if key not in sidecars}
        job.counts["numberOfDocumentsScanned"] = len(documents)
        job.counts["numberOfMetadataDocumentsScanned"] = len(sidecars)
        readable = {key: etag for key, etag in documents.items() if is_supported(key)}
        refused = [key for key in documents if key not in readable]
        if refused:
            job.counts["numberOfDocumentsFailed"] = len(refused)
            files = ", ".join(f"s3://{self._place.bucket}/{key}" for key in refused[:10])
            job.reasons.append(
                f"Ignored {len(refused)} files as their file format was not supported. [Files: {files}]"
            )
        if not self._switches.zero_scan:
            self._plan(job, readable, sidecars, at)

    def _plan(
        self, job: Job, documents: Mapping[str, str], sidecars: Mapping[str, str], at: datetime
    ) -> None:
        for key, etag in documents.items():
            held = self.held.get(key)
            current = ("INDEXED", etag, sidecars.get(key + SIDECAR, ""))
            if held is None or (held.status, held.body_etag, held.sidecar_etag) != current:
                job.work[key] = False
                if held is None:
                    self.held[key] = Held("PENDING", at)
        for key in set(self.held) - set(documents):
            job.work[key] = True
            self.held[key].status = "DELETING"

    def carry_out(self, job: Job, at: datetime) -> None:
        """Do everything the scan found; each document fails or succeeds by itself."""
        for key, is_gone in job.work.items():
            if not is_gone:
                self._index(job, key, at)
            elif not self._switches.deletions_stuck:
                del self.held[key]
                job.count("numberOfDocumentsDeleted")
        job.work.clear()

    def _index(self, job: Job, key: str, at: datetime) -> None:
        before = self.held[key]
        read = self._read(key)
        if read is None:
            return  # gone since the scan: the next job removes it
        body, body_etag, sidecar, sidecar_etag = read
        held = Held("INDEXED", at, body_etag=body_etag, sidecar_etag=sidecar_etag)
        self.held[key] = held
        try:
            held.chunks = chunks_of(text_of(body))
            if sidecar is not None:
                most = MOST_SIDECAR_BYTES[self._place.store]
                held.attributes = attributes_of(sidecar, most_bytes=most)
        except RefusedError as error:
            held.status, held.reason = "IGNORED", str(error)
        if any(part in key for part in self._switches.fail_keys):
            held.status, held.reason = "FAILED", "the document was made to fail"
        if held.status != "INDEXED":
            job.count("numberOfDocumentsFailed")
            job.reasons.append(f"{held.reason} [Files: s3://{self._place.bucket}/{key}]")
        elif before.status != "INDEXED":
            self._embed(job, held, "numberOfNewDocumentsIndexed")
        elif before.body_etag != body_etag:
            self._embed(job, held, "numberOfModifiedDocumentsIndexed")
        else:
            job.count("numberOfMetadataDocumentsModified")

    def _embed(self, job: Job, held: Held, counted_as: str) -> None:
        self.embedded_count += len(held.chunks)
        job.count(counted_as)

    def _objects(self) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket, Prefix=self._place.prefix
        )
        return {
            each["Key"]: each["ETag"]
            for page in pages
            for each in page.get("Contents", ())
            if not any(part in each["Key"] for part in self._switches.ignore_keys)
        }

    def _read(self, key: str) -> tuple[bytes, str, bytes | None, str] | None:
        body = self._get(key)
        if body is None:
            return None
        sidecar = self._get(key + SIDECAR) or (None, "")
        return (*body, *sidecar)

    def _get(self, key: str) -> tuple[bytes, str] | None:
        try:
            found = self._s3.get_object(Bucket=self._place.bucket, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        return found["Body"].read(), found["ETag"]
