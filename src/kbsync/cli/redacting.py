"""The command `redaction`: what the rules took out, by counts alone. Imports the views; writes nothing."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.terminal import counted, table
from kbsync.errors import UsageError
from kbsync.views.redactions import redactions_view

REPORT = "report"
MOST_LISTED = 1_000

Shown = Mapping[str, Any]  # Any: a view, whose values are shown as they are


def redaction(
    call: Call,
    what: Annotated[str, typer.Argument(metavar=REPORT, help="The only thing to ask for.")] = REPORT,
    *,
    rule: Annotated[str, typer.Option(metavar="NAME", help="List incidents in which it found some.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_LISTED, help="Most to list.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out: the next page.")] = 0,
) -> None:
    """Tell what redaction took out of the published documents: counts by rule and version, never a value.

    Documents that older rules have rendered are looked at anew by the next sync.
    """
    if what != REPORT:
        raise UsageError(f"redaction has no {what}", hint="kbsync redaction report")
    view: Shown = redactions_view(call.engine(), rule=rule, limit=limit, offset=offset)
    call.answer(view, lambda: _show(call, view))


def _show(call: Call, view: Shown) -> None:
    out = call.out
    out.print(f"{view['redacted']} of {counted(view['documents'], 'document')} had something taken out.")
    if view["lacking"]:
        out.print(Text(f"Nothing is published: {view['lacking']}.", style="red"))
    if view["rules"]:
        rows = [(each["rule"], str(each["found"]), str(each["incidents"])) for each in view["rules"]]
        out.print(table(["rule", "found", "documents"], rows))
    versions = ", ".join(f"{each['version']}: {each['documents']}" for each in view["versions"])
    if versions:
        out.print(Text(f"documents by version of the rules: {versions}"))
    if view["older"]:
        out.print(f"{counted(view['older'], 'document')} rendered by other rules or settings.")
        call.hint("next: `kbsync sync` looks at each anew, and puts those that differ")
    for each in view["incidents"]:
        counts = ", ".join(f"{count} {name}" for name, count in each["redactions"].items())
        out.print(Text(f"  {each['incident_id']}: {counts}"))
    if view["next_offset"]:
        call.hint(f"more: --offset {view['next_offset']}")
