"""Every command, option and setting is documented, and every link leads somewhere."""

import re
from pathlib import Path

import pytest
import typer.main
from pages import READMES, ROOT, all_pages, anchors_of, links_of, sections_of, text_of
from pydantic import SecretStr

from kbsync.cli.main import app
from kbsync.pipeline.transform.sidecar import sidecar_attributes
from kbsync.settings import Settings, variable

COMMON = {"--home", "--config", "--backend", "--json", "--verbose", "--help"}
GROUP = typer.main.get_group(app)
_ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (\S+) \| (.+?) \| (.+) \|$", re.MULTILINE)


def test_reference_has_a_section_for_each_command_and_for_no_other() -> None:
    documented = {title.removeprefix("kbsync ") for title in sections_of("docs/cli.md") if "kbsync" in title}

    assert documented == set(GROUP.commands)


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_reference_names_every_option_of_a_command(name: str) -> None:
    section = sections_of("docs/cli.md")[f"kbsync {name}"]

    longest = {max(each.opts, key=len) for each in GROUP.commands[name].params}

    assert {
        option for option in longest - COMMON if option.startswith("--") and option not in section
    } == set()


def test_reference_names_every_common_option() -> None:
    section = sections_of("docs/cli.md")["Common options"]

    assert [option for option in sorted(COMMON) if f"`{option}" not in section] == []


@pytest.mark.parametrize("page", READMES)
def test_readme_names_every_command(page: str) -> None:
    text = text_of(page)

    assert [name for name in GROUP.commands if f"`{name}`" not in text] == []


def test_settings_page_lists_every_setting_with_its_default() -> None:
    rows = {name: (member, default) for name, member, default, _ in _ROW.findall(text_of("docs/settings.md"))}
    expected = {
        variable(name): (f"`{name}`", _shown(field.default))
        for name, field in Settings.model_fields.items()
        if name not in ("config", "home")
    }

    assert {
        name: row for name, row in rows.items() if name not in ("KBSYNC_CONFIG", "KBSYNC_HOME")
    } == expected
    assert rows["KBSYNC_HOME"] == ("`home`", "`~/.kbsync`")
    assert rows["KBSYNC_CONFIG"][0] == "-"


def test_reference_names_every_attribute_that_search_can_filter_by() -> None:
    source = Path(sidecar_attributes.__code__.co_filename).read_text(encoding="utf-8")
    names = set(re.findall(r'^ +"(\w+)": ', source, flags=re.MULTILINE))
    section = sections_of("docs/cli.md")["kbsync search"]

    assert {"incident_id", "resolved_date", "body_sha"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in section] == []


@pytest.mark.parametrize("page", all_pages())
def test_links_between_pages_lead_somewhere(page: str) -> None:
    broken = [
        link for link in links_of(page) if not re.match(r"\w+:", link) and not _leads_somewhere(page, link)
    ]

    assert broken == []


def test_both_readmes_have_the_same_sections_and_examples() -> None:
    english, spanish = (text_of(page) for page in READMES)

    assert english.count("\n## ") == spanish.count("\n## ")
    assert english.count("\n```") == spanish.count("\n```")
    assert english.count("\n|") == spanish.count("\n|")


def _leads_somewhere(page: str, link: str) -> bool:
    target, _, anchor = link.partition("#")
    path = ((ROOT / page).parent / target if target else ROOT / page).resolve()
    return path.exists() and (not anchor or anchor in anchors_of(path.relative_to(ROOT).as_posix()))


def _shown(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in (None, "", ()):
        return "empty"
    text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"`{text.removesuffix('.0')}`"
