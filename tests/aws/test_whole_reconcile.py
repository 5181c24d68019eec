"""Reconcile on AWS: hash-ordered scans, listings without fingerprints, removals that take a lease length."""

from datetime import timedelta

import pytest
from test_whole_backend import Whole, closed, whole

from builders import an_incident
from kbsync.model import State, sidecar_key
from kbsync.pipeline import brake_memory
from kbsync.pipeline.brake import approve, plan_held
from kbsync.pipeline.reconcile import reconcile
from kbsync.pipeline.sync import sync_once

__all__ = ["whole"]
pytest_plugins = ["bedrock_double.fixtures"]


def key_of(incident_id: str) -> str:
    return f"incidents/{incident_id}.md"


def remove(whole: Whole, key: str) -> None:
    head = whole.engine.documents.head(key)
    assert head is not None
    whole.engine.documents.delete(key, if_etag=head.etag)


@pytest.mark.slow
def test_damaged_deployment_is_found_repaired_and_clean_the_second_time(whole: Whole) -> None:
    """Slow: a dozen incidents through DynamoDB, S3 and Bedrock stand-ins, several runs long."""
    whole.tables.put_many(closed(12))
    whole.runs(2)
    remove(whole, key_of("INC-000"))
    remove(whole, sidecar_key(key_of("INC-001")))
    for key in (key_of("GONE-1"), sidecar_key(key_of("GONE-1"))):
        whole.engine.documents.put(key, b"{}", fingerprint="f" * 64, incident_id="GONE-1", if_etag="")
    whole.tables.put(an_incident(incident_id="INC-002", title="Edited", kb_sync_status={"synced": True}))

    reported = reconcile(whole.engine)
    repaired = reconcile(whole.engine, repair=True)
    whole.clock.shift += timedelta(minutes=5)
    whole.runs(4)
    again = reconcile(whole.engine)

    expected = {"missing": 1, "sidecar_lost": 1, "orphan": 1, "stale": 1}
    for survey in (reported, repaired):
        assert {str(kind): count for kind, count in survey.found.items() if count} == expected
    assert again.found.total() == 0
    assert len(whole.keys()) == 2 * 12
    assert sync_once(whole.engine).found == 0


@pytest.mark.slow
def test_emptied_table_waits_for_a_person_and_then_goes(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O-28 on AWS: an absence in a listing deletes nothing by the dozen (slow: several runs)."""
    monkeypatch.setattr(brake_memory, "FREE_COUNT", 1)
    whole.tables.put_many(closed(3))
    whole.runs(2)
    for n in range(2):
        whole.tables.delete(f"INC-{n:03}")

    reconcile(whole.engine, repair=True)
    held = whole.runs(2)[-1]
    kept = len(whole.keys())
    approve(whole.engine, plan_held(whole.engine).plan)
    gone = whole.runs(1)[0]
    whole.runs(2)

    assert (held.status, held.withheld, held.withdrawn, kept) == ("degraded", 2, 0, 6)
    assert (gone.withdrawn, gone.withheld, len(whole.keys())) == (2, 0, 2)
    assert whole.state("INC-000") is State.WITHDRAWN
