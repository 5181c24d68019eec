"""The command that compares everything with everything. Imports the pipeline's reconcile and its view.

Invariant: without `--repair` nothing but the place where to go on is written.
"""

from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import OK, SOME_FAILED, Call
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, table
from kbsync.pipeline.reconcile import reconcile as reconcile_all
from kbsync.views.reconcile import reconcile_view

MEANINGS = {
    "missing": "closed, and no document in the store",
    "stale": "published from another content, or overwritten in the store",
    "orphan": "a document that no incident wants",
    "ghost": "listed by the knowledge base, gone from the store",
    "sidecar_lost": "the document has no metadata",
    "failed": "the knowledge base could not take it",
    "partially_indexed": "the knowledge base took a part of it",
    "unlisted": "the knowledge base does not know it",
    "status_lie": "kb_sync_status says something else than the ledger",
    "unsettled": "the ledger's state is out of date",
    "foreign": "not ours; reported, never touched",
}


def reconcile(
    call: Call,
    repair: Annotated[
        bool, typer.Option("--repair", help="Leave what differs due for the next sync, which mends it.")
    ] = False,
) -> int:
    """Compare incidents, ledger, documents and knowledge base, and say what differs.

    Safe to kill: the next call goes on.

    Exit codes: 0 nothing differs (also when another run is active), 1 something does.
    """
    with progress_bars(call.err, shown=call.shows_progress) as show:
        survey = reconcile_all(call.engine(), repair=repair, progress=show)
    view: dict[str, Any] = reconcile_view(survey)  # Any: a view, whose values are shown as they are
    call.answer(view, lambda: _show(call, view, wanted_repair=repair))
    return SOME_FAILED if view["differences"] else OK


def _show(call: Call, view: dict[str, Any], *, wanted_repair: bool) -> None:
    compared = ", ".join(f"{count} {name}" for name, count in view["compared"].items())
    waiting = f"; {counted(view['in_work'], 'incident')} in work left out" if view["in_work"] else ""
    call.out.print(Text(f"Compared {compared}{waiting}. {counted(view['differences'], 'difference')}."))
    rows = [
        (kind, count, MEANINGS[kind], ", ".join(view["samples"][kind]))
        for kind, count in view["found"].items()
        if count
    ]
    if rows:
        call.out.print(table(["kind", "count", "means", "for example"], rows))
    if wanted_repair and not view["repair"]:
        call.hint("runs are paused, so nothing was marked; `kbsync resume` lets them work again")
    elif view["marked"]:
        call.hint("next: `kbsync sync` mends what was marked")
    elif view["differences"] > view["found"]["foreign"] and not view["repair"]:
        call.hint("next: `kbsync reconcile --repair`, then `kbsync sync`")
