"""Brake: withdrawals that nobody asked for do not go by the thousand. Knows the Ledger port, under the lease.

    hold      what an absence or a changed setting would take away is put aside, document untouched
    settle    when the queue is drained: few in 24 hours, and all of them go; too many, and all of them wait
    approve   a person names the hash of what waits; the next run withdraws just that

Additions go on meanwhile. A mark takes an incident out of the hold, and it is decided on anew. Killed
anywhere, the next run goes on: that something is held is written before it is. Invariant: no part of a plan
goes before the whole of it was counted.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.model import Stage, State, SyncRecord
from kbsync.pipeline.brake_memory import WINDOW, Brake, change_brake, read_brake
from kbsync.pipeline.mark import moved, queued, save_records
from kbsync.pipeline.plan import PlannedChange
from kbsync.pipeline.reconcile_survey import CHECKPOINT, survey_of
from kbsync.pipeline.run import Run
from kbsync.queueing import LATEST_DUE, due_at, in_stage, queue_name, shard_queue, utc_text
from kbsync.shards import count_held, covered_shards

HELD = "held: "
"""What the reason of a held record begins with; the rest is the withdrawal's own."""
_HASH_CHARACTERS = 16
_HASH_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """All withdrawals that are held: how many, which, and up to which due."""

    count: int = 0
    fresh: int = 0
    """How many of them were not withdrawn, for whatever reason, within the window."""
    plan: str = ""
    until: str = ""
    causes: tuple[tuple[str, int], ...] = ()


def hold_unasked(run: Run, planned: Sequence[PlannedChange]) -> list[PlannedChange]:
    """Put the withdrawals aside that nobody asked for; returns the rest, to be carried out now."""
    unasked = [change for change in planned if change.unasked]
    if unasked:
        if not run.held:
            change_brake(run.engine, lambda brake: replace(brake, unsettled=True))
        run.held, run.brake_on = run.held + len(unasked), True
        run.count(found=-len(unasked))  # found when it is decided on
        save_records(run, [(_held(run, change), change.record.due) for change in unasked])
    return [change for change in planned if not change.unasked]


def _held(run: Run, change: PlannedChange) -> SyncRecord:
    record, now = change.record, run.engine.now()
    record = moved(record, record.state, f"{HELD}{change.reason}", run_id=run.run_id, at=now)
    return replace(
        record,
        incident_exists=change.stored is not None,
        queue=queue_name(Stage.HELD, record.incident_id, run.engine.policy.shards),
        due=due_at(now),
        pending_since=None,
    )


def held_pages(engine: Engine, *, until: str = LATEST_DUE) -> Iterator[list[SyncRecord]]:
    """Yield the held records page by page, each as it stands now; reads only."""
    for shard in range(covered_shards(engine)):
        queue, after = shard_queue(Stage.HELD, shard), ""
        while entries := engine.ledger.due(queue, until=until, after=after, limit=engine.policy.page_size):
            after = entries[-1].due
            found = engine.ledger.records([entry.incident_id for entry in entries]).values()
            yield [record for record in found if in_stage(record, Stage.HELD) and record.due <= until]


def plan_held(engine: Engine, *, since: datetime | None = None) -> HeldPlan:
    """Return the plan of all that is held, with a hash that tells one plan from another; reads only.

    The hash does not depend on the order, so that nothing but a sum is kept in memory.

    Args:
        engine: the ports and the policy.
        since: withdrawals of the same incidents from here on (aware UTC) make them no longer fresh.
    """
    total, count, fresh, until = 0, 0, 0, ""
    causes: Counter[str] = Counter()
    for page in held_pages(engine):
        for record in page:
            total = (total + _digest(record)) % _HASH_MODULUS
            count += 1
            fresh += not _was_withdrawn(record, since)
            until = max(until, record.due)
            causes[record.reason.removeprefix(HELD).partition(":")[0]] += 1
    plan = f"{total:064x}"[:_HASH_CHARACTERS] if count else ""
    return HeldPlan(count, fresh, plan, until, tuple(sorted(causes.items())))


def _digest(record: SyncRecord) -> int:
    text = f"{record.incident_id}\0{record.reason}\0{record.document_key}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def _was_withdrawn(record: SyncRecord, since: datetime | None) -> bool:
    return since is not None and any(
        step.state is State.WITHDRAWING and step.at > since for step in record.transitions
    )


def would_hold(engine: Engine, unasked: int) -> bool:
    """Whether so many more withdrawals that nobody asked for would wait for a person; reads only."""
    if not unasked:
        return False
    brake = read_brake(engine).at(engine.now(), lambda: _count_live(engine))
    return brake.withdrawn + count_held(engine) + unasked > brake.free


