"""The IncidentStore port's contract, sentence by sentence, over every adapter named in the fixture."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aws_tables import AwsTables
from kbsync.local.database import LocalDatabase
from kbsync.local.incident_store import LocalIncidentStore
from kbsync.local.ledger import LocalLedger
from kbsync.model import Attributes, Mark, StoredIncident, SyncStatus
from kbsync.ports import IncidentChange, IncidentStore, Ledger, Noted

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class LocalSubject:
    """The embedded store with its ledger; another adapter brings a class with the same attributes."""

    def __init__(self, folder: Path) -> None:
        self._database = LocalDatabase(folder / "kbsync.db")
        self._store = LocalIncidentStore(self._database, 1)
        self.store: IncidentStore = self._store
        self.ledger: Ledger = LocalLedger(self._database, folder / "leases", 1)

    def put(self, attributes: Attributes) -> None:
        """Write an item as a program does that knows nothing of kbsync."""
        self._store.put_as_other_writer(attributes)

    def delete(self, incident_id: str) -> None:
        """Delete an item likewise."""
        self._store.delete_as_other_writer(incident_id)

    def close(self) -> None:
        """Free what was opened."""
        self._database.close()


Subject = LocalSubject | AwsTables


@pytest.fixture(params=["local", "aws"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """One adapter over an empty table; `aws-without-index` is a table that takes any type of status."""
    opened: Subject
    if request.param == "local":
        opened = LocalSubject(tmp_path)
    else:
        request.getfixturevalue("ministack")
        opened = AwsTables(status_index=request.param == "aws")
    yield opened
    opened.close()


any_status = pytest.mark.parametrize("subject", ["local", "aws-without-index"], indirect=True)


def item(incident_id: str = "INC-1", status: object = "CLOSED", **more: object) -> dict[str, object]:
    """Return a small item."""
    return {"incident_id": incident_id, "sk": "METADATA", "status": status, "priority": "P2", **more}


def read_one(subject: Subject, incident_id: str = "INC-1") -> StoredIncident:
    """Return one item that must be there."""
    return subject.store.read([incident_id])[incident_id]


def mark(incident_id: str = "INC-1") -> Mark:
    """Return a mark of noon."""
    return Mark(incident_id, NOON)


def test_absent_ids_are_left_out_of_a_read(subject: Subject) -> None:
    """A read answers with what is there and asks no questions about the rest."""
    subject.put(item())

    found = subject.store.read(["INC-1", "INC-2"])

    assert list(found) == ["INC-1"]
    assert subject.store.read([]) == {}


def test_every_type_of_attribute_comes_back_as_it_was(subject: Subject) -> None:
    """Sets, numbers, binary, NULL, empty text and nesting survive; numbers come back as Decimal."""
    odd = {
        "text": "línea\nzwei \u200b 🙂",
        "empty": "",
        "number": Decimal("-12.50"),
        "big": Decimal(10**37),
        "yes": True,
        "nothing": None,
        "bytes": b"\x00\xff",
        "texts": {"a", "b"},
        "numbers": {Decimal(1), Decimal("2.5")},
        "binaries": {b"a"},
        "list": [Decimal(1), "a", [None, {"M": "x", "N": Decimal(2)}]],
        "map": {"S": "not a tag", "": "no name"},
    }
    subject.put(item(odd=odd))

    assert read_one(subject).attributes["odd"] == odd


def test_token_changes_with_any_attribute_and_only_then(subject: Subject) -> None:
    """The token is the proof of what was read."""
    subject.put(item(title="a"))
    first = read_one(subject).token
    subject.put(item(title="b"))
    second = read_one(subject).token
    subject.put(item(title="a"))

    assert first
    assert first != second
    assert read_one(subject).token == first


def test_status_listing_pages_to_the_end_in_a_stable_order(subject: Subject) -> None:
    """Every item of the status once, whatever the page size; the last page has no cursor."""
    for n in range(7):
        subject.put(item(f"INC-{n}", "CLOSED" if n % 2 else "OPEN"))

    seen, cursor, pages = [], "", 0
    while True:
        page = subject.store.list_by_status("CLOSED", cursor=cursor, limit=2)
        seen += [each.incident_id for each in page.items]
        pages, cursor = pages + 1, page.cursor
        if not cursor:
            break

    assert sorted(seen) == ["INC-1", "INC-3", "INC-5"]
    assert pages <= 3


@any_status
def test_scan_pages_over_everything_once(subject: Subject) -> None:
    """A scan holds every item, those without a readable status too."""
    for n, status in enumerate(["CLOSED", "OPEN", Decimal(7)]):
        subject.put(item(f"INC-{n}", status))
    subject.put({"incident_id": "INC-9", "sk": "METADATA"})

    seen, cursor = [], ""
    while True:
        page = subject.store.scan(cursor=cursor, limit=3)
        seen += [each.incident_id for each in page.items]
        cursor = page.cursor
        if not cursor:
            break

    assert sorted(seen) == ["INC-0", "INC-1", "INC-2", "INC-9"]


@any_status
def test_counts_by_status_add_up_to_the_table(subject: Subject) -> None:
    """Every item is counted once; a status that is no text counts as none."""
    for n, status in enumerate(["CLOSED", "CLOSED", "OPEN", Decimal(7)]):
        subject.put(item(f"INC-{n}", status))

    assert subject.store.count_by_status() == {"CLOSED": 2, "OPEN": 1, "": 1}


def test_sync_status_replaces_the_whole_map_in_the_original_form(subject: Subject) -> None:
    """Five members at most, absent ones left out, times in UTC; other attributes stay."""
    subject.put(item(title="a", kb_sync_status={"synced": "yes", "extra": "x"}))
    status = SyncStatus(synced=True, synced_at=NOON, last_sync_attempt=NOON)

    assert subject.store.write_sync_statuses([(read_one(subject), status)]) == [Noted.WRITTEN]

    written = read_one(subject).attributes
    assert written["title"] == "a"
    assert written["kb_sync_status"] == {
        "synced": True,
        "sync_attempts": Decimal(0),
        "synced_at": "2026-03-10T12:00:00.000Z",
        "last_sync_attempt": "2026-03-10T12:00:00.000Z",
    }


@pytest.mark.parametrize("before", [None, True, "true", ["x"]], ids=["null", "boolean", "text", "list"])
def test_sync_status_is_written_over_any_wrong_shape(subject: Subject, before: object) -> None:
    """What others left in the map is no obstacle (DESIGN.md section 3)."""
    subject.put(item(kb_sync_status=before))

    status = SyncStatus(synced=False, sync_attempts=2, last_sync_error="why")
    assert subject.store.write_sync_statuses([(read_one(subject), status)]) == [Noted.WRITTEN]

    assert read_one(subject).attributes["kb_sync_status"] == {
        "synced": False,
        "sync_attempts": Decimal(2),
        "last_sync_error": "why",
    }


def test_sync_status_is_not_written_over_a_changed_item(subject: Subject) -> None:
    """The write is conditional on what was read."""
    subject.put(item(title="a"))
    read = read_one(subject)
    subject.put(item(title="b"))

    assert subject.store.write_sync_statuses([(read, SyncStatus(synced=True))]) == [Noted.CHANGED]

    assert "kb_sync_status" not in read_one(subject).attributes


def test_sync_status_never_creates_an_item(subject: Subject) -> None:
    """An incident that was deleted meanwhile stays deleted (CASES O-10's kind)."""
    subject.put(item())
    read = read_one(subject)
    subject.delete("INC-1")

    assert subject.store.write_sync_statuses([(read, SyncStatus(synced=True))]) == [Noted.CHANGED]

    assert subject.store.read(["INC-1"]) == {}


def test_sync_statuses_are_written_each_on_its_own_condition(subject: Subject) -> None:
    """One that changed meanwhile stops no other; the answers are in the order of the writes."""
    for n in range(30):
        subject.put(item(f"INC-{n}", title="a"))
    read = subject.store.read([f"INC-{n}" for n in range(30)])
    subject.put(item("INC-7", title="b"))
    subject.delete("INC-8")
    status = SyncStatus(synced=True, synced_at=NOON)

    outcomes = subject.store.write_sync_statuses([(read[f"INC-{n}"], status) for n in range(30)])

    assert outcomes == [Noted.CHANGED if n in (7, 8) else Noted.WRITTEN for n in range(30)]
    written = subject.store.read([f"INC-{n}" for n in range(30)])
    assert {name for name, each in written.items() if "kb_sync_status" in each.attributes} == {
        f"INC-{n}" for n in range(30) if n not in (7, 8)
    }
    assert subject.store.write_sync_statuses([]) == []


def test_sync_status_is_not_written_where_an_attribute_of_the_document_appeared(subject: Subject) -> None:
    """What was absent and is there now is a change too."""
    subject.put(item())
    read = read_one(subject)
    subject.put(item(resolution={"description": "new"}))

    assert subject.store.write_sync_statuses([(read, SyncStatus(synced=True))]) == [Noted.CHANGED]


def test_change_writes_item_and_mark_together(subject: Subject) -> None:
    """A new item appears together with its place in the queue."""
    change = IncidentChange("INC-1", item(), "", mark())

    assert subject.store.change([change]) == [True]

    assert read_one(subject).attributes == item()
    assert subject.ledger.records(["INC-1"])["INC-1"].queue == "publish#0"


def test_change_whose_token_no_longer_holds_writes_nothing(subject: Subject) -> None:
    """Of several changes, those that lost are left out whole; the others stand."""
    subject.put(item("INC-1", title="old"))
    subject.put(item("INC-2", title="old"))
    stale, fresh = read_one(subject, "INC-1"), read_one(subject, "INC-2")
    subject.put(item("INC-1", title="newer"))

    outcomes = subject.store.change(
        [
            IncidentChange("INC-1", item("INC-1", title="ours"), stale.token, mark("INC-1")),
            IncidentChange("INC-2", item("INC-2", title="ours"), fresh.token, mark("INC-2")),
            IncidentChange("INC-2", item("INC-2", title="again"), "", mark("INC-2")),
        ]
    )

    assert outcomes == [False, True, False]
    assert read_one(subject, "INC-1").attributes["title"] == "newer"
    assert read_one(subject, "INC-2").attributes["title"] == "ours"
    assert list(subject.ledger.records(["INC-1", "INC-2"])) == ["INC-2"]


def test_change_to_nothing_deletes_and_marks(subject: Subject) -> None:
    """A deletion leaves a mark, so that its document follows."""
    subject.put(item())

    outcome = subject.store.change([IncidentChange("INC-1", None, read_one(subject).token, mark())])

    assert outcome == [True]
    assert subject.store.read(["INC-1"]) == {}
    assert subject.ledger.records(["INC-1"])["INC-1"].queue == "publish#0"


def test_change_marks_without_creating_where_the_mark_says_so(subject: Subject) -> None:
    """A mark with `create` false needs a record that is there already."""
    change = IncidentChange("INC-1", item(), "", replace(mark(), create=False))

    assert subject.store.change([change]) == [True]

    assert subject.ledger.records(["INC-1"]) == {}


def test_page_of_no_items_is_refused(subject: Subject) -> None:
    """A limit below one would never get anywhere."""
    with pytest.raises(ValueError, match="at least one"):
        subject.store.scan(cursor="", limit=0)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_of_a_scan_are_together_the_table(subject: Subject, parts: int) -> None:
    """Each item is in exactly one part, on whatever page of it."""
    ids = {f"INC-{number}-{chr(97 + number % 7)}" for number in range(23)}
    for each in ids:
        subject.put({"incident_id": each, "sk": "METADATA", "status": "CLOSED"})

    seen: list[str] = []
    for part in range(parts):
        cursor, more = "", True
        while more:
            page = subject.store.scan(cursor=cursor, limit=4, part=part, parts=parts)
            seen += [stored.incident_id for stored in page.items]
            cursor, more = page.cursor, bool(page.cursor)

    assert sorted(seen) == sorted(ids)
