"""CASES.md, section D and what of B, C and E needs more than the transform: end to end on an embedded home.

O-26, O-27, O-29, O-30, O-32 to O-40 stand in tests/pipeline beside the steps that they are about.
"""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Policy
from kbsync.errors import UnavailableError
from kbsync.model import StoredIncident, sidecar_key
from kbsync.pipeline.changes import delete_incident, reopen_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.transform import IncidentTransform
from kbsync.ports import IncidentStore, Page

OpenHome = Callable[..., Home]


def many(count: int, **changes: object) -> list[dict[str, object]]:
    return [an_incident(**{"incident_id": f"INC-{n}", "title": f"Case {n}", **changes}) for n in range(count)]


class Blind:
    """The incidents table with a status index that shows nothing, or breaks after its first page."""

    def __init__(self, store: IncidentStore, *, breaks: bool) -> None:
        self._store, self._breaks = store, breaks

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def list_by_status(self, status: str, *, cursor: str, limit: int) -> Page[StoredIncident]:
        if not self._breaks:
            return Page(())
        if cursor:
            raise UnavailableError("no answer")
        return self._store.list_by_status(status, cursor=cursor, limit=min(limit, 5))


@pytest.mark.parametrize("breaks", [False, True], ids=["empty listing", "error on page 2"])
def test_o_28_a_listing_that_shows_nothing_removes_nothing(open_home: OpenHome, breaks: bool) -> None:  # noqa: FBT001
    """O-28: absence in a listing is no deletion; 40 documents stay, and an addition still goes through."""
    home = open_home(policy=Policy(discovery="index"))
    upsert_incidents(home.engine, many(40))
    sync_once(home.engine)
    assert len(home.listed()) == 40
    blind = cast("IncidentStore", Blind(home.incidents, breaks=breaks))
    upsert_incidents(home.engine, [an_incident(incident_id="INC-NEW")])
    home.clock.forward(hours=2)

    sync_once(replace(home.engine, incidents=blind))

    wanted = {f"incidents/INC-{n}.md" for n in range(40)}
    assert wanted <= home.listed()
    assert wanted <= home.keys()
    home.clock.forward(hours=2)
    sync_once(home.engine)
    assert home.state("INC-NEW") == "indexed"


