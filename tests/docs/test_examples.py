"""The examples of the documentation are run, each page from top to bottom in a folder of its own.

Slow: each page is a session of up to forty commands.
"""

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from pages import PAGES, READMES, ROOT, Example, examples_of, fences_of, sections_of, text_of

from kbsync.cli.main import run
from kbsync.demo.story import UNREADABLE

pytestmark = pytest.mark.slow

AT_WORK = {f"docs/how-to/{name}.md" for name in ("migrate", "purge", "recover", "tune")}
"""Pages whose reader has a home with incidents already."""

_OURS = re.compile(r"(?:\w+=\S+ )*kbsync\b|.*\| kbsync\b")
_SHELL = re.compile(r"[|<>]|^\w+=")
_VARYING = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}|\d[\d.:TZ-]*")


@pytest.fixture
def _session(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with incidents.jsonl and issues.csv, where a page's commands work on a home of their own.

    The pages that do not speak of the unreadable incident get a file without it.
    """
    lines = (
        files("kbsync.demo").joinpath("incidents.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    )
    kept = (
        [line for line in lines if UNREADABLE not in line]
        if request.getfixturevalue("page") in READMES
        else lines
    )
    (tmp_path / "incidents.jsonl").write_text("".join(kept), encoding="utf-8")
    (tmp_path / "issues.csv").write_bytes((ROOT / "tests/importing/exports/jira/issues.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KBSYNC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EMBEDDER", "hash")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if request.getfixturevalue("page") in AT_WORK:
        for words in (["import", "incidents.jsonl"], ["sync"]):
            _run_here(["kbsync", *words], monkeypatch)


@pytest.mark.usefixtures("_session")
@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_do_what_it_says(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for example in examples_of(page):
        if not _OURS.match(example.command):
            continue
        code, said = _ran(example, monkeypatch, capsys)
        if code != example.exit_code:
            wrong.append(f"$ {example.command}: exit code {code}")
        wrong += [f"$ {example.command}: {line}" for line in _missing(example.shown, said)]
        if "--json" in example.command.split() and not _is_shell(example.command):
            section = sections_of("docs/cli.md")[f"kbsync {example.command.split()[1]}"]
            undocumented = [name for name in json.loads(said) if f"`{name}`" not in section]
            wrong += [f"$ {example.command}: `{name}` is not documented" for name in undocumented]

    for block in fences_of(text_of(page), "python"):
        done = subprocess.run([sys.executable, "-c", block], check=False, capture_output=True, text=True)
        wrong += [done.stderr] if done.returncode else []
    assert wrong == []


def test_pages_have_examples_to_run() -> None:
    counts = {page: len([e for e in examples_of(page) if _OURS.match(e.command)]) for page in PAGES}

    assert counts["docs/cli.md"] >= 30
    assert counts["README.md"] == counts["README.es.md"] >= 5


def _ran(
    example: Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Return one command's exit code and standard output; run in this process where no shell is needed."""
    words = shlex.split(example.command, comments=True)
    if {"watch", "serve", "mcp"} & set(words):
        return _watched(words)
    if _is_shell(example.command):
        done = subprocess.run(["bash", "-c", example.command], check=False, capture_output=True, text=True)
        return done.returncode, done.stdout
    return _run_here(words, monkeypatch), capsys.readouterr().out


def _run_here(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as within:
        within.setattr(sys, "argv", words)
        if words[1] == "demo":
            within.delenv("KBSYNC_HOME")
        try:
            return run()
        finally:
            logging.getLogger("kbsync").handlers.clear()


def _is_shell(command: str) -> bool:
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
    return bool(_SHELL.search(unquoted))


def _watched(words: list[str]) -> tuple[int, str]:
    """Let it say its first line, then end it as a service manager would."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        said = watch.stdout.readline()
        watch.send_signal(signal.SIGTERM)
        watch.communicate(timeout=60)
    return watch.returncode, said


def _missing(shown: tuple[str, ...], said: str) -> list[str]:
    """Return the shown lines that were not said, in this order; numbers, times and spaces may differ."""
    lines = iter([_loosely(line) for line in said.splitlines()])
    wanted = [_loosely(line) for line in shown if line.strip() not in ("", "...")]
    return [line for line in wanted if not any(line in each for each in lines)]


def _loosely(line: str) -> str:
    return " ".join(_VARYING.sub("#", line).split())
