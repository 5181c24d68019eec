"""A publisher that stalls inside a put or delete for longer than its lease: what comes too late is mended."""

from collections.abc import Callable

import pytest

from builders import Home, an_incident
from kbsync.errors import LeaseLostError
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once

OpenHome = Callable[..., Home]
BODY = "incidents/INC-1001.md"


def stalling(home: Home, effect: str, key: str, meanwhile: Callable[[], None]) -> None:
    """Let the world move on for long between the lease check and one put or delete of a key."""
    real, stalled = getattr(home.documents, effect), []

    def late(asked: str, *given: object, **named: object) -> object:
        if asked == key and not stalled:
            stalled.append(asked)
            home.clock.forward(minutes=10)
            meanwhile()
        return real(asked, *given, **named)

    setattr(home.documents, effect, late)


def quiet(home: Home) -> None:
    """Run as the schedule would until nothing is left."""
    for _ in range(4):
        sync_once(home.engine)
        home.clock.forward(minutes=10)


@pytest.mark.parametrize("end", [reopen_incident, delete_incident], ids=["reopened", "deleted"])
@pytest.mark.parametrize("key", [BODY, f"{BODY}.metadata.json"], ids=["body", "sidecar"])
def test_put_after_anothers_withdrawal_is_withdrawn_by_the_next_run(
    open_home: OpenHome, key: str, end: Callable[..., None]
) -> None:
    """P3: a first put holds while nothing is there, also after the incident's document was withdrawn."""
    slow, other = open_home(), open_home()
    upsert_incidents(slow.engine, [an_incident()])

    def withdrawn_by_another() -> None:
        end(other.engine, "INC-1001")
        quiet(other)

    stalling(slow, "put", key, withdrawn_by_another)

    with pytest.raises(LeaseLostError):
        sync_once(slow.engine)
    assert {key} <= other.keys()
    quiet(other)

    assert other.keys() == set()
    assert other.listed() == set()
    assert other.state() in ("withdrawn", "none")


@pytest.mark.parametrize("key", [BODY, f"{BODY}.metadata.json"], ids=["body", "sidecar"])
def test_delete_after_anothers_put_of_equal_bytes_is_put_again(open_home: OpenHome, key: str) -> None:
    """P1: equal bytes have equal ETags, so a late delete holds although another has put the document anew."""
    slow, other = open_home(), open_home()
    upsert_incidents(slow.engine, [an_incident()])
    sync_once(slow.engine)
    reopen_incident(slow.engine, "INC-1001")

    def published_by_another() -> None:
        update_incident(other.engine, "INC-1001", {"status": "CLOSED"})
        quiet(other)

    stalling(slow, "delete", key, published_by_another)

    with pytest.raises(LeaseLostError):
        sync_once(slow.engine)
    assert not {key} & other.keys()
    quiet(other)

    assert other.state() == "indexed"
    assert {BODY, f"{BODY}.metadata.json"} <= other.keys()
    assert other.found("pool exhausted") == ["INC-1001"]


def test_put_that_outlasted_a_lease_nobody_took_goes_on(open_home: OpenHome) -> None:
    """Slow is no fault: where no other run came, the lease is renewed and the run ends well."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident()])
    stalling(home, "put", BODY, lambda: None)

    report = sync_once(home.engine)

    assert (report.status, report.indexed) == ("ok", 1)
