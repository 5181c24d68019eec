"""Play every fault at every effect of a scenario, then run until quiet, and compare with the unbroken end.

    effect n of the run x kind of fault = one schedule

Checked at each `synced: true` that is written: the knowledge base holds this very content then (P2). At the
end: the same state as without the fault, nothing owed, no attempt counted, and no job beyond the one that a
repeat may need.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from explorer.scenarios import CHANGES, Scenario
from explorer.worlds import BETWEEN_RUNS, QUIET_RUNS, MakeWorld, World, end_state, quiet
from faults import Faults, KilledError, with_faults
from kbsync.engine import Engine
from kbsync.errors import BusyError, KbSyncError, ThrottledError, UnavailableError
from kbsync.knowledge import DocumentStatus
from kbsync.model import Document, Mark, StoredIncident, SyncStatus
from kbsync.pipeline.sync import sync_once

BEFORE: dict[str, Callable[[], BaseException]] = {
    "throttled": lambda: ThrottledError("slow down"),
    "unavailable": lambda: UnavailableError("no answer"),
    "killed before": KilledError,
}
AFTER: dict[str, Callable[[], BaseException]] = {
    "reply lost": lambda: UnavailableError("the reply was lost"),
    "killed after": KilledError,
}
TIMES: dict[str, timedelta] = {"delayed": timedelta(seconds=50), "clock stepped back": timedelta(minutes=-20)}
STALLS = ("stalled before", "stalled after")
"""The worker stands still for longer than its lease while another run takes over, and then goes on."""
MARKS: dict[str, timedelta] = {"marked again": timedelta(), "marked a day late": timedelta(days=1)}
"""A stream delivers twice, out of order, and late."""
LONGEST_SECONDS = 60.0
"""How long one of two runs may stand still; nothing waits for ever where the other has ended."""
INTERRUPTIONS = ("killed before", "killed after", *STALLS)
"""What may lose the vectors in hand before they are stored; all else embeds each text once."""
TEXTS_IN_HAND = 3
FAULTS = (*BEFORE, *AFTER, *TIMES, *STALLS, *MARKS)


class ViolationError(AssertionError):
    """A promise did not hold; the text names scenario, effect and fault."""


@dataclass
class Schedule(Faults):
    """One run in which effect `at` meets a fault or an owner's change."""

    world: World = field(kw_only=True)
    scenario: Scenario = field(kw_only=True)
    kind: str = ""
    changed: bool = False

    def around(self, name: str, effect: Callable[[], object]) -> object:
        """Let the effect happen, unless the schedule has it otherwise."""
        if self.dead:
            raise KilledError
        self.seen += 1
        self.log.append(name)
        if self.scenario.during is not None and name == self.scenario.at and not self.changed:
            self.changed = True
            self.scenario.during(self.world)
        if self.seen != self.at:
            return effect()
        return self._met(effect)

    def _met(self, effect: Callable[[], object]) -> object:
        kind = self.kind
        if kind in BEFORE:
            self._raise(BEFORE[kind]())
        if kind in CHANGES:
            CHANGES[kind](self.world)
        if kind in MARKS:
            self.world.engine.ledger.mark(
                [Mark("INC-1", self.world.engine.now() - MARKS[kind], create=False)]
            )
        if kind in TIMES:
            self.world.move(TIMES[kind])
        if kind == "stalled before":
            self._stall()
        result = effect()
        if kind == "stalled after":
            self._stall()
        if kind in AFTER:
            self._raise(AFTER[kind]())
        return result

    def _stall(self) -> None:
        self.world.move(BETWEEN_RUNS)
        with suppress(BusyError):
            sync_once(self.world.rival())


class Checked:
    """An incident store that looks, at each `synced: true`, whether the knowledge base really has it."""

    def __init__(self, world: World, engine: Any) -> None:  # Any: an engine whose effects are under watch
        self._store = engine.incidents
        self._engine = engine
        self._world = world

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def write_sync_statuses(self, writes: Sequence[tuple[StoredIncident, SyncStatus]]) -> object:
        outcomes = self._store.write_sync_statuses(writes)
        for (read, status), outcome in zip(writes, outcomes, strict=True):
            if status.synced and str(outcome) == "written":
                self._is_true(read)
        return outcomes

    def _is_true(self, read: StoredIncident) -> None:
        wanted = self._world.engine.transform.desired(read)
        if not isinstance(wanted, Document):
            raise ViolationError(f"{read.incident_id} says synced and wants no document")
        base = self._world.engine.knowledge_base
        info = base.documents([wanted.key])[wanted.key]
        content = {
            "andAll": [
                {"equals": {"key": "incident_id", "value": read.incident_id}},
                {"equals": {"key": "body_sha", "value": wanted.body_hash[:12]}},
            ]
        }
        if info.status is not DocumentStatus.INDEXED or not base.retrieve("", limit=1, filter=content):
            raise ViolationError(
                f"{read.incident_id} says synced and its content is not searchable: {info.status}"
            )


