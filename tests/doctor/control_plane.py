"""Bedrock's control plane beside the double's jobs and documents: one knowledge base and its data sources.

The double's server checks every answer against botocore's service model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bedrock_double.double import Double, Params, Reply
from bedrock_double.errors import ServiceError

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TITAN = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.titan-embed-text-v2:0"
COHERE = "arn:aws:bedrock:eu-west-1::foundation-model/cohere.embed-multilingual-v3"


@dataclass
class Source:
    """One data source; S3 by default, without prefixes it reads the whole bucket."""

    bucket: str = "elsewhere"
    prefixes: tuple[str, ...] = ("incidents/",)
    kind: str = "S3"
    status: str = "AVAILABLE"
    ingestion: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self) -> Reply:
        if self.kind != "S3":
            return {"type": self.kind}
        place: Reply = {"bucketArn": f"arn:aws:s3:::{self.bucket}"}
        if self.prefixes:
            place["inclusionPrefixes"] = list(self.prefixes)
        return {"type": "S3", "s3Configuration": place}


@dataclass
class Base:
    """What the knowledge base says of itself."""

    kind: str = "VECTOR"
    store: str = "OPENSEARCH_SERVERLESS"
    model: str = TITAN
    status: str = "ACTIVE"
    region: str = "eu-west-1"


class ControlPlane(Double):
    """The double with GetKnowledgeBase, GetDataSource and ListDataSources; tests set `base` and `sources`."""

    base: Base
    sources: dict[str, Source]

    def answer(self, name: str, params: Params) -> Reply:
        own = {
            "GetKnowledgeBase": self._get_knowledge_base,
            "GetDataSource": self._get_data_source,
            "ListDataSources": self._list_data_sources,
        }
        if name not in own:
            return super().answer(name, params)
        self.calls[name] += 1
        if params["knowledgeBaseId"] != self.place.knowledge_base_id:
            raise ServiceError("ResourceNotFoundException", "there is no such knowledge base")
        return own[name](params)

    def _get_knowledge_base(self, params: Params) -> Reply:
        base, configuration = self.base, {"type": self.base.kind}
        if base.kind == "VECTOR":
            configuration["vectorKnowledgeBaseConfiguration"] = {"embeddingModelArn": base.model}
        found: Reply = {
            "knowledgeBaseId": params["knowledgeBaseId"],
            "name": "incidents",
            "knowledgeBaseArn": f"arn:aws:bedrock:{base.region}:000000000000:knowledge-base/KBDOUBLE01",
            "roleArn": "arn:aws:iam::000000000000:role/knowledge-base",
            "knowledgeBaseConfiguration": configuration,
            "status": base.status,
            "createdAt": AT,
            "updatedAt": AT,
        }
        if base.store:
            found["storageConfiguration"] = {"type": base.store}
        if base.status == "FAILED":
            found["failureReasons"] = ["the index is gone"]
        return {"knowledgeBase": found}

    def _get_data_source(self, params: Params) -> Reply:
        source = self.sources.get(params["dataSourceId"])
        if source is None:
            raise ServiceError("ResourceNotFoundException", "there is no such data source")
        found = {
            **self._summary(params["dataSourceId"], source),
            "dataSourceConfiguration": source.configuration(),
            "vectorIngestionConfiguration": dict(source.ingestion),
            "createdAt": AT,
        }
        return {"dataSource": found}

    def _list_data_sources(self, params: Params) -> Reply:
        """Return one data source a page: nobody may stop at the first page."""
        listed, start = sorted(self.sources.items()), int(params.get("nextToken", 0))
        more = {"nextToken": str(start + 1)} if start + 1 < len(listed) else {}
        return {
            "dataSourceSummaries": [self._summary(*each) for each in listed[start : start + 1]],
            **more,
        }

    def _summary(self, data_source_id: str, source: Source) -> Reply:
        return {
            "knowledgeBaseId": self.place.knowledge_base_id,
            "dataSourceId": data_source_id,
            "name": f"incidents-{data_source_id}",
            "status": source.status,
            "updatedAt": AT,
        }
