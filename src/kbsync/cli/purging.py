"""The command `purge`: remove every trace of incidents, with a certificate. Imports the pipeline's purge.

Invariant: nothing is removed without a person's --yes; what was searched for is never printed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import OK, SOME_FAILED, Call
from kbsync.cli.running import run_once
from kbsync.cli.terminal import counted, one_line, table
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.pipeline.changes import delete_incident
from kbsync.pipeline.pause import read_pause
from kbsync.pipeline.purge import Found, Order, look_at, release
from kbsync.pipeline.purge import purge as purge_incidents
from kbsync.pipeline.purge_certificate import read_certificate, read_certificates
from kbsync.pipeline.purge_search import find_matches, read_patterns

_SHOWN = 20

Ids = Annotated[list[str] | None, typer.Option("--incident", metavar="ID", help="An incident; repeatable.")]
PatternFile = Annotated[
    Path | None,
    typer.Option("--pattern-file", metavar="FILE", help="Incidents that hold one of its lines."),
]
Released = Annotated[list[str] | None, typer.Option("--release", metavar="ID", help="Take a purge back.")]
ListThem = Annotated[bool, typer.Option("--list", help="List the certificates.")]
Certificate = Annotated[str | None, typer.Option("--certificate", metavar="ID", help="Print one again.")]
DeleteItem = Annotated[
    bool, typer.Option("--delete-incident", help="Delete its item of the incidents table, too.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it; else it is only said.")]


def purge(  # noqa: PLR0913 - one parameter for each option of the command line
    call: Call,
    *,
    incident: Ids = None,
    pattern_file: PatternFile = None,
    release_: Released = None,
    list_: ListThem = False,
    certificate: Certificate = None,
    delete_incident_: DeleteItem = False,
    yes: Yes = False,
) -> int:
    """Remove every trace of incidents, all versions of their documents included, and certify it.

    Without --yes it says what would go, and writes nothing. What is purged stays out until --release.
    """
    asked = [bool(incident), pattern_file is not None, bool(release_), list_, certificate is not None]
    if sum(asked) != 1:
        raise UsageError(
            "give one of --incident, --pattern-file, --release, --list, --certificate",
            hint="kbsync purge --incident INC-1001",
        )
    engine = call.engine()
    if list_ or certificate:
        return _look_up(call, engine, certificate)
    if release_:
        return _release(call, engine, release_)
    order, stray = Order(incident_ids=tuple(dict.fromkeys(incident or ()))), tuple[str, ...]()
    if pattern_file is not None:
        order, stray = _matching(engine, pattern_file)
    found = list(look_at(engine, order.incident_ids))
    if not yes or not found:
        return _say_what_would_go(call, found, stray)
    return _purge(call, engine, order, delete_items=delete_incident_)


def _matching(engine: Engine, file: Path) -> tuple[Order, tuple[str, ...]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} could not be read ({type(error).__name__})") from error
    matches = find_matches(engine, read_patterns(lines))
    return matches.order, matches.stray_keys


def _say_what_would_go(call: Call, found: Sequence[Found], stray: Sequence[str]) -> int:
    view = {
        "purged": False,
        "incidents": [_found_view(each) for each in found],
        "stray_keys": list(stray),
        "certificate": None,
        "waiting": [],
    }

    def show() -> None:
        if found:
            rows = [(each.incident_id, str(each.state or "no record"), str(each.versions)) for each in found]
            call.out.print(table(["incident", "state", "object versions"], rows[:_SHOWN]))
        call.out.print(Text(f"{counted(len(found), 'incident')} would be purged. Nothing was written."))
        for key in stray[:_SHOWN]:
            call.out.print(Text(f"matches, and belongs to no incident: {one_line(key)}", style="yellow"))
        if found:
            call.hint("next: the same command with --yes")

    call.answer(view, show)
    return OK


def _found_view(each: Found) -> dict[str, Any]:
    return {
        "incident_id": each.incident_id,
        "document_key": each.document_key,
        "state": str(each.state) if each.state else None,
        "in_table": each.in_table,
        "versions": each.versions,
        "knowledge_base_knows_it": each.listed,
    }


def _purge(call: Call, engine: Engine, order: Order, *, delete_items: bool) -> int:
    if read_pause(engine) is not None:
        raise UsageError("runs are paused, and a purge needs one", hint="`kbsync resume`, then repeat it")
    if delete_items:
        for incident_id in engine.incidents.read(order.incident_ids):
            delete_incident(engine, incident_id)
    certificate, waiting = purge_incidents(engine, order, run=lambda: run_once(call, engine))
    proven = certificate.as_map()
    view = {
        "purged": not waiting,
        "incidents": [],
        "stray_keys": [],
        "certificate": proven,
        "waiting": list(waiting),
    }

    def show() -> None:
        _show_certificate(call, proven)
        if waiting:
            call.out.print(
                Text(f"{counted(len(waiting), 'incident')} not yet confirmed gone.", style="yellow")
            )
            call.hint("next: the same command, in some minutes; they are held back already")

    call.answer(view, show)
    complete = not waiting and len(certificate.gone) == len(order.incident_ids)
    return OK if complete else SOME_FAILED


def _show_certificate(call: Call, proven: dict[str, Any]) -> None:
    call.out.print(Text(f"Certificate {proven['certificate']} of {proven['at']}"))
    for each in proven["purged"]:
        removed = counted(each["versions_removed"], "object version")
        call.out.print(Text(f"  purged: {one_line(each['incident_id'])} ({removed} removed)"))
    if proven["patterns_sha256"]:
        call.out.print(Text(f"  found by {proven['patterns']} patterns, SHA-256 {proven['patterns_sha256']}"))
    for sentence in proven["confirmed_by"]:
        call.out.print(Text(f"  confirmed: {sentence}"))
    for sentence in proven["stays"]:
        call.out.print(Text(f"  stays: {sentence}"))


def _look_up(call: Call, engine: Engine, certificate_id: str | None) -> int:
    if certificate_id is None:
        listed = read_certificates(engine)
        rows = [(str(each["certificate"]), str(each["at"]), str(each["incidents"])) for each in listed]
        call.answer(
            {"certificates": listed}, lambda: call.out.print(table(["certificate", "at", "incidents"], rows))
        )
        return OK
    proven = read_certificate(engine, certificate_id)
    if proven is None:
        raise UsageError(f"there is no certificate {certificate_id}", hint="`kbsync purge --list`")
    call.answer(proven, lambda: _show_certificate(call, proven))
    return OK


def _release(call: Call, engine: Engine, incident_ids: Sequence[str]) -> int:
    release(engine, incident_ids)

    def show() -> None:
        call.out.print(Text(f"{counted(len(incident_ids), 'incident')} may be published again."))
        call.hint("next: `kbsync sync`")

    call.answer({"released": list(incident_ids)}, show)
    return OK
