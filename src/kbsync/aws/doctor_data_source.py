"""The doctor's look at data sources: ours reads our prefix and nothing else, and no other one reads it.

Imports clients and findings. Invariant: Get and List calls only; a data source is never updated (an update
replaces it, AWS_FACTS.md, section 10, mistake 11).
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from kbsync.aws.doctor_calls import asking
from kbsync.aws.doctor_place import Place
from kbsync.doctor.finding import Check, Code, Finding, error, warning, well

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agent.type_defs import DataSourceTypeDef, KnowledgeBaseTypeDef

MOST_DATA_SOURCES = {"custom": 5, "managed": 200}
"""Source: Bedrock endpoints and quotas, data sources per knowledge base."""
MOST_PARSED_FILES = 1_000
"""Source: Bedrock endpoints and quotas, files for the parsers that are models."""
COHERE_TOKENS = 512
"""Source: Bedrock User Guide, Cohere Embed v3: longer texts are cut."""
_OWN_SOURCE = "make a data source of its own for the prefix; an update would replace the one that is there"


class DataSourceChecks:
    """All checks of `DATA_SOURCE_ID` and of its neighbours in the same knowledge base."""

    def __init__(self, place: Place, knowledge_base: "Callable[[], KnowledgeBaseTypeDef]") -> None:
        self._place = place
        self._knowledge_base = knowledge_base
        self._id = place.settings.data_source_id
        self._subject = f"data source {self._id}"

    def checks(self) -> tuple[Check, ...]:
        """Return every check, in order."""
        return (self.check_source, self.check_chunking, self.check_parsing, self.check_others)

    def absent(self) -> Finding:
        """Return the finding that the knowledge base has no such data source."""
        remedy = f"check DATA_SOURCE_ID (here {self._id}) and that it belongs to KB_ID; or {_OWN_SOURCE}"
        seen = f"knowledge base {self._place.settings.kb_id} has no such data source"
        return error(Code.DATA_SOURCE_MISSING, self._subject, seen, remedy)

    def _read(self, data_source_id: str) -> "DataSourceTypeDef":
        with asking("bedrock:GetDataSource", f"data source {data_source_id}", absent=self.absent()):
            return self._place.clients.bedrock.get_data_source(
                knowledgeBaseId=self._knowledge_base()["knowledgeBaseId"], dataSourceId=data_source_id
            )["dataSource"]

    @cached_property
    def _source(self) -> "DataSourceTypeDef":
        return self._read(self._id)

    def check_source(self) -> Iterator[Finding]:
        """Judge type, status, bucket and prefix of our data source."""
        if self._source["status"] not in ("AVAILABLE", "UPDATING"):
            why = "; ".join(self._source.get("failureReasons", [])) or "no reason is given"
            seen = f"it is {self._source['status']} ({why})"
            yield error(
                Code.DATA_SOURCE_STATUS, self._subject, seen, "mend it in Bedrock; until then no job runs"
            )
        kind = self._source["dataSourceConfiguration"]["type"]
        if kind == "MANAGED_KNOWLEDGE_BASE_CONNECTOR":
            settings = self._place.settings
            seen = "a managed connector: what it reads is described in a form of its own"
            remedy = (
                f"see in Bedrock that it reads s3://{settings.s3_bucket}/{settings.s3_prefix} and no more"
            )
            yield warning(Code.DATA_SOURCE_UNREAD, self._subject, seen, remedy)
        elif kind != "S3":
            yield error(Code.DATA_SOURCE_TYPE, self._subject, f"its type is {kind}, not S3", _OWN_SOURCE)
        else:
            yield from self._judge_place()

    def _judge_place(self) -> Iterator[Finding]:
        bucket, prefixes = _reads(self._source)
        settings = self._place.settings
        ours = settings.s3_prefix
        told = ", ".join(prefixes)
        if bucket != settings.s3_bucket:
            seen = f"it reads bucket {bucket}, and documents go to {settings.s3_bucket}"
            yield error(Code.WRONG_BUCKET, self._subject, seen, f"set S3_BUCKET={bucket}, or {_OWN_SOURCE}")
        elif not any(ours.startswith(prefix) for prefix in prefixes):
            seen = f"it reads {told}, and documents go to {ours}: they would never be found"
            yield error(
                Code.WRONG_PREFIX, self._subject, seen, f"set S3_PREFIX={prefixes[0]}, or {_OWN_SOURCE}"
            )
        elif len(prefixes) > 1:
            seen = f"it reads several prefixes ({told}); Bedrock documents one"
            yield warning(Code.SEVERAL_PREFIXES, self._subject, seen, _OWN_SOURCE)
        elif prefixes[0] != ours:
            seen = f"it reads more than {ours}: {'the whole bucket' if not prefixes[0] else prefixes[0]}"
            yield warning(Code.PREFIX_WIDE, self._subject, seen, _OWN_SOURCE)
        else:
            yield well(
                Code.DATA_SOURCE, self._subject, f"{self._source['status']}, reads s3://{bucket}/{ours}"
            )

    def check_chunking(self) -> Iterator[Finding]:
        """Judge how documents are cut: a strategy cannot be changed, and does not fit every store."""
        chunking = self._source.get("vectorIngestionConfiguration", {}).get("chunkingConfiguration", {})
        strategy = str(chunking.get("chunkingStrategy", "default"))
        tokens = int(chunking.get("fixedSizeChunkingConfiguration", {}).get("maxTokens", 0))
        wrong = _chunking_faults(self._knowledge_base(), strategy, tokens)
        if wrong:
            remedy = "it cannot be changed: make a new data source with FIXED_SIZE, 450 tokens, 12 % overlap"
            yield warning(Code.CHUNKING, self._subject, "; ".join(wrong), remedy)
        else:
            yield well(Code.CHUNKING, self._subject, f"{strategy}{f' of {tokens} tokens' if tokens else ''}")

    def check_parsing(self) -> Iterator[Finding]:
        """Warn of parsers that stop at a thousand files."""
        parsing = self._source.get("vectorIngestionConfiguration", {}).get("parsingConfiguration", {})
        strategy = str(parsing.get("parsingStrategy", ""))
        if strategy in ("BEDROCK_FOUNDATION_MODEL", "BEDROCK_DATA_AUTOMATION"):
            seen = f"parser {strategy} takes {MOST_PARSED_FILES} files at most"
            remedy = "make a new data source with the default parser: Markdown needs no other"
            yield warning(Code.PARSING_LIMIT, self._subject, seen, remedy)

    def check_others(self) -> Iterator[Finding]:
        """Look for other data sources that read our prefix, and count them against the quota."""
        found = self._knowledge_base()
        subject = f"knowledge base {found['knowledgeBaseId']}"
        pages = self._place.clients.bedrock.get_paginator("list_data_sources").paginate(
            knowledgeBaseId=found["knowledgeBaseId"]
        )
        with asking("bedrock:ListDataSources", subject):
            listed = [each["dataSourceId"] for page in pages for each in page["dataSourceSummaries"]]
        # Where ours is not among them, one of them may be the one that was meant: nobody is called foreign.
        for other in listed if self._id in listed else ():
            if other != self._id:
                yield from self._judge_neighbour(other)
        most = MOST_DATA_SOURCES[self._place.settings.kb_type]
        seen = f"{len(listed)} of {most} data sources; one ingestion job at a time for all of them"
        if len(listed) >= most:
            remedy = "remove one that is not needed before another can be made"
            yield warning(Code.QUOTA_DATA_SOURCES, subject, seen, remedy)
        else:
            yield well(Code.QUOTA_DATA_SOURCES, subject, seen)

    def _judge_neighbour(self, data_source_id: str) -> Iterator[Finding]:
        other = self._read(data_source_id)
        if other["dataSourceConfiguration"]["type"] != "S3":
            return
        bucket, prefixes = _reads(other)
        ours = self._place.settings.s3_prefix
        shared = [each for each in prefixes if each.startswith(ours) or ours.startswith(each)]
        if bucket == self._place.settings.s3_bucket and shared:
            seen = f"it too reads s3://{bucket}/{shared[0]}: documents are found twice"
            remedy = (
                "let its owner give it a prefix apart from ours and sync it; withdrawn documents stay in it"
            )
            yield error(Code.DATA_SOURCE_OVERLAP, f"data source {data_source_id}", seen, remedy)


def _reads(source: "DataSourceTypeDef") -> tuple[str, list[str]]:
    """Return the bucket and the prefixes that an S3 data source reads; the whole bucket is an empty one."""
    place = source["dataSourceConfiguration"].get("s3Configuration", {"bucketArn": ""})
    return place["bucketArn"].rpartition(":")[2], list(place.get("inclusionPrefixes", [])) or [""]


def _chunking_faults(found: "KnowledgeBaseTypeDef", strategy: str, tokens: int) -> list[str]:
    store = str(found.get("storageConfiguration", {}).get("type", ""))
    vectors = found["knowledgeBaseConfiguration"].get("vectorKnowledgeBaseConfiguration")
    model = vectors["embeddingModelArn"].rpartition("/")[2] if vectors else ""
    is_short = model.startswith("cohere.embed-") and "-v3" in model
    faults = {
        "semantic chunking asks a model for every passage, at little gain": strategy == "SEMANTIC",
        "hierarchical chunking does not go well with S3 Vectors": (strategy, store)
        == ("HIERARCHICAL", "S3_VECTORS"),
        f"the embedding model cuts passages over {COHERE_TOKENS} tokens": is_short
        and (strategy == "NONE" or tokens > COHERE_TOKENS),
    }
    return [fault for fault, holds in faults.items() if holds]
