"""Our own ways to change incidents: each marks what it changes, and touches nothing else."""

import pytest

from builders import Home, an_incident
from kbsync.errors import UnknownIncidentError, UsageError, WriteConflictError
from kbsync.pipeline.changes import (
    Upsert,
    close_incident,
    delete_incident,
    reopen_incident,
    retry_incidents,
    update_incident,
    upsert_incidents,
)
from kbsync.pipeline.pause import read_pause, resume


def test_upsert_tells_new_changed_and_equal_items_apart(home: Home) -> None:
    """An equal item is neither written nor marked."""
    assert upsert_incidents(home.engine, [an_incident()]) == [Upsert.IMPORTED]
    assert upsert_incidents(home.engine, [an_incident()]) == [Upsert.UNCHANGED]
    assert upsert_incidents(home.engine, [an_incident(title="Other")]) == [Upsert.UPDATED]


def test_upsert_keeps_the_tables_own_sync_status(home: Home) -> None:
    """The map of a known incident is the table's, whatever the file says."""
    upsert_incidents(home.engine, [an_incident(kb_sync_status=None)])

    upsert_incidents(home.engine, [an_incident(title="x", kb_sync_status={"synced": True})])

    assert "kb_sync_status" not in home.incidents.read(["INC-1001"])["INC-1001"].attributes


def test_last_of_several_items_with_one_id_counts(home: Home) -> None:
    """A file that names an id twice means its last line."""
    upsert_incidents(home.engine, [an_incident(title="first"), an_incident(title="last")])

    assert home.incidents.read(["INC-1001"])["INC-1001"].attributes["title"] == "last"


def test_close_sets_what_the_originals_snippet_sets(home: Home) -> None:
    """Source: ORIGINAL_DESIGN.md, "Actualizar al Cerrar Incidencia"."""
    upsert_incidents(home.engine, [an_incident(status="OPEN", kb_sync_status=None)])

    close_incident(home.engine, "INC-1001", resolution={"description": "Restarted."})

    attributes = home.incidents.read(["INC-1001"])["INC-1001"].attributes
    assert attributes["status"] == "CLOSED"
    assert attributes["resolution"] == {"description": "Restarted."}
    assert attributes["resolved_at"] == attributes["updated_at"]
    assert attributes["kb_sync_status"] == {"synced": False, "sync_attempts": 0}


def test_close_without_a_resolution_keeps_the_one_there(home: Home) -> None:
    """Nothing is thrown away that the caller did not name."""
    upsert_incidents(home.engine, [an_incident(status="OPEN")])

    close_incident(home.engine, "INC-1001")

    assert "resolution" in home.incidents.read(["INC-1001"])["INC-1001"].attributes


def test_update_removes_an_attribute_that_is_set_to_none(home: Home) -> None:
    """None means: no longer there."""
    upsert_incidents(home.engine, [an_incident()])

    update_incident(home.engine, "INC-1001", {"category": None})

    assert "category" not in home.incidents.read(["INC-1001"])["INC-1001"].attributes


@pytest.mark.parametrize("name", ["incident_id", "kb_sync_status"])
def test_update_refuses_what_is_not_the_callers(home: Home, name: str) -> None:
    """Identity and sync status are not fields to edit."""
    upsert_incidents(home.engine, [an_incident()])

    with pytest.raises(UsageError, match="cannot be changed"):
        update_incident(home.engine, "INC-1001", {name: "x"})


def test_reopen_refuses_a_closed_status(home: Home) -> None:
    """A status that counts as closed is no reopening."""
    upsert_incidents(home.engine, [an_incident()])

    with pytest.raises(UsageError, match="counts as closed"):
        reopen_incident(home.engine, "INC-1001", status="CLOSED")


@pytest.mark.parametrize("change", [close_incident, reopen_incident, delete_incident])
def test_unknown_incident_is_named_and_not_created(home: Home, change: object) -> None:
    """No phantom item appears."""
    with pytest.raises(UnknownIncidentError, match="NOPE"):
        change(home.engine, "NOPE")  # type: ignore[operator]

    assert home.incidents.read(["NOPE"]) == {}


def test_retry_of_an_unknown_id_releases_nothing(home: Home) -> None:
    """All ids are checked before any is released."""
    with pytest.raises(UnknownIncidentError, match="NOPE"):
        retry_incidents(home.engine, ["NOPE"])


def test_retry_of_a_known_id_queues_it(home: Home) -> None:
    """An incident that is not quarantined is only looked at again."""
    upsert_incidents(home.engine, [an_incident()])

    assert retry_incidents(home.engine, ["INC-1001"]) == 1


@pytest.mark.parametrize("change", ["update", "delete", "upsert"])
def test_incident_that_keeps_changing_is_given_up_with_a_conflict(home: Home, change: str) -> None:
    """The write is conditional on what was read; it is tried a few times, then said."""
    upsert_incidents(home.engine, [an_incident()])
    home.incidents.change = lambda changes: [False] * len(changes)  # type: ignore[method-assign]
    calls = {
        "update": lambda: update_incident(home.engine, "INC-1001", {"title": "x"}),
        "delete": lambda: delete_incident(home.engine, "INC-1001"),
        "upsert": lambda: upsert_incidents(home.engine, [an_incident(title="x")]),
    }

    with pytest.raises(WriteConflictError, match="chang"):
        calls[change]()


def test_resume_without_a_pause_changes_nothing(home: Home) -> None:
    """Repeating is harmless."""
    resume(home.engine)

    assert read_pause(home.engine) is None
