"""Progress bars with counts and remaining time, on stderr, and only while somebody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

WORDS = {
    "publish": "publishing",
    "index": "indexing",
    "confirm": "confirming",
    "import": "importing",
    "ask": "asking",
}


class Show(Protocol):
    """Shows how far a step is; the total is None where nobody knows it."""

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show it; a repeat moves the same bar."""
        ...


class Bars:
    """One bar per step; where a step's total is unknown, what the step before did is taken."""

    def __init__(self, progress: Progress, expected: int) -> None:
        self._progress = progress
        self._expected = expected
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Move a step's bar to where it is."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(WORDS.get(step, step), total=None)
        if step == "publish":
            self._expected = max(self._expected, done)
        total = total or self._expected or None
        if total is not None and done > total:
            total = done
        self._progress.update(self._tasks[step], completed=done, total=total)


@contextmanager
def progress_bars(console: Console, *, shown: bool, expected: int = 0) -> Iterator[Show]:
    """Show bars during the block and clear them afterwards, whatever happens; nothing where not shown."""
    if not shown:
        yield _nothing
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress, expected)


def _nothing(step: str, done: int, total: int | None) -> None:
    """Show nothing."""