@dataclass(frozen=True)
class Costs:
    """What a run that met no fault has cost: a fault may add a repeat, and no more."""

    jobs: int
    embedded: int


def unbroken(scenario: Scenario, make: MakeWorld) -> tuple[dict[str, object], list[str], Costs]:
    """Return the end, the effects and the costs of a scenario's run that meets no fault."""
    with make(scenario.faults) as world:
        scenario.prepare(world)
        before = len(world.engine.knowledge_base.jobs(limit=100))
        schedule = Schedule(world=world, scenario=scenario)
        sync_once(with_faults(world.engine, schedule))
        quiet(world)
        jobs = len(world.engine.knowledge_base.jobs(limit=100)) - before
        return end_state(world), schedule.log, Costs(jobs, world.embedded())


def changed_end(scenario: Scenario, kind: str, make: MakeWorld) -> dict[str, object]:
    """Return the end of a scenario whose incident its owner changes before any run."""
    with make(scenario.faults) as world:
        scenario.prepare(world)
        CHANGES[kind](world)
        quiet(world)
        return end_state(world)


def play(
    scenario: Scenario, kind: str, at: int, make: MakeWorld, expected: dict[str, object], costs: Costs
) -> str:
    """Play one schedule and check its end; returns the name of the effect that met the fault.

    Raises:
        ViolationError: a promise did not hold.
    """
    with make(scenario.faults) as world:
        scenario.prepare(world)
        before = len(world.engine.knowledge_base.jobs(limit=100))
        schedule = Schedule(at=at, world=world, kind=kind, scenario=scenario)
        with suppress(KilledError, KbSyncError):
            sync_once(_checked(world, schedule))
        effect = schedule.log[at - 1] if len(schedule.log) >= at else ""
        told = f"{scenario.name}: {kind} at effect {at} ({effect})"
        if scenario.during is not None and not schedule.changed:
            scenario.during(world)
        runs = quiet(world)
        if runs > QUIET_RUNS:
            raise ViolationError(f"{told}: not quiet after {QUIET_RUNS} runs")
        _compare(told, end_state(world), expected)
        made = len(world.engine.knowledge_base.jobs(limit=100)) - before
        allowed = costs.jobs + scenario.jobs_more + 1 + (kind in CHANGES) + (kind in STALLS)
        if made > allowed:
            raise ViolationError(f"{told}: {made} jobs, at most {allowed} were needed")
        _embedded_once(
            told,
            world.embedded(),
            costs.embedded + TEXTS_IN_HAND * (kind in INTERRUPTIONS) + (kind in CHANGES),
        )
        return effect


def play_pair(
    scenario: Scenario, pair: tuple[int, int], make: MakeWorld, expected: dict[str, object]
) -> None:
    """Let one run stand still at its effect n while another goes to its m, then finish the first, then it.

    Raises:
        ViolationError: a promise did not hold.
    """
    with make(scenario.faults) as world:
        scenario.prepare(world)
        first, second = pair
        reached, go_on = threading.Event(), threading.Event()
        ended_by: list[BaseException] = []

        class Second(Faults):
            def around(self, _name: str, effect: Callable[[], object]) -> object:
                self.seen += 1
                if self.seen == second:
                    reached.set()
                    go_on.wait(LONGEST_SECONDS)
                return effect()

        class First(Schedule):
            def _met(self, effect: Callable[[], object]) -> object:
                world.move(BETWEEN_RUNS)
                rival.start()
                reached.wait(LONGEST_SECONDS)
                return effect()

        def run_second() -> None:
            try:
                sync_once(_checked(world, Second(), world.rival()))
            except BaseException as error:  # noqa: BLE001 - it is told in the test's own thread
                ended_by.append(error)
            finally:
                reached.set()

        rival = threading.Thread(target=run_second)
        with suppress(KbSyncError):
            sync_once(_checked(world, First(at=first, world=world, scenario=scenario)))
        go_on.set()
        if rival.ident is not None:
            rival.join()
        for error in ended_by:
            if not isinstance(error, KbSyncError):
                raise error
        told = f"{scenario.name}: one run at effect {first}, another at {second}"
        if quiet(world) > QUIET_RUNS:
            raise ViolationError(f"{told}: not quiet after {QUIET_RUNS} runs")
        _compare(told, end_state(world), expected)


def _checked(world: World, faults: Faults, engine: Engine | None = None) -> Engine:
    watched = with_faults(engine or world.engine, faults)
    return replace(watched, incidents=Checked(world, watched))  # type: ignore[arg-type] # stands for the port


def _embedded_once(told: str, embedded: int, allowed: int) -> None:
    if embedded > allowed:
        raise ViolationError(f"{told}: {embedded} texts embedded, at most {allowed} were needed")


def _compare(told: str, found: dict[str, object], expected: dict[str, object]) -> None:
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise ViolationError(f"{told}: {name} is {found[name]}, and should be {wanted}")
