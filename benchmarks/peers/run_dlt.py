"""dlt: incremental on `updated_at`, merged by id into DuckDB; a transformer embeds what the cursor lets by.

Source: dlt documentation, "Incremental loading": cursor, merge by primary key, and the `hard_delete` hint,
without which nothing is ever withdrawn. DuckDB's vectors are a JSON column: dlt would make a child table of
a list.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dlt
import duckdb

from benchmarks.peers.frame import Embedding, Runner, incidents, is_wanted, main, text_of

DATASET, TABLE, PAGE = "knowledge", "documents", 100
COLUMNS: Any = {
    "embedding": {"data_type": "json"},
    "withdrawn": {"data_type": "bool", "hard_delete": True},
}


@dlt.resource(primary_key="incident_id", selected=False)
def changed(
    file: Path,
    updated_at: Any = dlt.sources.incremental("updated_at"),  # noqa: B008 - how dlt declares a cursor
) -> Iterator[list[dict[str, Any]]]:
    """Yield the incidents in pages; dlt drops the rows that the cursor has passed."""
    del updated_at  # dlt filters by it
    page = []
    for incident in incidents(file):
        page.append(incident)
        if len(page) == PAGE:
            yield page
            page = []
    yield page


def documents(embedding: Embedding) -> Any:
    """Return the transformer that makes a row of each changed incident."""

    @dlt.transformer(name=TABLE, primary_key="incident_id", write_disposition="merge", columns=COLUMNS)
    def embedded(page: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        texts = [text_of(each) for each in page]
        vectors = embedding(texts).tolist() if texts else []
        yield [
            {
                "incident_id": each["incident_id"],
                "text": text,
                "embedding": vector,
                "withdrawn": None if is_wanted(each) else True,
            }
            for each, text, vector in zip(page, texts, vectors, strict=True)
        ]

    return embedded


def sync(store: Path, file: Path, embedding: Embedding) -> Mapping[str, int]:
    """Load what changed since the last load."""
    pipeline = dlt.pipeline(
        "incidents",
        pipelines_dir=str(store / "pipelines"),
        destination=dlt.destinations.duckdb(str(store / "store.duckdb")),
        dataset_name=DATASET,
    )
    pipeline.run(changed(file) | documents(embedding))
    normalized = pipeline.last_trace.last_normalize_info
    return {"written": normalized.row_counts.get(TABLE, 0) if normalized else 0}


def served(store: Path) -> Mapping[str, str]:
    """Return every row's text."""
    query = f"SELECT incident_id, text FROM {DATASET}.{TABLE}"  # noqa: S608 - fixed texts
    with duckdb.connect(str(store / "store.duckdb"), read_only=True) as connection:
        return dict(connection.execute(query).fetchall())


if __name__ == "__main__":
    main(Runner(sync, served))
