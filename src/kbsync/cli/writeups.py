"""The command `writeups`: closed incidents without cause and solution. Imports the views; writes nothing."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.terminal import counted, state_text, table
from kbsync.views.writeups import writeups_view

MOST_LISTED = 1_000

Shown = Mapping[str, Any]  # Any: a view, whose values are shown as they are


def writeups(
    call: Call,
    *,
    by: Annotated[
        str, typer.Option(metavar="ATTRIBUTE", help="Count by this attribute, or path of attributes.")
    ] = "source_system",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_LISTED, help="Most to list.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out: the next page.")] = 0,
) -> None:
    """List closed incidents of which neither root cause, resolution nor steps are written, with counts.

    They are published all the same, unless REQUIRE_RESOLUTION says that they get no document.
    """
    view: Shown = writeups_view(call.engine(), by=by, limit=limit, offset=offset)
    call.answer(view, lambda: _show(call, view, required=call.settings.require_resolution))


def _show(call: Call, view: Shown, *, required: bool) -> None:
    out = call.out
    out.print(f"{view['without']} of {counted(view['closed'], 'closed incident')} lack a write-up.")
    if view["unreadable"]:
        out.print(f"{counted(view['unreadable'], 'incident')} cannot be read; `kbsync quarantine` says why.")
    if not view["without"]:
        return
    groups = [(each["value"], each["without"], each["closed"]) for each in view["groups"]]
    out.print(table([view["by"], "without", "of closed"], groups))
    rows = [
        (
            each["incident_id"],
            each["group"],
            each["closed_at"] or "",
            state_text(each["state"] or ""),
            each["title"],
        )
        for each in view["incidents"]
    ]
    out.print(table(["incident", view["by"], "closed", "state", "title"], rows))
    if view["next_offset"] is not None:
        call.hint(f"next: --offset {view['next_offset']} shows more")
    if not required:
        call.hint(
            "they are published; REQUIRE_RESOLUTION=true withholds them until it is written what was done"
        )
    else:
        out.print(Text("REQUIRE_RESOLUTION withholds them: none has a document.", style="dim"))
