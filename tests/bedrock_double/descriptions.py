"""What the service says of the knowledge base itself and of its data sources; a test may change each text."""

from collections.abc import Callable
from datetime import datetime

from bedrock_double.errors import ServiceError
from bedrock_double.paging import Params, Reply, page_of
from bedrock_double.switches import Place

ACCOUNT, REGION = "000000000000", "eu-west-1"
MODEL = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.titan-embed-text-v2:0"


class Descriptions:
    """Answers of GetKnowledgeBase, GetDataSource and ListDataSources."""

    def __init__(self, place: Place, at: datetime) -> None:
        self._place = place
        self._at = at
        self.knowledge_base = _knowledge_base(place, at)
        self.data_sources: dict[str, Reply] = {}
        self.add_data_source(place.data_source_id, place.bucket, place.prefix)

    def add_data_source(self, data_source_id: str, bucket: str, prefix: str) -> Reply:
        """Describe one more S3 data source; it is looked at only, its documents are not ingested."""
        configuration: Reply = {
            "type": "S3",
            "s3Configuration": {
                "bucketArn": f"arn:aws:s3:::{bucket}",
                **({"inclusionPrefixes": [prefix]} if prefix else {}),
            },
        }
        if self._place.kind == "MANAGED":
            configuration = {"type": "MANAGED_KNOWLEDGE_BASE_CONNECTOR"}
        described: Reply = {
            "knowledgeBaseId": self._place.knowledge_base_id,
            "dataSourceId": data_source_id,
            "name": f"source-{data_source_id}",
            "status": "AVAILABLE",
            "dataSourceConfiguration": configuration,
            "vectorIngestionConfiguration": {
                "chunkingConfiguration": {
                    "chunkingStrategy": "FIXED_SIZE",
                    "fixedSizeChunkingConfiguration": {"maxTokens": 450, "overlapPercentage": 12},
                }
            },
            "dataDeletionPolicy": "DELETE",
            "createdAt": self._at,
            "updatedAt": self._at,
        }
        self.data_sources[data_source_id] = described
        return described

    def operations(self) -> dict[str, Callable[[Params], Reply]]:
        """Return the operations that this object answers."""
        return {
            "GetKnowledgeBase": lambda _: {"knowledgeBase": self.knowledge_base},
            "GetDataSource": self._get,
            "ListDataSources": self._list,
        }

    def _get(self, params: Params) -> Reply:
        if params["dataSourceId"] not in self.data_sources:
            raise ServiceError("ResourceNotFoundException", "there is no such data source")
        return {"dataSource": self.data_sources[params["dataSourceId"]]}

    def _list(self, params: Params) -> Reply:
        names = ("knowledgeBaseId", "dataSourceId", "name", "status", "updatedAt")
        found = [{name: each[name] for name in names} for each in self.data_sources.values()]
        page, token = page_of(found, params, default=10)
        return {"dataSourceSummaries": list(page), **token}


def _knowledge_base(place: Place, at: datetime) -> Reply:
    described: Reply = {
        "knowledgeBaseId": place.knowledge_base_id,
        "name": "incidents",
        "knowledgeBaseArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:knowledge-base/{place.knowledge_base_id}",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/knowledge-base",
        "knowledgeBaseConfiguration": {"type": place.kind},
        "status": "ACTIVE",
        "createdAt": at,
        "updatedAt": at,
    }
    if place.kind == "VECTOR":
        described["knowledgeBaseConfiguration"]["vectorKnowledgeBaseConfiguration"] = {
            "embeddingModelArn": MODEL
        }
        described["storageConfiguration"] = {"type": place.store}
    return described
