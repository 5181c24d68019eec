"""One evaluation from beginning to end, as a view: measures, misses, broken limits, comparisons.

May import the rest of quality and the views. Invariant: what the view quotes of a question is cut.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted
from kbsync.model import State
from kbsync.paging import each_of
from kbsync.quality.evaluation import ALL, Answer, Progress, Row, ask, rows_of
from kbsync.quality.gate import Limit, broken_limits
from kbsync.quality.history import keep
from kbsync.quality.measures import differences
from kbsync.quality.questions import Asked
from kbsync.views.passages import cut
from kbsync.views.report import View
from kbsync.views.search import search_mode

FIRST_PLACES = 5
_MOST_QUOTED = 160
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked under which name, what must be reached, and how many misses are shown."""

    name: str
    questions: Sequence[Asked]
    limits: Sequence[Limit] = ()
    misses: int = 5


def evaluate(engine: Engine, plan: Plan, progress: Progress) -> tuple[list[Answer], View]:
    """Ask everything, add the result to the history, and return the answers and the view.

    Raises:
        UsageError: there is nothing to ask.
    """
    if not plan.questions:
        raise UsageError("there is nothing to ask", hint="nothing is searchable yet: `kbsync sync` first")
    answers = ask(engine, plan.questions, progress)
    rows = rows_of(answers)
    mode = search_mode(engine)
    searched_by = ", ".join(str(mode[name]) for name in ("mode", "embedder") if name in mode)
    keep(engine, questions=plan.name, searched_by=searched_by, rows=rows)
    missed = [each for each in answers if not each.places.hits(FIRST_PLACES)]
    broken = broken_limits(plan.limits, rows)
    return answers, {
        "at": engine.now().isoformat(timespec="seconds"),
        "questions": plan.name,
        "asked": len(answers),
        "search": mode,
        "rows": [row_view(row) for row in rows],
        "misses": [_miss(each) for each in missed[: plan.misses]],
        "missed": len(missed),
        "broken": broken,
        "ok": not broken,
        "compared": [],
    }


def row_view(row: Row) -> View:
    """Return one row with its intervals as plain values."""
    measured = {
        name: {part: round(number, 4) for part, number in asdict(estimate).items()}
        for name, estimate in row.measures.items()
    }
    return {"set": row.set_name, "language": row.language, "questions": row.questions, **measured}


def comparison(engine: Engine, setting: str, ours: Sequence[Answer], progress: Progress) -> View:
    """Ask the same questions of another engine; returns its rows, and how they differ, pair by pair."""
    theirs = ask(engine, [each.asked for each in ours], progress)
    rows = []
    for row in rows_of(theirs):
        pairs = [
            (our.places, their.places)
            for our, their in zip(ours, theirs, strict=True)
            if _belongs(their.asked, row)
        ]
        change = differences([our for our, _ in pairs], [their for _, their in pairs])
        difference = {
            name: {part: round(number, 4) for part, number in asdict(estimate).items()}
            for name, estimate in change.items()
        }
        rows.append({**row_view(row), "difference": difference})
    return {"setting": setting, "search": search_mode(engine), "rows": rows}


def others_than(engine: Engine, path: Path) -> list[str]:
    """Return searchable incidents that a file of incidents does not hold: at most ten.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            known = {line.incident_id for line in read_json_lines(stream) if isinstance(line, Accepted)}
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__})", hint="name a file") from error
    records = each_of(partial(engine.ledger.list_records, state=State.INDEXED, limit=_PAGE))
    others = (each.incident_id for each in records if each.incident_id not in known)
    return list(islice(others, _PAGE // 10))


def _belongs(asked: Asked, row: Row) -> bool:
    return row.set_name in (asked.set_name, ALL) and row.language in ("", asked.language)


def _miss(answer: Answer) -> View:
    return {
        "set": answer.asked.set_name,
        "query": cut(" ".join(answer.asked.query.split()), _MOST_QUOTED),
        "relevant_ids": sorted(answer.asked.relevant)[:FIRST_PLACES],
        "place": answer.places.first or None,
        "first": answer.first or None,
    }
