"""The command `eval`: how well the right past incident is found, with a gate, a history and comparisons.

May import bootstrap and quality. Invariant: of the home that is measured it writes the history alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.text import Text

from kbsync.cli.command import OK, SOME_FAILED, Call
from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, one_line, table
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.quality.evaluation import Answer, Progress
from kbsync.quality.feedback import useful_questions
from kbsync.quality.gate import limit_of
from kbsync.quality.golden import golden_questions
from kbsync.quality.history import Evaluation, as_json, course, evaluations
from kbsync.quality.measures import MEASURES
from kbsync.quality.questions import Asked, read_questions
from kbsync.quality.report import Plan, comparison, evaluate, others_than
from kbsync.quality.shadow import build_shadow, changed_setting, shadow_settings

GOLDEN = "golden"
MOST_SAMPLED = 5_000
_STEPS = "▁▂▃▄▅▆▇█"
_SPARKS = 40

Shown = Mapping[str, Any]  # Any: a view, whose values are shown as they are


def eval_(  # noqa: PLR0913 - each option is a parameter
    call: Call,
    *,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your own questions (JSON Lines) in place of golden ones."),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, max=MOST_SAMPLED, help="Incidents that golden questions are made from.")
    ] = 200,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="[SET:]MEASURE=VALUE", help="Exit with 1 below it: hit@5=.80. Repeat it."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="SETTING=VALUE", help="Also ask a shadow index with this setting. Repeat it."),
    ] = None,
    shadow: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep shadow indexes here: a repeat goes on with them.")
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Refuse a home that holds incidents which are not in this file."),
    ] = None,
    allow_others: Annotated[bool, typer.Option("--allow-others", help="Measure it all the same.")] = False,
    misses: Annotated[int, typer.Option(min=0, max=100, help="Misses to show.")] = 5,
    history: Annotated[bool, typer.Option("--history", help="Show earlier results; ask nothing.")] = False,
) -> int:
    """Measure how well the right past incident is found: hit@1, hit@5, MRR, nDCG@10, each with its interval.

    Questions are made from the incidents themselves (title, error message, first sentence of the symptom)
    and from what people found useful, or come from a file of your own. With --fail-under it is a gate for CI;
    with --compare the same questions go to a shadow index beside. The last hundred results are kept.
    """
    engine = call.engine()
    if history:
        return _history(call, engine)
    limits = [limit_of(each) for each in fail_under or ()]
    changes = {each: changed_setting(each) for each in compare or ()}
    if documents and not allow_others:
        _refuse_others(engine, documents)
    name = questions.name if questions else GOLDEN
    earlier = [each for each in evaluations(engine) if each.questions == name]
    with progress_bars(call.err, shown=call.shows_progress) as progress:
        asked = read_questions(questions) if questions else _made_questions(engine, sample)
        answers, view = evaluate(engine, Plan(name, asked, limits, misses), progress)
        if changes:
            view["compared"] = _compared(call, _Comparison(engine, answers, changes, shadow), progress)
    view["earlier"] = as_json(earlier[-_SPARKS:])
    call.answer(view, lambda: _show(call, view, earlier))
    return OK if view["ok"] else SOME_FAILED


def _made_questions(engine: Engine, sample: int) -> list[Asked]:
    """Return golden questions, and those that people have found an answer to."""
    return [*golden_questions(engine, sample=sample), *useful_questions(engine)]


def _refuse_others(engine: Engine, documents: Path) -> None:
    if others := others_than(engine, documents):
        raise UsageError(
            f"{', '.join(others[:3])} is searchable here and not in {documents}",
            hint="measure a home of its own, or give --allow-others",
        )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What was answered here, and the settings to ask again with; without a folder, shadows are temporary."""

    engine: Engine
    answers: Sequence[Answer]
    changes: Mapping[str, tuple[str, str]]
    folder: Path | None


def _compared(call: Call, wanted: _Comparison, progress: Progress) -> list[object]:
    with TemporaryDirectory() as temporary:
        compared: list[object] = []
        for text, change in wanted.changes.items():
            home = (wanted.folder or Path(temporary)) / _folder_name(text)
            settings = shadow_settings(call.settings, home, change)
            other = build_shadow(wanted.engine, call.settings, settings, progress)
            compared.append(comparison(other, text, wanted.answers, progress))
        return compared


def _folder_name(text: str) -> str:
    return "".join(each if each.isalnum() or each in "=._-" else "_" for each in text)


def _history(call: Call, engine: Engine) -> int:
    kept = evaluations(engine)

    def show() -> None:
        rows = [
            (
                f"{each.at:%Y-%m-%d %H:%M}",
                each.questions,
                each.searched_by,
                row.set_name,
                row.questions,
                *(f"{row.values[name]:.3f}" for name in MEASURES),
            )
            for each in kept
            for row in each.rows
        ]
        if not rows:
            call.out.print("Nothing was measured yet.")
            call.hint("next: `kbsync eval`")
            return
        call.out.print(table(["when (UTC)", "questions", "search", "set", "n", *MEASURES], rows))

    call.answer({"evaluations": as_json(kept)}, show)
    return OK


def _show(call: Call, view: Shown, earlier: Sequence[Evaluation]) -> None:
    rows = [(*_named(row), *(_interval(row[name]) for name in MEASURES)) for row in view["rows"]]
    bars = [_sparks(row, earlier) for row in view["rows"]]
    heads = ["set", "language", "n", *MEASURES, "hit@5 so far"]
    call.out.print(table(heads, [(*row, bar) for row, bar in zip(rows, bars, strict=True)]))
    call.hint("in brackets: where 95 % of such measurements lie")
    for each in view["compared"]:
        _show_comparison(call, each)
    if view["missed"]:
        call.out.print(f"{counted(view['missed'], 'question')} without a right answer in the first five.")
    for miss in view["misses"]:
        place = f"place {miss['place']}" if miss["place"] else "not found"
        told = f"{miss['set']}, {place}: {', '.join(miss['relevant_ids'])} for “{miss['query']}”"
        call.out.print(Text(f"  {one_line(told)}", style="dim"), soft_wrap=True)
    for each in view["broken"]:
        call.out.print(Text(one_line(each), style="bold red"))
    if not view["compared"]:
        call.hint("next: `kbsync eval --compare EMBEDDER=none` shows what the model brings")


def _show_comparison(call: Call, compared: Shown) -> None:
    call.out.print(Text(f"\nwith {one_line(compared['setting'])}", style="bold"))
    changed = ("hit@5", "mrr")
    rows = [
        (
            *_named(row),
            *(f"{row[name]['value']:.3f}" for name in MEASURES),
            *(_interval(row["difference"][name], sign="+") for name in changed),
        )
        for row in compared["rows"]
        if not row["language"]
    ]
    heads = ["set", "language", "n", *MEASURES, *(f"{name} differs by" for name in changed)]
    call.out.print(table(heads, rows))


def _named(row: Shown) -> tuple[object, ...]:
    return row["set"], row["language"], row["questions"]


def _interval(estimate: Shown, *, sign: str = "") -> str:
    value, low, high = (format(estimate[part], f"{sign}.3f") for part in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _sparks(row: Shown, earlier: Sequence[Evaluation]) -> str:
    """Return how hit@5 of a set went, as a line of small bars of 0 to 1, this time last."""
    if row["language"]:
        return ""
    values = [*course(earlier, row["set"], "hit@5"), row["hit@5"]["value"]][-_SPARKS:]
    return "".join(_STEPS[min(int(value * len(_STEPS)), len(_STEPS) - 1)] for value in values)
