"""The command `useful`: a person's word that an incident answered a question. Imports quality."""

from typing import Annotated

import typer

from kbsync.cli.command import Call
from kbsync.cli.incidents import IncidentId
from kbsync.cli.terminal import counted, one_line
from kbsync.quality.feedback import read_feedback, say_useful, take_back


def useful(
    call: Call,
    incident_id: IncidentId,
    *,
    query: Annotated[
        str, typer.Option(metavar="TEXT", help="What was asked, as it was typed or pasted.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
) -> None:
    """Say that an incident was the answer to a question: `kbsync eval` then asks it, in the set `useful`.

    The question is redacted before it is kept. What was said first goes first when there is too much.
    """
    engine = call.engine()
    taken = take_back(engine, incident_id, query) if undo else 0
    said = None if undo else say_useful(engine, incident_id, query)
    kept = len(read_feedback(engine))
    view = {
        "incident_id": incident_id,
        "query": said.query if said else None,
        "taken_back": taken,
        "kept": kept,
    }

    def show() -> None:
        if said is None:
            call.out.print(f"{counted(taken, 'word')} taken back; {kept} kept.")
            return
        call.out.print(f"Noted for {one_line(incident_id)}; {kept} kept.")
        call.hint(
            "next: `kbsync eval` asks such questions too"
            if said.query
            else "--query TEXT says what was asked"
        )

    call.answer(view, show)
