"""What Bedrock says of single documents: asked for by Get in tens, or read from List, whichever costs less.

May import boto3 through clients, the model and ports. Invariant: a status this code does not know counts as
on its way, never as INDEXED; a listing proves presence only, absence is asked for by Get.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.aws.clients import Clients
from kbsync.knowledge import DocumentInfo, DocumentStatus
from kbsync.ports import Page

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent.type_defs import (
        KnowledgeBaseDocumentDetailTypeDef,
        ListKnowledgeBaseDocumentsRequestTypeDef,
    )

DOCUMENTS_A_GET = 10
DOCUMENTS_A_PAGE = 1_000
"""Source: botocore 1.44.8, DocumentIdentifiers and MaxResults."""
_ADDRESS_OF_A_GET = re.compile("s3://.{1,128}")
"""Source: botocore 1.44.8, S3BucketUri; a longer address can be listed but perhaps not asked for."""
DOCUMENT_CALLS_PER_SECOND = 5.0
"""Source: Bedrock endpoints and quotas: Get and List of documents, custom knowledge base."""

_KNOWN = frozenset(map(str, DocumentStatus))


class Pacer:
    """Keeps calls apart so that this process alone stays below a rate."""

    def __init__(
        self, calls_per_second: float, sleep: Callable[[float], None], monotonic: Callable[[], float]
    ) -> None:
        self._seconds_apart = 1 / calls_per_second
        self._sleep = sleep
        self._monotonic = monotonic
        self._next_at_seconds = monotonic()

    def wait(self) -> None:
        """Sleep until the next call may start."""
        wait_seconds = self._next_at_seconds - self._monotonic()
        if wait_seconds > 0:
            self._sleep(wait_seconds)
        self._next_at_seconds = max(self._next_at_seconds, self._monotonic()) + self._seconds_apart


class S3Addresses:
    """The two-way mapping between document keys and the `s3://` addresses that Bedrock speaks of."""

    def __init__(self, bucket: str) -> None:
        self._start = f"s3://{bucket}/"

    def of(self, key: str) -> str:
        """Return a key's address."""
        return self._start + key

    def key(self, address: str) -> str:
        """Return an address's key, or an empty text for what lies in no bucket of ours."""
        return address.removeprefix(self._start) if address.startswith(self._start) else ""


class BedrockDocuments:
    """Document states of one data source over one bucket."""

    def __init__(
        self,
        clients: Clients,
        knowledge_base_id: str,
        data_source_id: str,
        addresses: S3Addresses,
        pacer: Pacer,
    ) -> None:
        self._clients = clients
        self._knowledge_base_id = knowledge_base_id
        self._data_source_id = data_source_id
        self._addresses = addresses
        self._pacer = pacer
        self._known_count = 0
        """How many documents the last listing saw, at least; it only chooses the cheaper way."""

    def states(self, keys: Sequence[str]) -> dict[str, DocumentInfo]:
        """Return one entry for each key asked, NOT_FOUND included; a key may be missing from the answer.

        Source: AWS_FACTS.md, section 4: 10 documents a Get, 1,000 a List page, 5 calls a second each.
        """
        wanted = list(dict.fromkeys(keys))
        too_long = {key for key in wanted if not _ADDRESS_OF_A_GET.fullmatch(self._addresses.of(key))}
        gets = _pages(len(wanted), DOCUMENTS_A_GET)
        listed: dict[str, DocumentInfo] = {}
        if too_long:
            listed = self._listed(most_pages=None)
        elif _pages(max(self._known_count, 1), DOCUMENTS_A_PAGE) < gets:
            listed = self._listed(most_pages=gets - 1)
        answer = {key: listed[key] for key in wanted if key in listed}
        absent = [key for key in wanted if key not in listed and key not in too_long]
        for start in range(0, len(absent), DOCUMENTS_A_GET):
            answer |= self._got(absent[start : start + DOCUMENTS_A_GET])
        # A whole listing is the only word there is on these.
        missing = too_long.difference(listed)
        return answer | {key: DocumentInfo(key, DocumentStatus.NOT_FOUND) for key in missing}

    def page(self, *, cursor: str, limit: int) -> Page[DocumentInfo]:
        """Return one page of the documents of our bucket; a page may be empty and not the last."""
        request: ListKnowledgeBaseDocumentsRequestTypeDef = {
            "knowledgeBaseId": self._knowledge_base_id,
            "dataSourceId": self._data_source_id,
            "maxResults": min(limit, DOCUMENTS_A_PAGE),
        }
        if cursor:
            request["nextToken"] = cursor
        self._pacer.wait()
        with translated_aws_errors(self._subject):
            reply = self._clients.bedrock.list_knowledge_base_documents(**request)
        return Page(tuple(self._ours(reply["documentDetails"])), reply.get("nextToken", ""))

    def _listed(self, *, most_pages: int | None) -> dict[str, DocumentInfo]:
        """Return what a listing shows within so many pages (None: all), and remember how large it was."""
        found: dict[str, DocumentInfo] = {}
        cursor, pages = "", 0
        while cursor or not pages:
            page = self.page(cursor=cursor, limit=DOCUMENTS_A_PAGE)
            found |= {document.key: document for document in page.items}
            cursor, pages = page.cursor, pages + 1
            if pages == most_pages:
                break
        # Not the documents seen, but the pages read: those of others fill pages, too.
        self._known_count = pages * DOCUMENTS_A_PAGE + (1 if cursor else 0)
        return found

    def _got(self, keys: Sequence[str]) -> dict[str, DocumentInfo]:
        self._pacer.wait()
        with translated_aws_errors(self._subject):
            reply = self._clients.bedrock.get_knowledge_base_documents(
                knowledgeBaseId=self._knowledge_base_id,
                dataSourceId=self._data_source_id,
                documentIdentifiers=[
                    {"dataSourceType": "S3", "s3": {"uri": self._addresses.of(key)}} for key in keys
                ],
            )
        return {document.key: document for document in self._ours(reply.get("documentDetails", ()))}

    def _ours(self, details: "Iterable[KnowledgeBaseDocumentDetailTypeDef]") -> Iterable[DocumentInfo]:
        for detail in details:
            key = self._addresses.key(detail["identifier"].get("s3", {"uri": ""})["uri"])
            if key:
                yield _document(key, detail)

    @property
    def _subject(self) -> str:
        return f"data source {self._data_source_id} of knowledge base {self._knowledge_base_id}"


def _document(key: str, detail: "KnowledgeBaseDocumentDetailTypeDef") -> DocumentInfo:
    said = detail["status"]
    status = DocumentStatus(said) if said in _KNOWN else DocumentStatus.IN_PROGRESS
    updated_at = None if status is DocumentStatus.NOT_FOUND else detail.get("updatedAt")
    return DocumentInfo(key, status, updated_at, detail.get("statusReason", ""))


def _pages(count: int, size: int) -> int:
    return -(-count // size)
