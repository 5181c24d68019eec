"""What `kbsync sync --dry-run` shows: the plan of the next run. Imports the pipeline; reads only.

Invariant: however many incidents are due, a bounded number of changes is kept.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.terminal import counted, pairs, table
from kbsync.engine import Engine
from kbsync.pipeline.brake import would_hold
from kbsync.pipeline.plan import Action, PlannedChange, plan_once

CHANGES_SHOWN = 50
MOST_CHANGES_NAMED = 10_000
_IDLE = (Action.UNCHANGED, Action.LOOK)


@dataclass
class _Plan:
    """The next run's decisions: all of them counted, the first ones named."""

    counts: Counter[str] = field(default_factory=Counter)
    named: list[PlannedChange] = field(default_factory=list)
    unasked: int = 0
    withheld: int = 0

    @property
    def at_work(self) -> int:
        return self.counts.total() - sum(self.counts[action] for action in _IDLE)


def show_plan(call: Call, engine: Engine) -> None:
    """Print what the next run would do, and how much of it the deletion brake would hold; writes nothing."""
    plan = _planned(engine)
    changes = [
        {
            "incident_id": each.incident_id,
            "action": str(each.action),
            "reason": each.reason,
            "document_key": each.document_key,
        }
        for each in plan.named
    ]
    view = {
        "dry_run": True,
        "status": "ok",
        "found": plan.counts.total(),
        "actions": dict(plan.counts),
        "withheld": plan.withheld,
        "changes": changes,
        "left_out": plan.at_work - len(plan.named),
    }
    call.answer(view, lambda: _show(call, plan))


def _planned(engine: Engine) -> _Plan:
    plan = _Plan()
    for change in plan_once(engine):
        plan.counts[str(change.action)] += 1
        plan.unasked += change.unasked
        if change.action not in _IDLE and len(plan.named) < MOST_CHANGES_NAMED:
            plan.named.append(replace(change, stored=None, document=None))
    plan.withheld = plan.unasked if would_hold(engine, plan.unasked) else 0
    return plan


def _show(call: Call, plan: _Plan) -> None:
    total = plan.counts.total()
    call.out.print(
        Text(f"{counted(total, 'incident')} due, {plan.at_work} would change. Nothing was written.")
    )
    call.out.print(pairs(dict(plan.counts)))
    shown = plan.named[:CHANGES_SHOWN]
    if shown:
        rows = [(each.incident_id, each.action, each.reason, each.document_key) for each in shown]
        call.out.print(table(["incident", "action", "because", "document"], rows))
    if plan.at_work > len(shown):
        call.hint(f"{plan.at_work - len(shown)} more; --json names them")
    if plan.withheld:
        withheld = f"{counted(plan.withheld, 'withdrawal')} would wait for a person: `kbsync approve`"
        call.out.print(Text(withheld, style="yellow"))
    call.hint("next: `kbsync sync` does it")
