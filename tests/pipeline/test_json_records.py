"""The original's JSON records: part of a publication wherever they are switched on, gone wherever it is."""

import json
from collections.abc import Callable

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.errors import ConfigInvalidError
from kbsync.pipeline.changes import reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.setting_sources import load_settings

OpenHome = Callable[..., Home]
RULES = TransformRules(json_records_prefix="records/")
DOCUMENT = {"incidents/INC-1001.md", "incidents/INC-1001.md.metadata.json"}
RECORD = "records/INC-1001.json"


def record_of(home: Home) -> dict[str, object]:
    found: dict[str, object] = json.loads(home.documents.get(RECORD))
    return found


def test_record_is_published_with_the_document_and_never_listed(open_home: OpenHome) -> None:
    """It lies outside the prefix that the knowledge base reads, with the original's names."""
    home = open_home(rules=RULES)
    upsert_incidents(home.engine, [an_incident()])

    report = sync_once(home.engine)

    assert (report.indexed, report.objects_written) == (1, 3)
    assert home.keys() == DOCUMENT | {RECORD}
    assert home.listed() == {"incidents/INC-1001.md"}
    record = record_of(home)
    assert record["root_cause"] == "Leak in retry path."
    assert record["resolution"] == "Raised the pool size to 40."
    assert record["resolution_time_minutes"] == 90
    assert record["resolved_at"] == "2025-03-10T09:30:00+00:00"
    assert not {"resolved_by", "synced_to_kb_at"} & record.keys()


def test_record_is_redacted_like_the_document(open_home: OpenHome) -> None:
    """P6 holds for every object that leaves."""
    home = open_home(rules=RULES)
    upsert_incidents(home.engine, [an_incident(description="login with password=hunter2hunter2")])

    sync_once(home.engine)

    assert b"hunter2hunter2" not in home.documents.get(RECORD)


def test_second_run_writes_no_record_again(open_home: OpenHome) -> None:
    """P4: an unchanged record is no work; an edit of the text replaces all three objects."""
    home = open_home(rules=RULES)
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)

    assert sync_once(home.engine).objects_written == 0
    update_incident(home.engine, "INC-1001", {"description": "Another text."})
    assert sync_once(home.engine).objects_written == 3
    assert record_of(home)["description"] == "Another text."


def test_withdrawal_takes_the_record_along(open_home: OpenHome) -> None:
    """P3 for the record: reopened means gone."""
    home = open_home(rules=RULES)
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")

    sync_once(home.engine)

    assert (home.keys(), home.state()) == (set(), "withdrawn")


def test_records_switched_on_and_off_touch_no_document(open_home: OpenHome) -> None:
    """The setting is a changed rule: one pass, and nothing that the knowledge base reads is put again."""
    home = open_home()
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)

    on = open_home(rules=RULES)
    switched_on = sync_once(on.engine)
    assert (switched_on.objects_written, switched_on.indexed) == (1, 1)
    assert on.keys() == DOCUMENT | {RECORD}

    moved = open_home(rules=TransformRules(json_records_prefix="other/"))
    report = sync_once(moved.engine)
    assert (report.objects_written, report.objects_deleted) == (1, 1)
    assert moved.keys() == DOCUMENT | {"other/INC-1001.json"}

    off = open_home()
    switched_off = sync_once(off.engine)
    assert (switched_off.objects_written, switched_off.objects_deleted) == (0, 1)
    assert off.keys() == DOCUMENT
    assert off.knowledge_base.embedded == 0


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["searchable", "reopened"])
def test_kill_at_any_effect_leaves_no_stray_record(open_home: OpenHome, ends: str) -> None:
    """P7 with three objects, also where the incident was reopened before the next run.

    Slow: some twenty homes are broken and repaired.
    """
    counting = Faults()
    home = open_home(rules=RULES)
    upsert_incidents(home.engine, [an_incident()])
    sync_once(with_faults(home.engine, counting))
    for n in range(1, counting.seen + 1):
        home = a_home(home.folder.parent / f"{n}", rules=RULES)
        upsert_incidents(home.engine, [an_incident()])
        with pytest.raises(KilledError):
            sync_once(with_faults(home.engine, Faults(at=n, after=KilledError)))
        if ends == "reopened":
            reopen_incident(home.engine, "INC-1001")
        for _ in range(6):
            home.clock.forward(minutes=10)
            if sync_once(home.engine).pending == 0:
                break

        assert home.keys() == (DOCUMENT | {RECORD} if ends == "searchable" else set()), counting.log[n - 1]


@pytest.mark.parametrize("prefix", ["incidents/json/", "incidents/"])
def test_prefix_that_the_knowledge_base_reads_is_refused(prefix: str) -> None:
    """Bedrock would count every record as a file it cannot read."""
    with pytest.raises(ConfigInvalidError, match="overlaps"):
        TransformRules(json_records_prefix=prefix)


def test_setting_must_be_a_folder_and_may_be_empty() -> None:
    """Empty switches records off; half a folder name would mix with other keys."""
    assert load_settings({}, {"JSON_RECORDS_PREFIX": "records/"}).json_records_prefix == "records/"
    assert load_settings({"json_records_prefix": ""}, {}).json_records_prefix == ""
    with pytest.raises(ConfigInvalidError, match="JSON_RECORDS_PREFIX"):
        load_settings({}, {"JSON_RECORDS_PREFIX": "records"})


@pytest.mark.parametrize(
    ("resolved", "kept"),
    [("2025-03-11", "2025-03-11"), ("next week", "next week")],
    ids=["day", "unreadable"],
)
def test_record_keeps_a_date_as_far_as_it_could_be_read(
    open_home: OpenHome, resolved: str, kept: str
) -> None:
    """A day stays a day, and a text that is no date stays that text."""
    home = open_home(rules=RULES)
    incident = an_incident(resolved_at=resolved)
    del incident["resolution"]
    upsert_incidents(home.engine, [incident])

    sync_once(home.engine)

    assert record_of(home)["resolved_at"] == kept
