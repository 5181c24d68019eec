"""Commands that only look: show, open, explain, status, runs, quarantine, config.

May import bootstrap, the views and pure parts of the pipeline. Invariant: none of them writes.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.bootstrap import document_path
from kbsync.cli.command import Call
from kbsync.cli.incidents import IncidentId
from kbsync.cli.terminal import counted, duration_text, is_terminal, one_line, pairs, plain, state_text, table
from kbsync.errors import UsageError
from kbsync.pipeline.pause import read_pause
from kbsync.views.report import iso, runs_view
from kbsync.views.search import search_mode
from kbsync.views.status import quarantine_view, status_view
from kbsync.views.story import explain_view, show_view
from kbsync.withdrawal import read_withdrawal

Shown = Mapping[str, Any]  # Any: a view, whose values are shown as they are

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Most to show.")]


def show(call: Call, incident_id: IncidentId) -> None:
    """Print an incident's document as the document store holds it."""
    view: Shown = show_view(call.engine(), incident_id)
    call.answer(view, lambda: call.out.print(Text(plain(view["document"])), soft_wrap=True, end=""))


def open_document(call: Call, incident_id: IncidentId) -> None:
    """Print the path of an incident's document; on a terminal, open it with the program for Markdown."""
    view: Shown = show_view(call.engine(), incident_id)
    if call.settings.backend != "local":
        raise UsageError(
            "only documents of the embedded backend are files", hint="`kbsync show ID` prints it"
        )
    path = document_path(call.settings, view["document_key"]).absolute()

    def launch() -> None:
        call.out.print(Text(str(path)), soft_wrap=True)
        if is_terminal(sys.stdout) and typer.launch(str(path)) != 0:
            call.hint("no program opened it; `kbsync show ID` prints it")

    call.answer({"incident_id": incident_id, "path": str(path)}, launch)


def explain(call: Call, incident_id: IncidentId) -> None:
    """Tell an incident's whole story: state, reason, document, every step with its run, and what is next."""
    engine = call.engine()
    view: Shown = explain_view(engine, incident_id, paused=read_pause(engine) is not None)
    call.answer(view, lambda: _show_story(call, view))


def _show_story(call: Call, view: Shown) -> None:
    document, says = view["document"], view["incident_says"] or {}
    title = Text(f"{one_line(view['incident_id'])}  {one_line(view['title'] or '')}", style="bold")
    call.out.print(title, soft_wrap=True)
    stored = f"{document['size_bytes']} bytes" if document["stored"] else "not there"
    values = {
        "state": state_text(view["state"] or "no record"),
        "because": view["reason"],
        "incident": f"status {view['incident_status']}"
        if view["incident_exists"]
        else "no longer in the table",
        "wants": view["wants"],
        "attempts": f"{view['attempts']} of {view['max_attempts']}" if view["attempts"] else "",
        "document": f"{document['key']} ({stored})",
        "published": document["published_at"],
        "knowledge base": document["knowledge_base_status"],
        "searchable since": view["indexed_at"],
        "kb_sync_status": ", ".join(f"{name}={value}" for name, value in says.items()),
        "redacted": ", ".join(f"{count} x {kind}" for kind, count in view["redactions"].items()),
        "notes": "; ".join(view["notes"]),
        "next": view["next"],
    }
    call.out.print(pairs(values))
    if view["transitions"]:
        steps = [(s["at"], state_text(s["state"]), s["run_id"], s["reason"]) for s in view["transitions"]]
        call.out.print(table(["when (UTC)", "state", "run", "because"], steps))


def status(call: Call) -> None:
    """Show how many incidents are in which state, what waits, and how the last run ended.

    The states and `not_closed` add up to the incidents in the table; removed incidents are counted apart.
    """
    engine = call.engine()
    paused, withdrawal = read_pause(engine), read_withdrawal(engine)
    view: dict[str, Any] = {  # Any: as above
        **status_view(engine),
        "paused": {"since": iso(paused.at), "reason": paused.reason} if paused else None,
        "withdrawn_all": {"since": iso(withdrawal.at), "reason": withdrawal.reason} if withdrawal else None,
        "search": search_mode(engine),
        "home": str(call.settings.home),
    }
    call.answer(view, lambda: _show_status(call, view))


def _probes_text(probes: Shown) -> str:
    """Tell whether search bears out what the records say, and name what it does not."""
    failing = [f"{each['incident_id']} {each['finding'].replace('_', ' ')}" for each in probes["failing"]]
    if failing:
        return f"{counted(len(failing), 'incident')} not as recorded: {', '.join(failing[:5])}"
    last = probes["last"]
    return f"{last['probed']} as recorded, {last['at'][:19]}Z" if last else ""


