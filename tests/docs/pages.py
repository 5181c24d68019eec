"""The documentation as the tests read it: pages, their sections, links, and the examples in their fences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.es.md")
PAGES = (
    *READMES,
    "docs/cli.md",
    "docs/settings.md",
    "docs/operations.md",
    "docs/SCALE.md",
    "docs/tutorial.md",
    "docs/es/tutorial.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "how-to").glob("*.md")),
)
"""The pages whose examples are run."""

_EXIT = re.compile(r"\s+# exit (\d+)$")


@dataclass(frozen=True)
class Example:
    """One command of a page, what is shown below it, and its exit code."""

    command: str
    shown: tuple[str, ...]
    exit_code: int


def all_pages() -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    )


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sections_of(page: str) -> dict[str, str]:
    """Return the text below each second-level heading."""
    parts = re.split(r"^## (.+)$", text_of(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fences_of(text: str, language: str) -> list[str]:
    return [token.content for token in _tokens(text) if token.type == "fence" and token.info == language]


def examples_of(page: str) -> Iterator[Example]:
    """Yield the commands that begin with a dollar sign, in order; `# exit N` names a code other than 0."""
    for block in fences_of(text_of(page), "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            code = _EXIT.search(command)
            yield Example(_EXIT.sub("", command), tuple(shown), int(code[1]) if code else 0)


def links_of(page: str) -> list[str]:
    children = [child for token in _tokens(text_of(page)) for child in token.children or ()]
    return [str(child.attrs["href"]) for child in children if child.type == "link_open"]


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)
