"""CocoIndex 1: a memoised function for each incident declares its row of a SQLite table; its state is LMDB.

Source: CocoIndex documentation, "SQLite connector" and "Core concepts". The vector is a BLOB, without the
vec0 table: Python's own SQLite may not load extensions. That is less work than an index would be.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Any

import cocoindex as coco
from cocoindex.connectors import sqlite

from benchmarks.peers.frame import Embedding, Incident, Runner, incidents, is_wanted, main, text_of

DATABASE = coco.ContextKey[sqlite.ManagedConnection]("database")
EMBEDDING = coco.ContextKey[Embedding]("embedding")
TABLE = "documents"


@dataclass
class Row:
    """One document."""

    incident_id: str
    text: str
    embedding: bytes


@coco.fn(memo=True)
async def index_incident(incident: Incident, table: sqlite.TableTarget[Row]) -> None:
    """Declare the row of a closed incident."""
    text = text_of(incident)
    vector = coco.use_context(EMBEDDING)([text])[0]
    table.declare_row(row=Row(str(incident["incident_id"]), text, vector.tobytes()))


@coco.fn
async def index_file(file: Path) -> None:
    """Declare a row for every closed incident of the file."""
    table = await sqlite.mount_table_target(
        DATABASE, TABLE, await sqlite.TableSchema.from_class(Row, primary_key=["incident_id"])
    )
    items = [(str(each["incident_id"]), each) for each in incidents(file) if is_wanted(each)]
    await coco.mount_each(index_incident, items, table)


def sync(store: Path, file: Path, embedding: Embedding) -> Mapping[str, int]:
    """Make the table what the file declares."""

    @coco.lifespan
    async def lifespan(builder: Any) -> AsyncIterator[None]:
        builder.settings.db_path = store / "state"
        builder.provide_with(DATABASE, sqlite.managed_connection(store / "documents.sqlite"))
        builder.provide(EMBEDDING, embedding)
        yield

    before = served(store)
    coco.App(coco.AppConfig(name="incidents"), index_file, file).update_blocking()
    after = served(store)
    return {
        "written": sum(before.get(key) != text for key, text in after.items()),
        "deleted": len(before.keys() - after.keys()),
    }


def served(store: Path) -> Mapping[str, str]:
    """Return every row's text."""
    if not (store / "documents.sqlite").exists():
        return {}
    with closing(connect(store / "documents.sqlite")) as connection:
        return dict(connection.execute(f"SELECT incident_id, text FROM {TABLE}").fetchall())  # noqa: S608


if __name__ == "__main__":
    main(Runner(sync, served))
