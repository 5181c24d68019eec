"""LlamaIndex: an IngestionPipeline with document store and vector store, upserts and deletions, kept as JSON.

Source: LlamaIndex, "Ingestion Pipeline", document management: the docstore needs a vector store for upserts,
and both are written by `persist`. The splitter's chunk is larger than any document, so that each is one text
here as elsewhere; the pipeline's cache is off: the document store skips what is unchanged, the cache is one
more JSON file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_index.core import Document
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from pydantic import PrivateAttr

from benchmarks.peers.frame import Embedding, Runner, incidents, is_wanted, main, text_of

LONGEST_TOKENS = 100_000
VECTORS, DOCUMENTS = "vector_store.json", "docstore.json"


class Hashed(BaseEmbedding):
    """The one embedder, as LlamaIndex asks for it."""

    _embedding: Embedding = PrivateAttr()

    def __init__(self, embedding: Embedding, **more: Any) -> None:
        super().__init__(**more)
        self._embedding = embedding

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._embedding(texts).tolist()
        return rows

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def _stores(store: Path) -> tuple[SimpleDocumentStore, SimpleVectorStore]:
    if not (store / VECTORS).exists():
        return SimpleDocumentStore(), SimpleVectorStore()
    return (
        SimpleDocumentStore.from_persist_path(str(store / DOCUMENTS)),
        SimpleVectorStore.from_persist_path(str(store / VECTORS)),
    )


def sync(store: Path, file: Path, embedding: Embedding) -> Mapping[str, int]:
    """Ingest the closed incidents of the file; what is not among them is removed."""
    documents, vectors = _stores(store)
    before = len(vectors.data.embedding_dict)
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=LONGEST_TOKENS), Hashed(embedding)],
        docstore=documents,
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=vectors,
        disable_cache=True,
    )
    nodes = pipeline.run(
        documents=[
            Document(id_=each["incident_id"], text=text_of(each))
            for each in incidents(file)
            if is_wanted(each)
        ]
    )
    vectors.persist(str(store / VECTORS))
    documents.persist(str(store / DOCUMENTS))
    gone = before + len(nodes) - len(vectors.data.embedding_dict)
    return {"written": len(nodes), "deleted": gone}


def served(store: Path) -> Mapping[str, str]:
    """Return the text of every document that has a vector; one that the document store lost is empty."""
    kept = json.loads((store / DOCUMENTS).read_text(encoding="utf-8"))["docstore/data"]
    texts = {key: node["__data__"]["text_resource"]["text"] for key, node in kept.items()}
    vectors = json.loads((store / VECTORS).read_text(encoding="utf-8"))
    return {each: texts.get(each, "") for each in vectors["text_id_to_ref_doc_id"].values()}


if __name__ == "__main__":
    main(Runner(sync, served))
