"""The command by which a person decides on what the deletion brake holds. Imports the pipeline's brake.

Invariant: without a hash nothing is written; with one, just the plan of that hash is let go.
"""

from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.looking import Limit
from kbsync.cli.terminal import counted, table
from kbsync.engine import Engine
from kbsync.model import SyncRecord
from kbsync.pipeline.brake import HELD, HeldPlan, held_pages, plan_held
from kbsync.pipeline.brake import approve as approve_plan
from kbsync.pipeline.brake_memory import read_brake


def approve(
    call: Call,
    plan: Annotated[
        str | None, typer.Argument(metavar="HASH", help="The plan to let go, as the list names it.")
    ] = None,
    limit: Limit = 20,
) -> None:
    """List the withdrawals that wait for a person, or let them go by the hash of their plan.

    They wait where more documents would go than may go unasked in a day, because incidents are gone from
    the table or a setting has changed. Where that is a mistake, mend it instead: nothing has been touched.
    """
    engine = call.engine()
    if plan is None:
        _list(call, engine, limit)
        return
    count = approve_plan(engine, plan.strip().lower())

    def show() -> None:
        call.out.print(Text(f"{counted(count, 'withdrawal')} will be made by the next run."))
        call.hint("next: `kbsync sync`")

    call.answer({"approved": plan.strip().lower(), "withdrawals": count}, show)


def _list(call: Call, engine: Engine, limit: int) -> None:
    held, brake = plan_held(engine), read_brake(engine)
    records = islice((record for page in held_pages(engine) for record in page), limit)
    shown = [_row(record) for record in records]
    view = {
        "plan": held.plan or None,
        "withdrawals": held.count,
        "causes": dict(held.causes),
        "approved": brake.approved or None,
        "held": shown,
        "left_out": held.count - len(shown),
    }
    call.answer(view, lambda: _show(call, held, shown, approved=bool(brake.approved)))


def _row(record: SyncRecord) -> dict[str, Any]:  # Any: a view, whose values are shown as they are
    return {
        "incident_id": record.incident_id,
        "reason": record.reason.removeprefix(HELD),
        "document_key": record.document_key,
        "in_table": record.incident_exists,
    }


def _show(call: Call, held: HeldPlan, shown: list[dict[str, Any]], *, approved: bool) -> None:
    if not held.count:
        call.out.print("No withdrawal waits for a person.")
        return
    call.out.print(Text(f"Plan {held.plan}: {counted(held.count, 'withdrawal')}."))
    rows = [(each["incident_id"], each["reason"], each["document_key"]) for each in shown]
    call.out.print(table(["incident", "withdrawn because", "document"], rows))
    if held.count > len(shown):
        call.hint(f"{held.count - len(shown)} more; --limit shows them")
    if approved:
        call.hint("next: `kbsync sync` makes those that were approved")
    else:
        call.hint("a mistake? mend the table or the setting; the next runs then keep the documents")
        call.hint(f"right? `kbsync approve {held.plan}`, then `kbsync sync`")
