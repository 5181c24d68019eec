"""The site is built from the pages without a warning, and reads nothing from elsewhere.

Slow: Sphinx builds every page once.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup, SoupStrainer
from pages import ROOT

pytest.importorskip("sphinx", reason="`make test-setup` installs the site's generator")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]  # built once, in one process

BUILD = str(ROOT / "scripts" / "build_site.py")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "html"
    done = subprocess.run([sys.executable, BUILD, str(folder)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def soups(site: Path) -> dict[Path, BeautifulSoup]:
    only = SoupStrainer([*LOADING, "a"])
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser", parse_only=only)
        for path in site.rglob("*.html")
    }


def test_site_loads_nothing_from_elsewhere_and_every_link_leads_to_a_file(site: Path) -> None:
    faults = []
    for path, soup in soups(site).items():
        for element in soup.find_all([*LOADING, "a"]):
            address = str(element.get(LOADING.get(element.name, "href")) or "")
            if re.match(r"\w+:|//", address):
                faults += [f"{path.name} loads {address}"] if element.name != "a" else []
            elif address and not address.startswith("#"):
                target = path.parent / unquote(address.partition("#")[0].partition("?")[0])
                faults += [] if target.exists() else [f"{path.name}: {address}"]
    for path in site.rglob("*.css"):
        styles = path.read_text(encoding="utf-8")
        loaded = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//\S+", styles)
        faults += [f"{path.name}: {address}" for address in loaded]

    assert faults == []


def test_every_page_of_docs_is_in_the_navigation(site: Path) -> None:
    index = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    listed = {str(link["href"]) for link in index.select(".sidebar-tree a[href]")}
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
    }

    assert pages - listed == {"index.html"}
    assert {"project/ARCHITECTURE.html", "project/CHANGELOG.html"} <= listed


def test_pages_in_spanish_say_so_and_the_others_are_english(site: Path) -> None:
    said = {
        path.relative_to(site).as_posix(): re.search(
            r'<html[^>]* lang="(\w+)"', path.read_text(encoding="utf-8")
        )
        for path in site.rglob("*.html")
    }
    languages = {name: match[1] for name, match in said.items() if match}

    assert languages["DEPLOY.es.html"] == languages["es/tutorial.html"] == "es"
    assert languages["es/runbooks/backlog-age.html"] == "es"
    assert languages["DEPLOY.html"] == languages["runbooks/backlog-age.html"] == "en"
