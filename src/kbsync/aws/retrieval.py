"""Search through Bedrock's Retrieve, for custom and for managed knowledge bases.

May import boto3 through clients, the model and errors. Invariant: a hit is a document of our bucket, named
once, with the sidecar attributes and none that Bedrock adds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError, ParamValidationError

from kbsync.aws.aws_errors import code_of, translated_aws_errors
from kbsync.aws.bedrock_documents import S3Addresses
from kbsync.aws.clients import Clients
from kbsync.errors import UnavailableError, UsageError
from kbsync.knowledge import Hit
from kbsync.query import telling_part

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent_runtime.type_defs import (
        KnowledgeBaseRetrievalResultTypeDef,
        RetrieveResponseTypeDef,
    )

Kind = Literal["VECTOR", "MANAGED"]
"""Custom (a vector store of one's own) or managed. Source: botocore 1.44.8, KnowledgeBaseType."""

_MOST_QUERY_CHARACTERS: Mapping[Kind, int] = {"VECTOR": 1_000, "MANAGED": 10_000}
"""Source: Bedrock endpoints and quotas, "User query size"."""
_CONFIGURATION: Mapping[Kind, str] = {
    "VECTOR": "vectorSearchConfiguration",
    "MANAGED": "managedSearchConfiguration",
}
_MOST_PASSAGES = 100
_PASSAGES_A_HIT = 3
"""Long documents are several passages; asking for more leaves enough documents when they collapse."""
_NEUTRAL_QUERY = "incident"
"""Retrieve needs a text; with it the filter alone decides which documents answer."""
_RESERVED = ("x-amz-bedrock", "_")
"""Source: Bedrock User Guide, "Configure queries": keys of custom and of managed knowledge bases."""
_PASSING = frozenset({"ConflictException", "DependencyFailedException", "BadGatewayException"})
"""The service's own trouble; it answers 409 and 424 for some of it, not only 5xx."""


class Retrieval:
    """Retrieve over one knowledge base; asks for hybrid search until the service refuses it once."""

    def __init__(
        self,
        clients: Clients,
        knowledge_base_id: str,
        addresses: S3Addresses,
        *,
        kind: Kind,
        hybrid: bool,
    ) -> None:
        self._clients = clients
        self._knowledge_base_id = knowledge_base_id
        self._addresses = addresses
        self._kind = kind
        self._hybrid = hybrid and kind == "VECTOR"

    @property
    def mode(self) -> str:
        """How the next search goes: `hybrid`, `semantic`, or `managed` where the service decides."""
        if self._kind == "MANAGED":
            return "managed"
        return "hybrid" if self._hybrid else "semantic"

    def retrieve(self, query: str, *, limit: int, given: Mapping[str, object] | None) -> list[Hit]:
        """Return the best hits, best first, from the best 100 passages; a longer query is cut at the quota.

        Raises:
            UsageError: neither query nor filter, a limit below 1, or a filter that the service refuses.
            ThrottledError, UnavailableError (retriable): ask again.
        """
        if limit < 1:
            raise UsageError("a search returns at least one hit")
        text = telling_part(_clean(query))[: _MOST_QUERY_CHARACTERS[self._kind]].strip()
        if not text and given is None:
            raise UsageError("a search needs a query or a filter")
        # The neutral text has no words worth matching.
        hybrid = self._hybrid and bool(text)
        configuration: dict[str, object] = {
            "numberOfResults": min(limit * _PASSAGES_A_HIT, _MOST_PASSAGES),
            **({"filter": given} if given is not None else {}),
        }
        return self._hits(self._asked(text or _NEUTRAL_QUERY, configuration, hybrid=hybrid))[:limit]

    def _asked(
        self, text: str, configuration: Mapping[str, object], *, hybrid: bool
    ) -> "RetrieveResponseTypeDef":
        """Ask with hybrid search where wanted; where only that is refused, ask without it from now on."""
        if hybrid:
            with suppress(UsageError):
                return self._answer(text, {**configuration, "overrideSearchType": "HYBRID"})
        answer = self._answer(text, configuration)
        if hybrid:
            self._hybrid = False
        return answer

    def _answer(self, text: str, configuration: Mapping[str, object]) -> "RetrieveResponseTypeDef":
        # Any: the filter is the caller's own; botocore checks it against the service's model.
        search: Any = {_CONFIGURATION[self._kind]: configuration}
        subject = f"knowledge base {self._knowledge_base_id}"
        with translated_aws_errors(subject):
            try:
                return self._clients.bedrock_runtime.retrieve(
                    knowledgeBaseId=self._knowledge_base_id,
                    retrievalQuery={"text": text},
                    retrievalConfiguration=search,
                )
            except ParamValidationError as error:
                raise UsageError("this is not a filter of Bedrock's RetrievalFilter vocabulary") from error
            except ClientError as error:
                if code_of(error) == "ValidationException":
                    raise UsageError(
                        f"{subject}: it refuses this search",
                        hint="its vector store may lack the filter's operator, or KB_TYPE is the other kind",
                    ) from error
                if code_of(error) in _PASSING:
                    raise UnavailableError(
                        f"{subject}: Retrieve answered {code_of(error)}", hint="try again"
                    ) from error
                raise

    def _hits(self, answer: "RetrieveResponseTypeDef") -> list[Hit]:
        """Return each document once, by its best passage; what lies outside our bucket is left out."""
        best: dict[str, Hit] = {}
        for result in answer["retrievalResults"]:
            key = self._addresses.key(result.get("location", {}).get("s3Location", {}).get("uri", ""))
            hit = Hit(
                key, result.get("score", 0.0), result["content"].get("text", ""), _metadata(_given(result))
            )
            if key and (key not in best or hit.score > best[key].score):
                best[key] = hit
        return sorted(best.values(), key=lambda hit: -hit.score)


def _clean(query: str) -> str:
    return query.encode("utf-8", "replace").decode().replace("\x00", " ").strip()


def _given(result: "KnowledgeBaseRetrievalResultTypeDef") -> Iterable[tuple[str, object]]:
    return result.get("metadata", {}).items()


def _metadata(given: Iterable[tuple[str, object]]) -> dict[str, str | int | float | bool]:
    """Return the sidecar's attributes as the embedded search shows them.

    A list becomes one text; the service's 20250131.0 becomes the 20250131 that the sidecar held.
    """
    shown: dict[str, str | int | float | bool] = {}
    for key, value in given:
        if key.startswith(_RESERVED):
            continue
        if isinstance(value, float) and value.is_integer():
            shown[key] = int(value)
        elif isinstance(value, str | int | float):
            shown[key] = value
        elif isinstance(value, list):
            shown[key] = ", ".join(map(str, value))
    return shown
