"""The double's state and operations; one object is one knowledge base.

Every operation takes what the service model has found valid, and what it returns is checked in turn.
"""

import string
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bedrock_double.descriptions import Descriptions
from bedrock_double.errors import ServiceError
from bedrock_double.filters import matches, words_in_common
from bedrock_double.ingestion import Held, Ingestion, Job
from bedrock_double.paging import Params, Reply, page_of
from bedrock_double.switches import Place, Switches

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS_APART = {
    "StartIngestionJob": 10.0,
    "GetIngestionJob": 0.1,
    "ListIngestionJobs": 0.1,
    "GetKnowledgeBaseDocuments": 0.2,
    "ListKnowledgeBaseDocuments": 0.2,
    "Retrieve": 0.05,
}
"""Source: Bedrock endpoints and quotas, custom knowledge base; a second's worth may come at once."""
MOST_QUERY_CHARACTERS = {"VECTOR": 1_000, "MANAGED": 10_000}
CONFIGURATION = {"VECTOR": "vectorSearchConfiguration", "MANAGED": "managedSearchConfiguration"}
_DIGITS = string.digits + string.ascii_uppercase


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Double:
    """A knowledge base over one prefix of a bucket; tests set `switches` and read `calls`."""

    def __init__(
        self,
        s3: "S3Client",
        place: Place,
        *,
        now: Callable[[], datetime] = _utc_now,
        switches: Switches | None = None,
    ) -> None:
        self.s3 = s3
        self.place = place
        self.switches = switches or Switches()
        self.calls: Counter[str] = Counter()
        self.ingestion = Ingestion(s3, place, self.switches)
        self.descriptions = Descriptions(place, now())
        self._now = now
        self._jobs: list[Job] = []
        self._by_token: dict[str, Job] = {}
        self._recent: dict[str, deque[datetime]] = defaultdict(deque)

    def answer(self, name: str, params: Params) -> Reply:
        """Carry one operation out; raise ServiceError for what the service would refuse."""
        operations: dict[str, Callable[[Params], Reply]] = {
            "StartIngestionJob": self._start,
            "StopIngestionJob": self._stop,
            "GetIngestionJob": self._get_job,
            "ListIngestionJobs": self._list_jobs,
            "GetKnowledgeBaseDocuments": self._get_documents,
            "ListKnowledgeBaseDocuments": self._list_documents,
            "Retrieve": self._retrieve,
            **self.descriptions.operations(),
        }
        self.calls[name] += 1
        if name not in operations:
            raise ServiceError("ValidationException", f"the double has no {name}")
        self._meet_faults(name)
        if params["knowledgeBaseId"] != self.place.knowledge_base_id:
            raise ServiceError("ResourceNotFoundException", "there is no such knowledge base")
        described = name == "GetDataSource"
        if (
            not described
            and params.get("dataSourceId", self.place.data_source_id) != self.place.data_source_id
        ):
            raise ServiceError("ResourceNotFoundException", "there is no such data source")
        if self.switches.job_seconds:
            self._advance_all()
        return operations[name](params)

    def _meet_faults(self, name: str) -> None:
        switches = self.switches
        if switches.errors:
            raise ServiceError(switches.errors.pop(0), "made to fail")
        if switches.take("unavailable"):
            raise ServiceError("InternalServerException", "made to fail")
        if switches.take("throttle") or (switches.enforce_rates and self._is_too_fast(name)):
            raise ServiceError("ThrottlingException", "Rate exceeded")

    def _is_too_fast(self, name: str) -> bool:
        apart = SECONDS_APART.get(name, 0.1)
        window, recent, now = max(1.0, apart), self._recent[name], self._now()
        while recent and now - recent[0] >= timedelta(seconds=window):
            recent.popleft()
        if len(recent) >= round(window / apart):
            return True
        recent.append(now)
        return False

    # Jobs.

    def _start(self, params: Params) -> Reply:
        token = params.get("clientToken", "")
        if token in self._by_token:
            return {"ingestionJob": self._job(self._by_token[token], whole=True)}
        if self.switches.take("conflict") or any(not job.is_final for job in self._jobs):
            raise ServiceError(
                "ConflictException",
                "Exceeded maximum number of concurrent ingestion jobs per knowledge base: 1",
            )
        at = self._now()
        job = Job(_id("JOB", len(self._jobs)), at, at, params.get("description", ""))
        self._jobs.append(job)
        if token:
            self._by_token[token] = job
        return {"ingestionJob": self._job(job, whole=True)}

    def _stop(self, params: Params) -> Reply:
        job = self._find(params["ingestionJobId"])
        if job.is_final:
            raise ServiceError("ConflictException", f"the job is {job.status}")
        job.status = "STOPPING"
        return {"ingestionJob": self._job(job, whole=True)}

    def _get_job(self, params: Params) -> Reply:
        job = self._find(params["ingestionJobId"])
        if not self.switches.job_seconds:
            job.looks += 1
            if job.looks > self.switches.delay_polls:
                self._advance(job)
        return {"ingestionJob": self._job(job, whole=True)}

    def _list_jobs(self, params: Params) -> Reply:
        order = params.get("sortBy", {})
        newest_first = order.get("order") == "DESCENDING"
        name = "status" if order.get("attribute") == "STATUS" else "started_at"
        jobs = sorted(self._jobs, key=lambda job: getattr(job, name), reverse=newest_first)
        page, token = page_of(jobs, params, default=10)
        return {"ingestionJobSummaries": [self._job(job, whole=False) for job in page], **token}

    def _find(self, job_id: str) -> Job:
        found = [job for job in self._jobs if job.job_id == job_id]
        if not found:
            raise ServiceError("ResourceNotFoundException", "there is no such ingestion job")
        return found[0]

    def _advance_all(self) -> None:
        for job in self._jobs:
            is_due = self._now() - job.started_at >= timedelta(seconds=self.switches.job_seconds)
            while not job.is_final and (is_due or job.status in ("STARTING", "STOPPING")):
                self._advance(job)

    def _advance(self, job: Job) -> None:
        """Take a job one state further."""
        if job.is_final:
            return
        at = job.updated_at = self._now()
        if job.status == "STOPPING":
            job.status = "STOPPED"
        elif job.status == "STARTING":
            if self.switches.take("job_fails"):
                job.status, job.reasons = "FAILED", ["Encountered error: the job was made to fail"]
                return
            self.ingestion.scan(job, at)
            job.status = "IN_PROGRESS"
        else:
            self.ingestion.carry_out(job, at)
            job.status = "COMPLETE"

    def _job(self, job: Job, *, whole: bool) -> Reply:
        reply: Reply = {
            "knowledgeBaseId": self.place.knowledge_base_id,
            "dataSourceId": self.place.data_source_id,
            "ingestionJobId": job.job_id,
            "status": job.status,
            "startedAt": job.started_at,
            "updatedAt": job.updated_at,
        }
        if job.description:
            reply["description"] = job.description
        if not self.switches.statistics_missing:
            reply["statistics"] = dict(job.counts)
        if whole and job.reasons:
            reply["failureReasons"] = [reason[:2_048] for reason in job.reasons[:2_048]]
        return reply

    # Documents.

    def _get_documents(self, params: Params) -> Reply:
        details = []
        for identifier in params["documentIdentifiers"]:
            if identifier["dataSourceType"] != "S3" or "s3" not in identifier:
                raise ServiceError("ValidationException", "this data source is of type S3")
            key = identifier["s3"]["uri"].removeprefix(f"s3://{self.place.bucket}/")
            details.append(self._detail(identifier["s3"]["uri"], self.ingestion.held.get(key)))
        return {"documentDetails": details}

    def _list_documents(self, params: Params) -> Reply:
        listed = [
            (key, held) for key, held in sorted(self.ingestion.held.items()) if held.status != "IGNORED"
        ]
        page, token = page_of(listed, params, default=1_000)
        return {
            "documentDetails": [self._detail(self._address(key), held) for key, held in page],
            **token,
        }

    def _detail(self, address: str, held: Held | None) -> Reply:
        detail: Reply = {
            "knowledgeBaseId": self.place.knowledge_base_id,
            "dataSourceId": self.place.data_source_id,
            "identifier": {"dataSourceType": "S3", "s3": {"uri": address}},
            "status": self.switches.unknown_status or (held.status if held else "NOT_FOUND"),
        }
        if held:
            detail["updatedAt"] = held.updated_at
        if held and held.reason:
            detail["statusReason"] = held.reason
        return detail

    def _address(self, key: str) -> str:
        return f"s3://{self.place.bucket}/{key}"

    # Search.

    def _retrieve(self, params: Params) -> Reply:
        query, search = self._checked_search(params)
        plain = self.place.store == "S3_VECTORS" or self.place.kind == "MANAGED"
        found = [
            (words_in_common(query, chunk), key, number, chunk, held)
            for key, held in self.ingestion.held.items()
            if held.status in ("INDEXED", "DELETING")
            and matches(search.get("filter"), held.attributes, plain_store=plain)
            for number, chunk in enumerate(held.chunks)
        ]
        found.sort(key=lambda hit: (-hit[0], hit[1], hit[2]))
        return {
            "retrievalResults": [
                self._result(score, key, number, chunk, held)
                for score, key, number, chunk, held in found[: search.get("numberOfResults", 5)]
            ]
        }

    def _checked_search(self, params: Params) -> tuple[str, Params]:
        kind, configuration = self.place.kind, params.get("retrievalConfiguration", {})
        query = params["retrievalQuery"].get("text", "")
        if not query.strip() or len(query) > MOST_QUERY_CHARACTERS[kind]:
            raise ServiceError(
                "ValidationException", f"a query has 1 to {MOST_QUERY_CHARACTERS[kind]} characters"
            )
        if set(configuration) - {CONFIGURATION[kind]}:
            raise ServiceError("ValidationException", f"this knowledge base takes {CONFIGURATION[kind]}")
        search = configuration.get(CONFIGURATION[kind], {})
        if search.get("overrideSearchType") == "HYBRID" and self.place.store == "S3_VECTORS":
            raise ServiceError(
                "ValidationException", "HYBRID search type is not supported by this vector store"
            )
        return query, search

    def _result(self, score: float, key: str, number: int, chunk: str, held: Held) -> Reply:
        return {
            "content": {"type": "TEXT", "text": chunk},
            "location": {"type": "S3", "s3Location": {"uri": self._address(key)}},
            "score": score,
            "metadata": {
                "x-amz-bedrock-kb-source-uri": self._address(key),
                "x-amz-bedrock-kb-chunk-id": f"{key}#{number}",
                **held.attributes,
            },
        }


def _id(kind: str, number: int) -> str:
    text = ""
    while number or not text:
        number, rest = divmod(number, len(_DIGITS))
        text = _DIGITS[rest] + text
    return kind + text.rjust(10 - len(kind), "0")