def approve(engine: Engine, plan: str) -> int:
    """Let a plan go with the next run; returns how many withdrawals it has. Repeating changes nothing.

    Raises:
        UsageError: nothing waits, or something else than this plan does; nothing was approved.
    """
    held = plan_held(engine)
    if not held.count:
        raise UsageError("no withdrawals wait for approval")
    if held.plan != plan:
        raise UsageError(f"{plan} is not the plan that waits", hint="look again: `kbsync approve` lists it")
    change_brake(engine, lambda brake: replace(brake, approved=held.plan, until=held.until))
    return held.count


def carry_out_approval(run: Run) -> None:
    """Look whether the brake is on, and let go what was approved; a killed run's rest is let go here."""
    brake = read_brake(run.engine)
    run.brake_on = not brake.is_off
    run.count(withheld=brake.waiting)
    if brake.approved:
        _let_go(run, brake)


def settle_held(run: Run) -> bool:
    """Decide on everything that is held, as one plan; returns whether it was let go and is due now.

    Waits where only a part of it is known yet: at the deadline, or while a reconcile goes on repairing.
    """
    if not run.brake_on or run.out_of_time or _is_part_of_reconcile(run):
        return False
    now, brake = run.engine.now(), read_brake(run.engine)
    if not brake.approved and _needs_decision(run, brake, now):
        held = plan_held(run.engine, since=now - WINDOW)
        brake = change_brake(run.engine, lambda brake: _decided(run, brake, held, now))
    run.count(withheld=brake.waiting - run.report.withheld)
    if brake.approved:
        _let_go(run, brake)
    elif brake.waiting:
        run.say(f"{brake.waiting} withdrawals wait for a person: `kbsync approve` lists them")
    return bool(brake.approved)


def _is_part_of_reconcile(run: Run) -> bool:
    text = run.engine.ledger.read_value(CHECKPOINT)
    if survey_of(text, repair=True, now=run.engine.now()) is None:
        return False
    run.say("a reconcile is going on: the withdrawals it asks for are decided on when it has ended")
    return True


def _needs_decision(run: Run, brake: Brake, now: datetime) -> bool:
    """Whether something has changed since the last decision, or a day has gone by."""
    a_day_ago = utc_text(now - WINDOW)
    return brake.unsettled or brake.decided_at <= a_day_ago or count_held(run.engine) != brake.waiting


def _decided(run: Run, brake: Brake, held: HeldPlan, now: datetime) -> Brake:
    """Return what is remembered once the plan is decided on.

    It stays unsettled where this run held something: an index that lags may not have shown all of it.
    """
    if brake.approved:  # a person was quicker
        return brake
    brake = replace(brake, unsettled=run.held > 0, decided_at=utc_text(now), waiting=0, plan="", causes={})
    if held.count:
        brake = brake.at(now, lambda: _count_live(run.engine))
    if held.count and brake.withdrawn + held.fresh > brake.free:
        return replace(brake, waiting=held.count, plan=held.plan, causes=dict(held.causes))
    if held.count < max(run.held, 1):
        return brake
    return replace(brake.having_let_go(held.fresh), approved=held.plan, until=held.until)


def _count_live(engine: Engine) -> int:
    states, _ = engine.ledger.count_records()
    return states.get(State.INDEXED, 0) + states.get(State.PUBLISHED, 0)


def _let_go(run: Run, brake: Brake) -> None:
    """Hand what was approved to the publisher as withdrawals that have begun, due in this run."""
    reason = f"the deletion brake let it go: plan {brake.approved}"
    for page in held_pages(run.engine, until=brake.until):
        if run.out_of_time:
            return
        run.lease.ensure()
        save_records(run, [(_let_gone(run, record, reason), record.due) for record in page])
    change_brake(run.engine, _carried_out)
    run.count(withheld=-run.report.withheld)


def _carried_out(brake: Brake) -> Brake:
    """Return what is remembered then; whether something was held besides, the next look tells."""
    return replace(brake, approved="", until="", waiting=0, plan="", causes={}, unsettled=True)


def _let_gone(run: Run, record: SyncRecord, reason: str) -> SyncRecord:
    record = moved(record, State.WITHDRAWING, reason, run_id=run.run_id, at=run.engine.now())
    record = replace(record, fingerprint="")
    return queued(record, Stage.PUBLISH, at=run.report.started_at, shards=run.engine.policy.shards)
