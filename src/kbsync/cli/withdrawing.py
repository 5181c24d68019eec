"""The command `withdraw`: take everything out of the knowledge base, or back. Imports the pipeline's own API.

Invariant: nothing is withdrawn without a person's yes.
"""

import sys
from typing import Annotated

import typer
from rich.text import Text

from kbsync.cli.command import OK, Call
from kbsync.cli.running import exit_code_of, run_once
from kbsync.cli.terminal import counted, is_terminal
from kbsync.errors import UsageError
from kbsync.model import State
from kbsync.views.report import report_view
from kbsync.withdrawal import publish_again, withdraw_all

_HOLDING = (State.PENDING, State.PUBLISHED, State.INDEXED, State.WITHDRAWING, State.QUARANTINED)


def withdraw(
    call: Call,
    everything: Annotated[bool, typer.Option("--all", help="Every document.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: publish what is eligible.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; else it is only said.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "no reason given",
) -> int:
    """Take every document out of the knowledge base, and keep it so until `withdraw --undo`.

    For tearing a stack down, or where something must stop at once. Incidents and ledger stay; each document
    is withdrawn and confirmed gone like any other, now and by later runs. Without --yes nothing is written.
    """
    if everything == undo:
        raise UsageError("give --all, or --undo", hint="one incident is withdrawn by `kbsync reopen ID`")
    engine = call.engine()
    if undo:
        publish_again(engine)
        _tell(call, "Documents are published again, from the next run on.", withdrawn_all=False)
        return OK
    count = sum(engine.ledger.count_records()[0].get(state, 0) for state in _HOLDING)
    if not yes and not call.as_json and is_terminal(sys.stdin):
        yes = typer.confirm(f"Withdraw {counted(count, 'document')} from the knowledge base?", err=True)
    if not yes:
        _tell(call, f"{counted(count, 'document')} would go. Nothing was written.", withdrawn_all=False)
        call.hint("next: `kbsync withdraw --all --yes`")
        return OK
    withdraw_all(engine, reason=reason)
    report = run_once(call, engine)
    view = {"withdrawn_all": True, "run": report_view(report)}
    call.answer(view, lambda: call.out.print(Text(_outcome(report.withdrawn, report.pending))))
    return exit_code_of(report)


def _outcome(withdrawn: int, pending: int) -> str:
    said = f"{counted(withdrawn, 'document')} withdrawn"
    return f"{said}; {pending} wait to be confirmed gone: `kbsync sync` goes on." if pending else f"{said}."


def _tell(call: Call, text: str, *, withdrawn_all: bool) -> None:
    call.answer({"withdrawn_all": withdrawn_all, "run": None}, lambda: call.out.print(Text(text)))