def _times_text(times: Shown) -> str:
    """Tell how long the last days' incidents took, and of each severity where there are several."""
    if not times["count"]:
        return ""
    text = (
        f"{_span(times)}, {times['late']} of {times['count']} later than {duration_text(times['objective'])}"
    )
    severities = times["by_severity"]
    if len(severities) > 1:
        text += "".join(f"\n{name}: {_span(each)}" for name, each in severities.items())
    return f"{text}\n(last {times['days']} days)"


def _span(times: Shown) -> str:
    spans = (duration_text(times[name]) for name in ("p50", "p95", "max"))
    return "{} median, {} p95, {} at most".format(*spans)


def _show_status(call: Call, view: Shown) -> None:
    out, states = call.out, view["states"]
    rows = [(state_text(name), count) for name, count in states.items() if count or name == "indexed"]
    out.print(table([f"{view['incidents']} incidents", ""], [*rows, ("not closed", view["not_closed"])]))
    last, times = view["last_run"], view["closed_to_searchable_seconds"]
    waits = view["oldest_pending_seconds"]
    values = {
        "oldest that waits": duration_text(waits) if waits is not None else "nothing waits",
        "closed to searchable": _times_text(times),
        "search probes": _probes_text(view["probes"]),
        "last run": Text.assemble(state_text(last["status"]), f", {last['started_at']}, {last['run_id']}")
        if last
        else "none yet",
        "withheld": f"{counted(view['withheld'], 'withdrawal')} for a person to decide on"
        if view["withheld"]
        else "",
        "removed": f"{view['tombstones']} (records kept for 90 days)" if view["tombstones"] else "",
        "search": f"{view['search'].get('mode')}, {view['search'].get('embedder')}" if view["search"] else "",
        "paused": f"since {view['paused']['since']}: {one_line(view['paused']['reason'])}"
        if view["paused"]
        else "",
        "withdrawn": f"everything, since {view['withdrawn_all']['since']}: "
        f"{one_line(view['withdrawn_all']['reason'])}; `kbsync withdraw --undo` publishes again"
        if view["withdrawn_all"]
        else "",
    }
    out.print(pairs(values))
    if view["paused"]:
        call.hint("next: `kbsync resume` lets runs work again")
    elif view["withheld"]:
        call.hint("next: `kbsync approve` lists the withdrawals that wait for a person")
    elif states["quarantined"]:
        call.hint("next: `kbsync quarantine` lists what was set aside")
    elif waits is not None or states["pending"]:
        call.hint("next: `kbsync sync`")


def runs(call: Call, limit: Limit = 10) -> None:
    """List the newest runs with what each did."""
    view: Shown = runs_view(call.engine(), limit=limit)
    names = ("found", "published", "withdrawn", "indexed", "failed", "pending")

    def show_runs() -> None:
        rows = [
            (
                each["run_id"],
                state_text(each["status"]),
                *(each[name] for name in names),
                duration_text(each["duration_seconds"]),
            )
            for each in view["runs"]
        ]
        if rows:
            call.out.print(table(["run (UTC)", "status", *names, "took"], rows))
            for each in view["runs"]:
                for message in each["messages"]:
                    call.out.print(Text(f"{each['run_id']}: {one_line(message)}", style="dim"))
        else:
            call.out.print("No run yet.")
            call.hint("next: `kbsync sync`")

    call.answer(view, show_runs)


def quarantine(call: Call, limit: Limit = 100) -> None:
    """List the incidents that were set aside after their last attempt, each with its reason."""
    view: Shown = quarantine_view(call.engine(), limit=limit)

    def show_quarantine() -> None:
        if not view["quarantined"]:
            call.out.print("Nothing is quarantined.")
            return
        rows = [
            (
                each["incident_id"],
                each["reason"],
                each["attempts"],
                each["since"],
                "yes" if each["stale_document"] else "",
            )
            for each in view["quarantined"]
        ]
        call.out.print(
            table(["incident", "because", "attempts", "since (UTC)", "older text searchable"], rows)
        )
        if view["left_out"]:
            call.hint(f"{view['left_out']} more; --limit shows them")
        call.hint("next: `kbsync explain ID`, mend the incident, then `kbsync retry ID`")

    call.answer(view, show_quarantine)


def config(call: Call) -> None:
    """Show every setting with its value, where it came from, and what it means.

    A flag comes before the environment, that before the settings file, that before the default.
    """
    listing = call.settings.listing()
    view = {"settings": [each._asdict() for each in listing]}

    def show_settings() -> None:
        rows = [(each.name, each.value, each.origin, each.meaning) for each in listing]
        call.out.print(table(["setting", "value", "from", "meaning"], rows))

    call.answer(view, show_settings)
