"""Commands that change incidents: init, close, reopen, delete. Imports bootstrap's engine and the pipeline.

Invariant: each change goes through the library's own API, so it is marked and the next run sees it.
"""

import json
import sys
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.text import Text

from kbsync.bootstrap import home_exists
from kbsync.cli.command import Call
from kbsync.cli.terminal import is_terminal, one_line
from kbsync.errors import UsageError
from kbsync.pipeline.changes import close_incident, delete_incident, reopen_incident
from kbsync.settings import Settings

NEXT_RUN = "`kbsync sync` brings the knowledge base up to date"

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident's id, letter by letter.")]


def init(call: Call) -> None:
    """Create the home folder with its databases and a settings file to edit. A repeat changes nothing."""
    settings = call.settings
    existed = home_exists(settings)
    call.engine(create=True)
    file = settings.home / "kbsync.toml"
    written = not file.exists()
    if written:
        file.write_text(settings_template(), encoding="utf-8")

    def show() -> None:
        verb = "was there already" if existed else "is ready"
        call.out.print(Text(f"The home {settings.home} {verb}."))
        call.out.print(Text(f"Settings: {file}{' (new; every line is a comment)' if written else ''}"))
        call.hint("next: `kbsync import FILE`, or `kbsync demo` to see it work on made-up incidents")

    call.answer(
        {"home": str(settings.home), "created": not existed, "config": str(file), "config_created": written},
        show,
    )


def settings_template() -> str:
    """Return a settings file in which every setting stands as a comment, with its default and meaning."""
    lines = ["# Settings of kbsync; `kbsync config` shows what holds and where it came from."]
    for name, field in Settings.model_fields.items():
        if name in ("home", "config"):
            continue
        default = field.default
        empty = default is None or isinstance(default, SecretStr)
        value = "" if empty else list(default) if isinstance(default, tuple) else default
        lines += ["", f"# {field.description}", f"# {name} = {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


def close(
    call: Call,
    incident_id: IncidentId,
    resolution: Annotated[str | None, typer.Option(help="What solved it.")] = None,
    root_cause: Annotated[str | None, typer.Option(help="What caused it; needs --resolution.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Such as fix; needs --resolution.")] = None,
) -> None:
    """Close an incident: it becomes searchable with the next run. A closed one gets the new resolution."""
    if resolution is None and (root_cause is not None or kind is not None):
        raise UsageError("--root-cause and --type need --resolution", hint="say what solved it, too")
    given = {"description": resolution, "root_cause": root_cause, "resolution_type": kind}
    described = {name: text for name, text in given.items() if text is not None}
    close_incident(call.engine(), incident_id, resolution=described or None)
    _changed(call, incident_id, "closed", "It becomes searchable with the next run.")


def reopen(
    call: Call,
    incident_id: IncidentId,
    status: Annotated[str, typer.Option(help="Its new status.")] = "REOPENED",
) -> None:
    """Reopen an incident: search leaves it out at once, and the next run withdraws its document."""
    reopen_incident(call.engine(), incident_id, status=status)
    _changed(call, incident_id, "reopened", "Its document is withdrawn with the next run.")


def delete(
    call: Call,
    incident_id: IncidentId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an incident from the table; the next run withdraws its document. Asks first on a terminal."""
    engine = call.engine()
    if not yes and not call.as_json and is_terminal(sys.stdin):
        typer.confirm(f"Delete {one_line(incident_id)} from the incidents table?", abort=True, err=True)
    delete_incident(engine, incident_id)
    _changed(call, incident_id, "deleted", "Its document is withdrawn with the next run.")


def _changed(call: Call, incident_id: str, outcome: str, consequence: str) -> None:
    def show() -> None:
        call.out.print(Text(f"{one_line(incident_id)} is {outcome}. {consequence}"))
        call.hint(f"next: {NEXT_RUN}")

    call.answer({"incident_id": incident_id, "outcome": outcome}, show)
