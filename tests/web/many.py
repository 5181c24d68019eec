"""A home with many incidents, made by SQL from one that was really synced."""

from pathlib import Path

from builders import an_incident
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.sync import sync_once
from web.visiting import Visit, a_visit

COPY = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
INSERT OR REPLACE INTO {table} SELECT {columns} FROM n, {table} AS one WHERE one.incident_id = 'INC-000000'
"""
ID = "printf('INC-%06d', i)"


def many_incidents(folder: Path, count: int) -> Visit:
    """Return a visit of a home with so many searchable incidents, INC-000000 and on."""
    visit = a_visit(folder, filled=False)
    upsert_incidents(visit.home.engine, [an_incident(incident_id="INC-000000")])
    sync_once(visit.home.engine)
    database = visit.home.incidents._database
    for table, texts in (("incidents", ("attributes",)), ("records", ("content",))):
        names = [row[1] for row in database.query(f"PRAGMA table_info({table})")]
        copied = {name: f"one.{name}" for name in names} | {"incident_id": ID}
        copied |= {name: f"replace(one.{name}, 'INC-000000', {ID})" for name in texts}
        database.query(COPY.format(last=count - 1, table=table, columns=", ".join(copied.values())))
    return visit
