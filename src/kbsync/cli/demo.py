"""`kbsync demo`: the story of kbsync.demo, told on the terminal in a folder of its own.

May import bootstrap, settings, views and the demo. Invariant: nothing is written into a folder that
the demo did not make itself.
"""

import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from kbsync.bootstrap import build_engine
from kbsync.cli.command import OK, SOME_FAILED, Call
from kbsync.cli.progress import Show, progress_bars
from kbsync.cli.terminal import plain
from kbsync.demo.story import OPEN, QUERIES, REOPENED, UNREADABLE, WITH_SECRETS, Step, tell_story
from kbsync.engine import Engine
from kbsync.errors import AccessDeniedError, UsageError
from kbsync.setting_sources import load_settings
from kbsync.views.search import search_mode

FOLDER = Path("kbsync-demo")
MARKER = ".kbsync-demo"

_MARKER_TEXT = "Made by `kbsync demo`; the whole folder can be deleted.\n"


def demo(call: Call) -> int:
    """Show the whole life of an incident in a folder of its own, in under a minute.

    Forty made-up incidents are imported, published, searched in Spanish and English, one is reopened and
    disappears, one is broken and explained. The folder is ./kbsync-demo, or the one that --home or
    KBSYNC_HOME names. A repeat goes on with what is there. Of the settings, only these and EMBEDDER count.

    Raises:
        UsageError: the folder holds something that is no earlier demo; nothing was written.
        AccessDeniedError (fatal): the folder cannot be made.
    """
    folder = call.settings.home if call.settings.origin("home") in ("flag", "environment") else FOLDER
    _claim(folder)
    engine = build_engine(load_settings({"home": folder, "embedder": call.settings.embedder}, {}))
    started_at, mode = engine.now(), search_mode(engine)
    if not call.as_json:
        call.out.print(Text.assemble(("kbsync demo", "bold"), f" in {folder}, {_described(mode)}"))
    steps = []
    for step in _steps(call, engine):
        steps.append(step)
        if not call.as_json:
            _print_step(call, len(steps), step)
    ok = all(step.ok for step in steps)
    seconds = round((engine.now() - started_at) / timedelta(seconds=1), 3)
    following = _following(folder)
    summary = {
        "home": str(folder),
        "ok": ok,
        "duration_seconds": seconds,
        "search": mode,
        "steps": [{"step": step.name, "ok": step.ok, **step.outcome} for step in steps],
        "next": [command for command, _ in following],
    }
    call.answer(summary, lambda: _print_end(call, following, seconds, ok=ok))
    return OK if ok else SOME_FAILED


def _claim(folder: Path) -> None:
    """Make the folder the demo's own, or raise UsageError where it is somebody else's."""
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is no folder", hint="name another: `kbsync demo --home DIR`")
        if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise UsageError(
                f"{folder} is not empty and not an earlier demo; nothing was changed",
                hint="name a new folder: `kbsync demo --home DIR`",
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(_MARKER_TEXT, encoding="ascii")
    except OSError as error:
        raise AccessDeniedError(
            f"the folder {folder} cannot be made ({type(error).__name__})",
            hint="name another: `kbsync demo --home DIR`",
        ) from error


def _steps(call: Call, engine: Engine) -> Iterator[Step]:
    """Yield the story's steps; a bar shows while a step is at work and is gone before the step is told."""
    bars: list[Show] = []

    def progress(name: str, done: int, total: int | None) -> None:
        bars[-1](name, done, total)

    story = tell_story(engine, progress=progress)
    while True:
        with progress_bars(call.err, shown=call.shows_progress) as bar:
            bars.append(bar)
            step = next(story, None)
        if step is None:
            return
        yield step


def _described(mode: dict[str, object]) -> str:
    if mode.get("mode") == "lexical":
        return "search by words only (no embedding model)"
    return f"search by words and vectors ({mode.get('embedder')})"


def _print_step(call: Call, number: int, step: Step) -> None:
    mark = ("ok", "green") if step.ok else ("not as expected", "bold red")
    call.out.print(Text.assemble("\n", (f"{number}. {step.title}", "bold"), "  ", mark))
    for line in step.lines:
        call.out.print(Padding(Text(plain(line)), (0, 0, 0, 3), expand=False))


def _print_end(call: Call, following: list[tuple[str, str]], seconds: float, *, ok: bool) -> None:
    verdict = "All of it went as promised" if ok else "Something did not go as promised: see above"
    call.out.print(Text(f"\n{verdict}, in {seconds:.1f} s. Type next:", style="bold"))
    for command, meaning in following:
        call.out.print(Text.assemble(f"   {command}", (f"   # {meaning}", "dim")), soft_wrap=True)


def _following(folder: Path) -> list[tuple[str, str]]:
    """Return what to type next and what it does: commands that work as they stand, in this shell."""
    kbsync = f"{program_name(sys.argv[0])} --home {shlex.quote(str(folder))}"
    query = shlex.quote(QUERIES[0][1])
    return [
        (f"{kbsync} search {query}", "ask yourself"),
        (f"{kbsync} show {WITH_SECRETS}", "a document, its secrets redacted"),
        (f"{kbsync} explain {UNREADABLE}", "why it was set aside"),
        (f"{kbsync} close {REOPENED}", "close it again"),
        (f"{kbsync} close {OPEN}", "close the open one"),
        (f"{kbsync} sync", "publish the two, and nothing else"),
        (f"{kbsync} status", "see that everything adds up"),
    ]


def program_name(started_as: str) -> str:
    """Return how kbsync is called from here: as it was called now, where no shell finds it by name."""
    started = Path(started_as)
    if started.parts[-2:] == ("kbsync", "__main__.py"):
        return "python -m kbsync"
    return started_as if started.stem == "kbsync" and shutil.which("kbsync") is None else "kbsync"
