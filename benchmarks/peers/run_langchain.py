"""LangChain: `index()` with a record manager in SQLite, over a Chroma collection on disk; `cleanup="full"`.

Source: LangChain, `index` reference: only `full` removes what the loader no longer returns; it wants the
whole set.
"""

from collections.abc import Mapping
from pathlib import Path

from chromadb.config import Settings
from langchain_chroma import Chroma
from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index

from benchmarks.peers.frame import Embedding, Runner, incidents, is_wanted, main, text_of

COLLECTION = "incidents"


class Hashed(Embeddings):
    """The one embedder, as LangChain asks for it."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit row per text, in order."""
        rows: list[list[float]] = self._embedding(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Return one unit vector."""
        return self.embed_documents([text])[0]


def _collection(store: Path, embedding: Embedding) -> Chroma:
    return Chroma(
        COLLECTION,
        Hashed(embedding),
        persist_directory=str(store / "chroma"),
        client_settings=Settings(anonymized_telemetry=False, is_persistent=True),
    )


def sync(store: Path, file: Path, embedding: Embedding) -> Mapping[str, int]:
    """Index the closed incidents of the file; what is not among them is removed."""
    records = SQLRecordManager(f"chroma/{COLLECTION}", db_url=f"sqlite:///{store / 'records.sqlite'}")
    records.create_schema()
    documents = (
        Document(page_content=text_of(each), metadata={"source": each["incident_id"]})
        for each in incidents(file)
        if is_wanted(each)
    )
    done = index(
        documents,
        records,
        _collection(store, embedding),
        cleanup="full",
        source_id_key="source",
        key_encoder="sha256",
    )
    return {"written": done["num_added"] + done["num_updated"], "deleted": done["num_deleted"]}


def served(store: Path) -> Mapping[str, str]:
    """Return every document of the collection."""
    kept = _collection(store, Embedding()).get(include=["documents", "metadatas"])
    pairs = zip(kept["metadatas"], kept["documents"], strict=True)
    return {str(metadata["source"]): text for metadata, text in pairs}


if __name__ == "__main__":
    main(Runner(sync, served))
