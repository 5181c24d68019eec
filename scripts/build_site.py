"""Build the documentation site from docs/ and the pages of the repository's root; needs the `docs` group.

Usage: build_site.py FOLDER. The folder is made anew. Every broken link, unlisted page or other warning is an
error; no page loads anything from elsewhere, so the folder can be read without network and server.
"""

import posixpath
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PROJECT_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
"""They come into the site as project/NAME."""

ALARMS = (
    "errors", "sync-errors", "quarantine", "withdrawals-held", "backlog-age", "no-successful-run",
    "undelivered", "failed-runs", "backfill-errors", "backfill-failed", "stream-errors", "stream-age",
    "failed-changes", "reconcile-errors", "no-reconcile",
)  # fmt: skip
"""The runbooks in the order of the list."""

SECTIONS = {
    "Begin": ("tutorial",),
    "How to": (
        "DEPLOY", "how-to/import", "how-to/migrate", "how-to/tune", "how-to/recover", "how-to/purge",
        "operations", "doctor",
    ),
    "Runbooks": ("runbooks/index",),
    "Reference": (
        "cli", "settings", "reference/commands", "reference/settings", "reference/metrics",
        "reference/alarms", "reference/states", "reference/errors",
    ),
    "Explanation": (
        "project/ARCHITECTURE", "RELIABILITY", "QUALITY", "PERFORMANCE", "CASES", "ORIGINAL",
        "project/CHANGELOG", "project/CONTRIBUTING",
    ),
    "En español": ("es/index", "es/tutorial", "DEPLOY.es", "es/runbooks/index"),
}  # fmt: skip
"""The pages in their order; a page of docs/ that is in none of these lists stands at the end."""

_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s#]+)(#[^()\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def main(folder: Path) -> int:
    """Build the site and return the exit code."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        prepare(source)
        shutil.rmtree(folder, ignore_errors=True)
        site = Sphinx(
            source,
            None,
            folder,
            Path(work) / "doctrees",
            "html",
            confoverrides=configuration(),
            status=None,
            warning=sys.stderr,
            warningiserror=True,
            exception_on_warning=False,
        )
        site.connect("html-page-context", say_language)
        site.build()
    shutil.rmtree(folder / "_sources", ignore_errors=True)
    return site.statuscode


def say_language(_site: Sphinx, page: str, _template: str, context: dict[str, object], _tree: object) -> None:
    """Have pages in Spanish say so, so that they are read aloud and hyphenated as Spanish."""
    if page.startswith("es/") or page.endswith(".es"):
        context["language"] = "es"


def configuration() -> dict[str, object]:
    """Return what Sphinx is told."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "project": project["name"],
        "release": project["version"],
        "html_title": f"{project['name']} {project['version']}",
        "html_theme": "furo",
        "html_copy_source": False,
        "html_show_sphinx": False,
        "html_show_copyright": False,
        "html_last_updated_fmt": None,
        "extensions": ["myst_parser"],
        "myst_heading_anchors": 4,
        "myst_links_external_new_tab": False,
        "highlight_language": "text",
        "suppress_warnings": ["myst.header"],
    }


def prepare(source: Path) -> None:
    """Copy the pages into an empty folder, with links that hold there and the lists of pages."""
    shutil.copytree(ROOT / "docs", source)
    (source / "project").mkdir()
    for name in PROJECT_PAGES:
        shutil.copy(ROOT / name, source / "project" / name)
    pages = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.md"))
    for page in pages:
        path = source / page
        path.write_text(with_links(path.read_text(encoding="utf-8"), page, source), encoding="utf-8")
    for language in ("", "es/"):
        append(source / language / "runbooks" / "index.md", toctree("", ALARMS))
    listed = {page for group in SECTIONS.values() for page in group} | {"index"}
    listed |= {f"{language}runbooks/{name}" for language in ("", "es/") for name in ALARMS}
    others = [page.removesuffix(".md") for page in pages if page.removesuffix(".md") not in listed]
    for title, group in (SECTIONS | ({"More": tuple(others)} if others else {})).items():
        append(source / "index.md", toctree(title, group))


def toctree(title: str, pages: tuple[str, ...]) -> str:
    """Return a list of pages for the navigation alone."""
    caption = f":caption: {title}\n" if title else ""
    return f"\n```{{toctree}}\n:hidden:\n{caption}\n" + "\n".join(pages) + "\n```\n"


def append(path: Path, text: str) -> None:
    """Write at the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def with_links(markdown: str, page: str, source: Path) -> str:
    """Point links at pages of the site; what is not in it (template.yaml, a source file) is named only."""
    folder = posixpath.dirname(page)
    origin = "" if page.startswith("project/") else posixpath.join("docs", folder)

    def pointed(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"\w+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(origin, target))
        wanted = path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"
        if not (source / wanted).is_file():
            return text
        return f"[{text}]({posixpath.relpath(wanted, folder or '.')}{anchor})"

    return "".join(
        part if part.startswith("```") else _LINK.sub(pointed, part) for part in _FENCE.split(markdown)
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
