"""S3 and Bedrock as the benchmarks need them: puts are checked, and all that is put is searchable at once."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.tables import RefusedError

FINGERPRINT = "x-amz-meta-fingerprint"
_SIDECAR = ".metadata.json"
_TOKEN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){32,255}")
_DOCUMENTS_A_GET = 10
_RUNS = "runs/"
"""A run's own record is no document: it has no sidecar, and a repeat replaces it."""


@dataclass
class Bucket:
    """Objects by key, of which the ETag is kept; a document comes after its sidecar or is refused."""

    etags: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    """What a HEAD tells of an object: whoever goes on after a kill knows by it what is ours."""
    is_strict: bool = True
    """Refuse what the original's handler sends: puts without condition, checksum or sidecar."""

    def put(self, key: str, headers: Mapping[str, str], content: bytes) -> str:
        """Store one object where its condition holds; returns the ETag."""
        if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
            raise RefusedError("AccessDenied", 403)
        sent = headers.get("x-amz-checksum-sha256", "")
        if sent and base64.b64decode(sent) != hashlib.sha256(content).digest():
            raise RefusedError("BadDigest")
        known = self.etags.get(key)
        if self.is_strict and not key.startswith(_RUNS):
            self._check(key, headers, content)
            if headers.get("if-none-match") == "*":
                holds = known is None
            else:
                holds = headers.get("if-match") == f'"{known}"'
            if not holds:
                raise RefusedError("PreconditionFailed", 412)
        self.fingerprints[key] = headers.get(FINGERPRINT, "")
        self.etags[key] = etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return etag

    def delete(self, key: str, headers: Mapping[str, str]) -> None:
        """Delete the object with the ETag that the condition names."""
        known = self.etags.get(key)
        if known is None:
            raise RefusedError("NoSuchKey", 404)
        if headers.get("if-match") != f'"{known}"':
            raise RefusedError("PreconditionFailed", 412)
        del self.etags[key]

    def _check(self, key: str, headers: Mapping[str, str], content: bytes) -> None:
        conditions = {"if-match", "if-none-match"} & headers.keys()
        if len(conditions) != 1 or "x-amz-checksum-sha256" not in headers:
            raise RefusedError("InvalidRequest")
        if len(headers.get(FINGERPRINT, "")) != hashlib.sha256().digest_size * 2:
            raise RefusedError("InvalidRequest")
        if key.endswith(_SIDECAR):
            if not json.loads(content)["metadataAttributes"]:
                raise RefusedError("InvalidRequest")
        elif f"{key}{_SIDECAR}" not in self.etags or not content.startswith(b"# "):
            raise RefusedError("InvalidRequest")


@dataclass
class Base:
    """A knowledge base whose jobs end at once."""

    bucket: Bucket
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one call of bedrock-agent."""
        last = path.rstrip("/").rsplit("/", 1)[-1]
        if last == "ingestionjobs" and method == "PUT":
            return {"ingestionJob": self._start(asked)}
        if last == "ingestionjobs":
            return {"ingestionJobSummaries": self.jobs[::-1]}
        if last == "getDocuments":
            wanted = [each["s3"]["uri"] for each in asked["documentIdentifiers"]]
            if not 0 < len(wanted) <= _DOCUMENTS_A_GET:
                raise RefusedError("ValidationException")
            return {"documentDetails": [self._detail(each) for each in wanted]}
        if last == "documents":
            return self._page(asked)
        for job in self.jobs:
            if job["ingestionJobId"] == last:
                return {"ingestionJob": job}
        raise RefusedError("ResourceNotFoundException", 404)

    def _start(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if not _TOKEN.fullmatch(asked["clientToken"]):
            raise RefusedError("ValidationException")
        job = {
            "knowledgeBaseId": "BENCHMARKS",
            "dataSourceId": "BENCHMARKS",
            "ingestionJobId": f"JOB{len(self.jobs):07}",
            "status": "COMPLETE",
            "startedAt": _now(),
            "updatedAt": _now(),
            "description": asked.get("description", ""),
        }
        self.jobs.append(job)
        return job

    def _page(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        size, start = int(asked.get("maxResults", 1000)), int(asked.get("nextToken", 0))
        keys = [key for key in self.bucket.etags if not key.endswith(_SIDECAR)]
        page = [self._detail(f"s3://documents/{key}") for key in keys[start : start + size]]
        more = {"nextToken": str(start + size)} if len(keys) > start + size else {}
        return {"documentDetails": page, **more}

    def _detail(self, address: str) -> dict[str, Any]:
        key = address.removeprefix("s3://documents/")
        return {
            "knowledgeBaseId": "BENCHMARKS",
            "dataSourceId": "BENCHMARKS",
            "identifier": {"dataSourceType": "S3", "s3": {"uri": address}},
            "status": "INDEXED" if key in self.bucket.etags else "NOT_FOUND",
            "updatedAt": datetime.now(UTC).replace(year=datetime.now(UTC).year + 1).isoformat(),
        }


def _now() -> str:
    return datetime.now(UTC).isoformat()
