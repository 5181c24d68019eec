"""What is going on when a fault comes: a scenario prepares a world, and may change an incident meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from builders import an_incident
from explorer.worlds import World, quiet
from faults import Faults, KilledError, with_faults
from kbsync.local.faults import LocalFaults
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once

Change = Callable[[World], None]


@dataclass(frozen=True)
class Scenario:
    """`during` happens before the first effect of the run whose name is `at`."""

    name: str
    prepare: Change
    at: str = ""
    during: Change | None = None
    faults: LocalFaults = field(default_factory=LocalFaults)
    jobs_more: int = 0
    """Jobs that the scenario itself causes beyond those of its unbroken run, under any fault."""


def close(world: World, *ids: str) -> None:
    upsert_incidents(world.engine, [an_incident(incident_id=each, title=f"Case {each}") for each in ids])


def publish_3(world: World) -> None:
    close(world, "INC-1", "INC-2", "INC-3")


def publish_1(world: World) -> None:
    close(world, "INC-1")


def published(world: World) -> None:
    publish_1(world)
    quiet(world)


def edit(world: World) -> None:
    update_incident(world.engine, "INC-1", {"description": "a text that was edited"})


def reopen(world: World) -> None:
    reopen_incident(world.engine, "INC-1")


def delete(world: World) -> None:
    delete_incident(world.engine, "INC-1")


def edited_after(world: World) -> None:
    published(world)
    edit(world)


def withdrawn_after(world: World) -> None:
    close(world, "INC-1", "INC-2")
    quiet(world)
    reopen(world)
    delete_incident(world.engine, "INC-2")


def released_after_quarantine(world: World) -> None:
    """Set aside after three attempts of its own, then mended by its owner."""
    upsert_incidents(world.engine, [an_incident(incident_id="INC-1", description={"not": "a text"})])
    for _ in range(world.engine.policy.max_attempts):
        quiet(world)
    record = world.engine.ledger.records(["INC-1"])["INC-1"]
    assert record.state == "quarantined", record
    update_incident(world.engine, "INC-1", {"description": "Now a text."})


def scanned_already(world: World) -> None:
    """Somebody's job is under way, and may have passed the place where our document will stand."""
    close(world, "INC-2")
    quiet(world)
    world.engine.knowledge_base.start_job(description="a foreign job", client_token="f" * 33)
    publish_1(world)


def deleted_and_died(world: World) -> None:
    """Deleted; the run that withdrew it died before its removal was confirmed."""
    published(world)
    delete(world)

    class DiesAtJob(Faults):
        def around(self, name: str, effect: Callable[[], object]) -> object:
            if name == "knowledge_base.start_job":
                self.dead = True
            return super().around(name, effect)

    with suppress(KilledError):
        sync_once(with_faults(world.rival(), DiesAtJob()))


PUT = "documents.put"
SCENARIOS = {
    each.name: each
    for each in (
        Scenario("publish 3", publish_3),
        Scenario("edit of a published one", edited_after),
        Scenario("edit during run", publish_1, PUT, edit),
        Scenario("reopen during run", publish_1, PUT, reopen),
        Scenario("delete during run", publish_1, PUT, delete),
        Scenario("reopen while a job runs", publish_1, "knowledge_base.job", reopen),
        Scenario("withdraw", withdrawn_after),
        Scenario("quarantine and release", released_after_quarantine),
        Scenario("job conflict", publish_1, faults=LocalFaults(conflict=1)),
        Scenario("job already scanning", scanned_already, faults=LocalFaults(delay_polls=2), jobs_more=1),
        Scenario("deleted, died before confirmed", deleted_and_died),
    )
}
CHANGES: dict[str, Change] = {"edited": edit, "reopened": reopen, "deleted": delete}
"""What an owner may do at any effect of a run; each is marked, as our own API does."""


def with_change_at(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario with an owner's change as a fault of its own."""
    return replace(scenario, name=f"{scenario.name}, {name}")
