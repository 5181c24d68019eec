"""The command `plan-capacity`: what so many incidents ask of AWS. Imports the simulator; calls nothing."""

from typing import Annotated

import typer

from kbsync.capacity.facts import AS_OF, Facts
from kbsync.capacity.load import Load
from kbsync.capacity.simulate import Lag, Plan, simulate
from kbsync.cli.command import Call
from kbsync.cli.terminal import table


def plan_capacity(  # noqa: PLR0913 - one option for each thing that differs between companies
    call: Call,
    *,
    closes: Annotated[float, typer.Option(min=0, help="Incidents closed in an hour.")] = 100,
    documents: Annotated[float, typer.Option(min=0, help="Documents that stand already.")] = 100_000,
    changes: Annotated[float, typer.Option(min=0, help="Later edits and reopenings of each.")] = 0.2,
    knowledge_bases: Annotated[int, typer.Option(min=1, help="Deployments that share the incidents.")] = 1,
    tick: Annotated[float, typer.Option(min=1, max=60, help="Minutes between two runs.")] = 5,
    changed: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another quota, price or speed.")
    ] = None,
) -> None:
    """Tell what a load costs on AWS a month, how long a close takes to be searchable, and what fills first.

    From documented quotas, list prices and a few named assumptions; calls nothing and needs no account.
    """
    facts = Facts().changed(changed or ())
    load = Load(closes, documents, changes, knowledge_bases=knowledge_bases, tick_minutes=tick)
    plan = simulate(load, facts)
    call.answer(plan.as_view(), lambda: _show(call, plan))


def _show(call: Call, plan: Plan) -> None:
    out, load = call.out, plan.load
    out.print(f"{load.closes_per_hour:,.0f} closes an hour, {load.documents:,.0f} documents; prices: {AS_OF}")
    out.print(_lag_text(plan.lag))
    out.print(
        table(
            ["resource", "used", "full at closes an hour", "then"],
            [
                (each.name, f"{each.used:.1%}", _number(each.closes_per_hour), each.remedy)
                for each in plan.resources
            ],
        )
    )
    total = sum(plan.dollars_per_month.values())
    rows = [(name, f"${dollars:,.2f}") for name, dollars in plan.dollars_per_month.items()]
    out.print(table(["service", "a month"], [*rows, ("in all, without the vector store", f"${total:,.2f}")]))
    requests = [(name, _number(count)) for name, count in plan.requests_per_month.items()]
    out.print(table(["requests and units", "a month"], requests))
    if plan.knowledge_bases_needed > load.knowledge_bases:
        out.print(
            f"it takes {plan.knowledge_bases_needed} knowledge bases in {plan.accounts_needed} accounts: "
            f"try --knowledge-bases {plan.knowledge_bases_needed}; docs/SCALE.md says how to cut"
        )


def _lag_text(lag: Lag) -> str:
    if lag.typical_minutes is None or lag.longest_minutes is None:
        return "closed to searchable: falls behind without end; what is full is above 100 %"
    typical, longest = lag.typical_minutes, lag.longest_minutes
    return f"closed to searchable: typically {typical:.0f} minutes, at most {longest:.0f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
