"""Mappings: those that are shipped, and a user's own with its faults."""

from pathlib import Path

import pytest
from export_files import FOLDER, read_export

from kbsync.cli.exports import mappings_for
from kbsync.errors import UsageError
from kbsync.importing.mapping import System, load_mapping, shipped, shipped_text

SMALL = """
system = "opsgenie"
[id]
from = "id"
[status]
from = "state"
[status.words]
CLOSED = ["done"]
OPEN = ["open"]
[attributes]
title = "message"
"""


def saved(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("system", System)
def test_shipped_mapping_loads_and_a_copy_of_it_reads_the_same(system: System, tmp_path: Path) -> None:
    mine = saved(tmp_path, shipped_text(system))
    file = min((FOLDER / system).glob("*.json"))

    assert load_mapping(str(mine)) == shipped(system)
    assert read_export(file, from_=None, mapping=mine).accepted == read_export(file).accepted


def test_small_mapping_of_an_unknown_system_is_enough(tmp_path: Path) -> None:
    read = read_export(
        '{"id": 7, "state": "done", "message": "Disk full"}', from_=None, mapping=saved(tmp_path, SMALL)
    )

    assert read.accepted == {
        "opsgenie:7": {
            "incident_id": "opsgenie:7", "external_id": "7", "source_system": "opsgenie", "sk": "METADATA",
            "status": "CLOSED", "title": "Disk full",
        }
    }  # fmt: skip


def test_words_and_custom_attributes_of_a_mapping_are_used(tmp_path: Path) -> None:
    text = SMALL + (
        'severity = { from = "level", words = { "1" = "high" } }\n'
        'tags = { from = ["a", "b"], join = true }\n'
        "[custom]\n"
        'team = "owner.name"\n'
    )
    record = (
        '{"id": "x", "state": "OPEN", "level": 1, "a": ["t", "u"], "b": {"name": "t"},'
        ' "owner": {"name": "Storage"}}'
    )

    found = read_export(record, from_=None, mapping=saved(tmp_path, text)).accepted["opsgenie:x"]

    assert (found["severity"], found["tags"], found["team"]) == ("high", ["t", "u"], "Storage")


def test_closed_by_alone_tells_the_status(tmp_path: Path) -> None:
    text = SMALL.replace('from = "state"', 'closed_by = "ended"').replace("[status.words]\n", "")
    text = text.replace('CLOSED = ["done"]\nOPEN = ["open"]\n', "")

    read = read_export('{"id": 1, "ended": "x"} {"id": 2}', from_=None, mapping=saved(tmp_path, text))

    assert read.statuses == {"opsgenie:1": "CLOSED", "opsgenie:2": "OPEN"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title =", "titel ="), "attributes: titel is no attribute of an incident; did you mean title?"),
        (("title =", "zzz ="), "attributes: zzz is no attribute of an incident; one of your own"),
        (('"message"', '"a[b"'), "attributes.title.from.0: no path: a[b"),
        (('"message"', '""'), "attributes.title.from.0: an empty path"),
        (('"message"', "[]"), "attributes.title.from: Tuple should have at least"),
        (('system = "opsgenie"', 'system = "a b"'), "system: String should match pattern"),
        (('system = "opsgenie"', 'system = "a"\nencoding = "x-none"'), "encoding: no encoding that"),
        (('system = "opsgenie"', 'system = "a"\ntimezone = "Mars"'), "timezone: not an IANA name"),
        (('from = "id"', 'from = "id"\npattern = "("'), "id.pattern: no regular expression"),
        (('from = "state"', ""), "status: needs `from` with [status.words], or `closed_by`, or both"),
        (("[attributes]", "[custom]\nstatus = 'x'\n[attributes]"), "custom: status is taken"),
        (("[attributes]", "[nonsense]\n[attributes]"), "nonsense: Extra inputs are not permitted"),
        (("[id]", "[id"), "is no TOML"),
    ],
)  # fmt: skip
def test_fault_of_a_mapping_is_named_with_a_remedy(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    mine = saved(tmp_path, SMALL.replace(*change, 1))

    with pytest.raises(UsageError) as raised:
        load_mapping(str(mine))

    assert said in str(raised.value)
    assert raised.value.hint


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    mine = saved(tmp_path, SMALL.replace("title", "titel").replace("opsgenie", "a b"))

    with pytest.raises(UsageError, match=r"system: .*; attributes: titel"):
        load_mapping(str(mine))


def test_mapping_that_is_not_there_says_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        load_mapping(str(tmp_path / "none.toml"))

    assert "--show-mapping" in raised.value.hint


def test_mapping_of_another_system_than_the_named_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is for opsgenie, not for jira"):
        mappings_for("jira", str(saved(tmp_path, SMALL)))