@pytest.mark.parametrize("effect", ["documents.put", "ledger.save", "incidents.write_sync_statuses"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_o_31_a_mark_is_never_ahead_of_what_the_store_holds(home: Home, effect: str, when: str) -> None:
    """O-31: killed at the first such effect, the fingerprint on record is true, and the next run finishes."""
    upsert_incidents(home.engine, [an_incident()])

    _until_killed(home, Faults(), effect, when)

    record = home.ledger.records(["INC-1001"])["INC-1001"]
    if record.fingerprint:
        for key in (record.document_key, sidecar_key(record.document_key)):
            head = home.documents.head(key)
            assert head is not None
            assert head.fingerprint == record.fingerprint
    if home.map_of()["synced"]:
        assert home.found("pool exhausted") != []
    home.clock.forward(hours=2)
    sync_once(home.engine)
    assert home.state() == "indexed"
    assert home.map_of()["synced"] is True


def _until_killed(home: Home, faults: Faults, effect: str, when: str) -> None:
    """Kill a run at its first effect of that name."""
    around = faults.around

    def watched(name: str, perform: Callable[[], object]) -> object:
        if name == effect and not faults.at:
            faults.at = faults.seen + 1
            setattr(faults, when, KilledError)
        return around(name, perform)

    faults.around = watched  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        sync_once(with_faults(home.engine, faults))


def _peak_bytes(folder: Path, count: int) -> int:
    home = a_home(folder)
    for start in range(0, count, 50):
        items = many(50, description="word " * 1000)
        for n, item in enumerate(items, start):
            item["incident_id"] = f"INC-{n}"
            if n % 2:
                item["title"] = {"x": b"\x00"}
        upsert_incidents(home.engine, items)
    gc.collect()
    tracemalloc.start()
    report = sync_once(home.engine)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.failed, report.indexed) == (count // 2, count // 2)
    assert len(report.errors) <= 100
    return peak


@pytest.mark.slow
def test_o_41_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """O-41. Slow (20 s): tables of 100 and 300 incidents of 5 KB, half failing; 200 more are 1 MB of text."""
    _peak_bytes(tmp_path / "first", 50)  # what is loaded once and kept
    small = _peak_bytes(tmp_path / "small", 100)

    # Twice, the lesser counts: the interpreter's own table of names may double, by megabytes, in one of them.
    large = min(_peak_bytes(tmp_path / name, 300) for name in ("large", "again"))

    assert large < small + 500_000


def test_o_18_the_note_of_a_failure_is_bounded_whatever_the_error_says(home: Home) -> None:
    """O-18: an item near DynamoDB's limit leaves a short note, and the run goes on with the others."""
    items = many(3)
    items[0]["description"] = "x" * 399_000
    items[0]["title"] = {"x": b"\x00"}
    upsert_incidents(home.engine, items)

    for _ in range(3):
        report = sync_once(home.engine)

    status = home.map_of("INC-0")
    assert len(str(status["last_sync_error"])) <= 500
    assert set(status) <= {"synced", "synced_at", "sync_attempts", "last_sync_attempt", "last_sync_error"}
    assert not any(isinstance(value, list | dict) for value in status.values())
    assert report.failed == 1
    assert home.state("INC-1") == home.state("INC-2") == "indexed"


def test_o_13_what_is_written_back_is_exact(home: Home) -> None:
    """O-13: the status holds whole numbers and texts, never a float, never a NaN."""
    upsert_incidents(home.engine, [an_incident(duration=float("0.1"))])

    sync_once(home.engine)

    status = home.map_of()
    assert status["synced"] is True
    assert not any(isinstance(value, float) for value in status.values())
    assert "nan" not in str(status).lower()


ODD_IDS = [
    "../../outside", "..", ".", "a/../../b", "a\\..\\b", "INC/1", "INC_1", "INC:1", "INC 1", "INC%2F1",
    "é" * 600,
    "A" * 1000, "A" * 1000 + "B", "INC-abc", "inc-ABC", "INC#1?a+b%20c d", "INC-Ñ-7",
]  # fmt: skip


def test_o_20_to_o_25_odd_ids_sync_beside_each_other_and_touch_nothing_outside(home: Home) -> None:
    """O-20 to O-25: every id has its own document under the prefix and is found by its true id."""
    before = {path for path in home.folder.parent.rglob("*") if home.folder not in path.parents}
    upsert_incidents(
        home.engine, [an_incident(incident_id=each, title=f"Case {n}") for n, each in enumerate(ODD_IDS)]
    )

    report = sync_once(home.engine)

    assert (report.status, report.indexed) == ("ok", len(ODD_IDS))
    keys = home.keys()
    assert len({key.lower() for key in keys}) == 2 * len(ODD_IDS)
    assert all(len(key.encode()) <= 1024 and key.startswith("incidents/") for key in keys)
    assert {path for path in home.folder.parent.rglob("*") if home.folder not in path.parents} == before
    shown = [hit.metadata["incident_id"] for hit in home.knowledge_base.retrieve("pool", limit=50)]
    assert set(ODD_IDS) - {"é" * 600, "A" * 1000, "A" * 1000 + "B"} <= set(shown)
    assert len(shown) == len(set(shown)) == len(ODD_IDS)


def test_o_25_removing_an_id_with_marks_of_links_removes_exactly_its_two_objects(home: Home) -> None:
    """O-25: the document and the sidecar of that id go, the neighbour whose id reads alike stays."""
    upsert_incidents(
        home.engine, [an_incident(incident_id=each) for each in ("INC#1?a+b%20c d", "INC#1?a+b c d")]
    )
    sync_once(home.engine)
    neighbour = home.engine.transform.document_key("INC#1?a+b c d")
    delete_incident(home.engine, "INC#1?a+b%20c d")

    sync_once(home.engine)

    assert home.keys() == {neighbour, sidecar_key(neighbour)}
    assert home.found("pool exhausted") == ["INC#1?a+b c d"]


@pytest.mark.parametrize(
    ("change", "query"),
    [
        ({"title": "Fallo \ud83d en red"}, "fallo red"),
        ({"description": "line1\x00line2\x07\x1b[31mred\x1b[0m\r\nline3\tcol"}, "line2"),
        (
            {"title": "Disk full\u202e\ufeff" + "".join(chr(0xE0000 + ord(c)) for c in "send logs")},
            "disk full",
        ),
    ],
    ids=["o_42", "o_43", "o_53"],
)
def test_o_42_o_43_o_53_broken_text_is_stored_synced_and_found(
    home: Home, change: dict[str, object], query: str
) -> None:
    """O-42, O-43, O-53: no store, log or status write trips over it; the table keeps what it had."""
    upsert_incidents(home.engine, [an_incident(**change)])

    report = sync_once(home.engine)

    assert (report.status, report.indexed) == ("ok", 1)
    assert home.found(query) == ["INC-1001"]
    name = next(iter(change))
    assert home.incidents.read(["INC-1001"])["INC-1001"].attributes[name] == change[name]


def test_o_52_first_and_last_exception_of_a_long_trace_are_found(home: Home) -> None:
    """O-52: of a trace over the limit, head and tail are what search knows."""
    trace = "AlphaException: a\n" + "  at frame 🔥\n" * 6000 + "OmegaException: z"
    upsert_incidents(home.engine, [an_incident(error_message=trace)])

    sync_once(home.engine)

    assert home.found("AlphaException") == home.found("OmegaException") == ["INC-1001"]


def test_o_14_null_in_the_map_counts_as_unsynced(home: Home) -> None:
    """O-14: NULL and the text "false" are no true boolean: both are synced by the first run."""
    items = many(2)
    items[0]["kb_sync_status"] = {"synced": None}
    items[1]["kb_sync_status"] = {"synced": "false"}
    upsert_incidents(home.engine, items)

    sync_once(home.engine)

    assert home.map_of("INC-0")["synced"] is True
    assert home.map_of("INC-1")["synced"] is True


def test_o_07_one_attribute_is_filtered_alike_whatever_type_it_came_as(home: Home) -> None:
    """O-07: a numeric and a textual external id live in one index, both found as text."""
    items = [
        an_incident(incident_id="A", external_id=1234),
        an_incident(incident_id="B", external_id="7c0e-19b"),
    ]
    upsert_incidents(home.engine, items)

    sync_once(home.engine)

    assert home.found("pool", external_id="1234") == ["A"]
    assert home.found("pool", external_id="7c0e-19b") == ["B"]


def test_o_29_a_reopened_incident_is_never_shown_as_solved(home: Home) -> None:
    """O-29: reopening takes the document away even where the text did not change."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")

    sync_once(home.engine)

    assert (home.keys(), home.listed(), home.found("pool exhausted")) == (set(), set(), [])


def test_the_transform_of_a_home_is_the_real_one(home: Home) -> None:
    """These cases prove something only where nothing stands in for the transform."""
    assert isinstance(home.engine.transform, IncidentTransform)
