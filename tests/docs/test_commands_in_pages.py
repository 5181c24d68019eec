"""Every command that a page shows exists with its options, also where it is not run; console examples are."""

import re
import shlex

import pytest
import typer.main
from pages import PAGES, all_pages, text_of

from kbsync.cli.main import app

GROUP = typer.main.get_group(app)
COMMON = {option for each in GROUP.params for option in each.opts} | {"--help", "-h"}
WITH_VALUE = {"--home", "--config", "--backend"}
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IN_FENCE = re.compile(r"(?:^|&& |\| |\$ )(kbsync [^|<>&#\n]*)", re.MULTILINE)
_IN_PROSE = re.compile(r"`(kbsync [^`|<>&#]*)`")


def shown_commands(page: str) -> list[list[str]]:
    text = text_of(page).replace("\\\n", " ")
    shown = [line for fence in _FENCE.findall(text) for line in _IN_FENCE.findall(fence)]
    return [shlex.split(line)[1:] for line in [*shown, *_IN_PROSE.findall(_FENCE.sub("", text))]]


def fault_of(words: list[str]) -> str:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2 if rest[0] in WITH_VALUE else 1 :]
    if not rest or rest[0].isupper() or not re.fullmatch(r"[a-z]+", rest[0]):
        return ""  # options alone, or a placeholder such as COMMAND
    if rest[0] not in GROUP.commands:
        return f"no command {rest[0]}"
    known = COMMON | {option for each in GROUP.commands[rest[0]].params for option in each.opts}
    unknown = [each for each in rest[1:] if re.fullmatch(r"--?[a-z][a-z-]*", each) and each not in known]
    return f"{rest[0]} has no {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", all_pages())
def test_commands_of_a_page_exist_with_their_options(page: str) -> None:
    faults = [f"{' '.join(words)}: {fault}" for words in shown_commands(page) if (fault := fault_of(words))]

    assert faults == []


def test_commands_are_found_in_fences_and_in_prose() -> None:
    assert ["status"] in shown_commands("docs/runbooks/sync-errors.md")
    assert ["--backend", "aws", "reconcile"] in shown_commands("docs/runbooks/no-reconcile.md")
    assert fault_of(["statuss"]) == "no command statuss"
    assert fault_of(["--home", "x", "sync", "--dry"]) == "sync has no --dry"


def test_pages_with_console_examples_are_run() -> None:
    shown = {page for page in all_pages() if re.search(r"^\$ kbsync ", text_of(page), flags=re.MULTILINE)}

    assert shown - set(PAGES) == {"docs/reference/commands.md"}
