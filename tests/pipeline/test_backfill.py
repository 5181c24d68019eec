"""Back-fill marks what needs a look, goes on where it was killed, and publishes nothing itself."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from builders import Home, an_incident
from exports import write_export
from faults import Faults, with_faults
from kbsync.errors import ThrottledError
from kbsync.importing.dynamodb_export import folder_source
from kbsync.model import Mark
from kbsync.pipeline.backfill import PROGRESS, Backfilled, TableSource, backfill
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.sync import sync_once
from kbsync.stretches import Stretch

pytestmark = pytest.mark.usefixtures("home")


def put(home: Home, *numbers: int, **changes: object) -> list[dict[str, object]]:
    """Write incidents as a program that marks nothing, and return them."""
    items = [an_incident(incident_id=f"INC-{number}", **changes) for number in numbers]
    for each in items:
        home.incidents.put_as_other_writer(each)
    return items


def counted(outcome: Backfilled) -> dict[str, int]:
    return {name: count for name, count in outcome.counts.items() if count}


@pytest.mark.parametrize("parts", [1, 3])
def test_table_is_marked_whole_and_the_next_run_publishes(home: Home, parts: int) -> None:
    """Every closed incident becomes searchable; an open one gets no record."""
    put(home, *range(25))
    put(home, 100, status="OPEN")

    outcome = backfill(home.engine, TableSource(home.engine, parts))

    assert (counted(outcome), outcome.ended) == ({"marked": 25, "not_closed": 1}, True)
    assert home.keys() == set()
    assert sync_once(home.engine).indexed == 25
    assert home.state("INC-100") == "none"


def test_repeat_finds_everything_up_to_date(home: Home) -> None:
    """What the records already say is not marked again, and what waits is not marked twice."""
    put(home, 1, 2)
    source = TableSource(home.engine, 1)
    backfill(home.engine, source)

    waiting = backfill(home.engine, source)
    sync_once(home.engine)
    current = backfill(home.engine, source)

    assert (counted(waiting), counted(current)) == ({"waiting": 2}, {"current": 2})


def test_edit_reopening_and_new_rules_are_marked(home: Home) -> None:
    """A record that says something else than the item is a reason to look, whatever it says."""
    put(home, 1, 2, 3)
    backfill(home.engine, TableSource(home.engine, 1))
    sync_once(home.engine)
    put(home, 1, title="Another title")
    put(home, 2, status="OPEN")

    outcome = backfill(home.engine, TableSource(home.engine, 1))
    sync_once(home.engine)

    assert counted(outcome) == {"marked": 2, "current": 1}
    assert (home.state("INC-1"), home.state("INC-2")) == ("indexed", "withdrawn")


def test_quarantined_incident_is_not_tried_again_while_it_says_the_same(home: Home) -> None:
    """Attempts are not given back by a back-fill."""
    put(home, 1, title={"not": "a text"})
    for _ in range(3):
        backfill(home.engine, TableSource(home.engine, 1))
        sync_once(home.engine)

    assert home.state("INC-1") == "quarantined"
    assert counted(backfill(home.engine, TableSource(home.engine, 1))) == {"current": 1}


def test_dry_run_writes_nothing(home: Home) -> None:
    """It counts what it would mark, and leaves neither mark nor progress."""
    put(home, 1)

    outcome = backfill(home.engine, TableSource(home.engine, 1), dry_run=True)

    assert counted(outcome) == {"marked": 1}
    assert home.ledger.records(["INC-1"]) == {}
    assert home.ledger.read_value(PROGRESS) == ""


def test_export_that_is_older_than_the_table_overwrites_nothing(home: Home, tmp_path: Path) -> None:
    """What it says is a reason to look; the incident as it is now decides."""
    items = put(home, 1, 2)
    export = write_export(tmp_path, [[*items, an_incident(incident_id="INC-gone")]])
    upsert_incidents(home.engine, [an_incident(incident_id="INC-1", title="Newer title")])
    reopen_incident(home.engine, "INC-2")
    sync_once(home.engine)

    backfill(home.engine, folder_source(export))
    report = sync_once(home.engine)

    assert (report.objects_written, report.failed) == (0, 0)
    assert "Newer title" in home.documents.get("incidents/INC-1.md").decode()
    assert (home.state("INC-2"), home.state("INC-gone")) == ("none", "none")


def test_incident_that_the_export_does_not_name_is_left_alone(home: Home, tmp_path: Path) -> None:
    """Absence is never a deletion."""
    put(home, 1)
    backfill(home.engine, TableSource(home.engine, 1))
    sync_once(home.engine)

    backfill(home.engine, folder_source(write_export(tmp_path, [put(home, 2)])))
    sync_once(home.engine)

    assert (home.state("INC-1"), home.state("INC-2")) == ("indexed", "indexed")


class Counting:
    """A source that notes what was read of it, and may stop the reader at a stretch."""

    def __init__(self, name: str, parts: int, *, dies_at: int = 1_000) -> None:
        self.name, self.parts, self.dies_at = name, parts, dies_at
        self.read_stretches: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def read(self, part: int, position: str) -> Iterator[Stretch]:
        for number in range(int(position or 0), 3):
            with self._lock:
                if len(self.read_stretches) == self.dies_at:
                    raise KeyboardInterrupt
                self.read_stretches.append((part, number))
            items = [an_incident(incident_id=f"INC-{part}-{number}-{each}") for each in range(4)]
            yield Stretch(
                tuple((str(each["incident_id"]), each) for each in items), str(number + 1), unreadable=1
            )


@pytest.mark.parametrize("dies_at", range(12))
def test_killed_anywhere_it_goes_on_and_reads_at_most_one_stretch_of_a_part_twice(
    home: Home, dies_at: int
) -> None:
    """The stretch in hand is read again; those before it are not, and none is left out."""
    dying, again = Counting("s", 4, dies_at=dies_at), Counting("s", 4)

    with pytest.raises(KeyboardInterrupt):
        backfill(home.engine, dying, workers=1)
    outcome = backfill(home.engine, again, workers=1)

    everything = {(part, number) for part in range(4) for number in range(3)}
    assert set(dying.read_stretches) | set(again.read_stretches) == everything
    assert len(dying.read_stretches) + len(again.read_stretches) <= len(everything) + 1
    assert outcome.ended
    assert home.ledger.read_value(PROGRESS) == ""
    assert len(home.ledger.due("publish#0", until="~", after="", limit=100)) == 48


def test_many_workers_mark_everything_once(home: Home) -> None:
    """Parts are independent; progress is one small value."""
    outcome = backfill(home.engine, Counting("s", 9), workers=4)

    assert (counted(outcome), outcome.parts_done) == ({"marked": 108, "unreadable": 27}, 9)


def test_deadline_ends_it_after_the_stretch_in_hand_and_the_next_call_goes_on(home: Home) -> None:
    """Nothing is forgotten between two calls."""
    in_half_an_hour = home.clock.at + timedelta(minutes=30)
    first = backfill(
        home.engine,
        Counting("s", 2),
        deadline=in_half_an_hour,
        told=lambda _: home.clock.forward(hours=1),
    )
    late = backfill(home.engine, Counting("s", 2), deadline=home.clock.at - timedelta(seconds=1))
    rest = backfill(home.engine, Counting("s", 2))

    assert (first.ended, first.counts["marked"]) == (False, 4)
    assert (late.counts.total(), rest.ended, rest.counts["marked"]) == (0, True, 20)


def test_another_source_begins_anew(home: Home) -> None:
    """Progress belongs to the source whose name and parts it was kept under."""
    with pytest.raises(KeyboardInterrupt):
        backfill(home.engine, Counting("a", 2, dies_at=4))

    other = Counting("b", 2)
    backfill(home.engine, other)

    assert len(other.read_stretches) == 6


def test_throttle_is_waited_out_and_costs_nothing(home: Home) -> None:
    """A refusal slows it down; no part is given up."""

    class Throttled(Faults):
        left = 3

        def around(self, name: str, effect: Callable[[], object]) -> object:
            if name == "ledger.mark" and self.left:
                self.left -= 1
                raise ThrottledError("slow down")
            return effect()

    home.clock.slept.clear()
    outcome = backfill(with_faults(home.engine, Throttled()), Counting("s", 1))

    assert (counted(outcome)["marked"], home.clock.slept) == (12, [1.0, 2.0, 4.0])


def test_endless_refusal_is_an_error_and_what_was_marked_stands(home: Home) -> None:
    """After eight tries it gives up; the next call goes on."""

    class Down(Faults):
        def around(self, name: str, effect: Callable[[], object]) -> object:
            if name == "ledger.mark":
                raise ThrottledError("slow down")
            return effect()

    home.clock.slept.clear()
    with pytest.raises(ThrottledError):
        backfill(with_faults(home.engine, Down()), Counting("s", 1))

    assert len(home.clock.slept) == 7


def test_progress_callback_hears_how_many_were_looked_at(home: Home) -> None:
    """It counts unreadable lines too: they were looked at."""
    told: list[int] = []

    backfill(home.engine, Counting("s", 1), told=told.append)

    assert told == [5, 10, 15]


def test_record_that_waits_is_left_in_its_queue(home: Home) -> None:
    """A mark made meanwhile is not made again: its age is the backlog's."""
    put(home, 1)
    home.ledger.mark([Mark("INC-1", home.clock())])
    before = home.ledger.records(["INC-1"])["INC-1"].due

    backfill(home.engine, TableSource(home.engine, 1))

    assert home.ledger.records(["INC-1"])["INC-1"].due == before
