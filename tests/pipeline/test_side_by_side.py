"""Many incidents in hand at once: the same end as one by one, within bounds, slower where S3 says so."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Engine, Policy
from kbsync.errors import AccessDeniedError, LeaseLostError, ThrottledError, UnavailableError
from kbsync.model import Lease, PutReply
from kbsync.pipeline.changes import delete_incident, reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.lease import PublisherLease
from kbsync.pipeline.pace import OUTAGE_AFTER_REFUSALS, Pace
from kbsync.pipeline.sync import sync_once

AT_ONCE = 8
MANY = [f"INC-{number:02}" for number in range(24)]


class Store:
    """The document store behind a gate: counts who is inside, and lets a test say what happens there."""

    def __init__(
        self, store: Any, meet: Callable[[str], None] = lambda _: None, *, wait_for: int = 1
    ) -> None:
        self._store = store
        self._meet = meet
        self._gate = threading.Condition()
        self._wait_for = wait_for
        self.inside = 0
        self.most_inside = 0
        self.inside_bytes = 0
        self.most_bytes = 0
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, key: str, content: bytes, **conditions: Any) -> PutReply:
        with self._gate:
            self.keys.append(key)
            self.inside += 1
            self.inside_bytes += len(content)
            self.most_inside = max(self.most_inside, self.inside)
            self.most_bytes = max(self.most_bytes, self.inside_bytes)
            self._gate.notify_all()
            self._gate.wait_for(lambda: self.most_inside >= self._wait_for, timeout=5)
        try:
            self._meet(key)
            return self._store.put(key, content, **conditions)  # type: ignore[no-any-return]
        finally:
            with self._gate:
                self.inside -= 1
                self.inside_bytes -= len(content)


def a_wide_home(folder: Path, *, at_once: int = AT_ONCE, **policy: Any) -> Home:
    """A home that publishes several at once."""
    return a_home(folder, policy=Policy(publish_at_once=at_once, **policy))


def many(home: Home, **changes: object) -> None:
    upsert_incidents(
        home.engine, [an_incident(incident_id=each, title=f"Case {each}", **changes) for each in MANY]
    )


def with_store(home: Home, store: Store) -> Engine:
    return replace(home.engine, documents=store)  # type: ignore[arg-type] # stands for the port


def story(home: Home) -> dict[str, object]:
    """What is stored, searchable and said at the end, whoever worked beside whom."""
    records = home.ledger.records(MANY)
    return {
        "states": {each: str(record.state) for each, record in records.items()},
        "fingerprints": {each: record.fingerprint for each, record in records.items()},
        "attempts": {record.attempts for record in records.values()},
        "objects": {
            head.key: head.etag for head in home.documents.list(begins="", cursor="", limit=100).items
        },
        "listed": home.listed(),
        "owed": home.ledger.read_value("job_owed"),
    }


def counts(report: Any) -> tuple[int, ...]:
    return (report.found, report.published, report.objects_written, report.indexed, report.withdrawn)


def test_eight_at_once_end_like_one_by_one_and_report_the_same(tmp_path: Path) -> None:
    """Counts, errors and the end do not tell how many worked at once."""
    ends = []
    for at_once in (1, AT_ONCE):
        home = a_wide_home(tmp_path / str(at_once), at_once=at_once)
        many(home)
        upsert_incidents(home.engine, [an_incident(incident_id=MANY[7], resolved_at="x" * 9, title=None)])
        first = sync_once(home.engine)
        reopen_incident(home.engine, MANY[0])
        delete_incident(home.engine, MANY[1])
        update_incident(home.engine, MANY[2], {"description": "edited"})
        second = sync_once(home.engine)
        ends.append((story(home), counts(first), counts(second), first.errors, second.errors))

    assert ends[0] == ends[1]


def test_puts_wait_beside_each_other_up_to_the_bound(tmp_path: Path) -> None:
    """Eight are in flight at once, and never a ninth."""
    home = a_wide_home(tmp_path)
    many(home)
    store = Store(home.documents, wait_for=AT_ONCE)

    sync_once(with_store(home, store))

    assert store.most_inside == AT_ONCE
    assert home.state(MANY[-1]) == "indexed"


def test_sidecar_stands_before_the_document_of_each_incident(tmp_path: Path) -> None:
    """Side by side or not, an incident's own effects keep their order."""
    home = a_wide_home(tmp_path)
    many(home)
    store = Store(home.documents, wait_for=AT_ONCE)

    sync_once(with_store(home, store))

    for each in MANY:
        own = [key for key in store.keys if key.startswith(f"incidents/{each}.md")]
        assert own == [f"incidents/{each}.md.metadata.json", f"incidents/{each}.md"]


def test_bytes_in_flight_are_bounded_and_one_larger_document_still_goes(tmp_path: Path) -> None:
    """A page of large documents is sent a few at a time; one that alone passes the bound goes by itself."""
    home = a_wide_home(tmp_path, publish_bytes=9_000)
    many(home, description="words " * 400)
    upsert_incidents(home.engine, [an_incident(incident_id=MANY[3], description="words " * 3_000)])
    store = Store(home.documents)

    sync_once(with_store(home, store))

    assert {home.state(each) for each in MANY} == {"indexed"}
    assert store.most_bytes < 20_000


def test_s3_that_slows_down_is_asked_for_half_as_much_and_the_rest_comes_later(tmp_path: Path) -> None:
    """A round of throttles is one step, not eight: the run goes on, slower, and the next run ends it."""
    home = a_wide_home(tmp_path)
    many(home)
    throttled = [0]

    def meet(_key: str) -> None:
        throttled[0] += 1
        if throttled[0] <= AT_ONCE:
            raise ThrottledError("slow down")

    store = Store(home.documents, meet, wait_for=AT_ONCE)
    report = sync_once(with_store(home, store))

    assert (report.published, report.pending, report.failed) == (len(MANY) - AT_ONCE, AT_ONCE, 0)
    assert report.status == "ok"
    assert home.clock.slept[0] == pytest.approx(0.2)
    home.clock.forward(minutes=10)
    assert sync_once(home.engine).published == AT_ONCE
    assert {record.attempts for record in home.ledger.records(MANY).values()} == {0}


def test_service_that_refuses_everything_ends_the_drain_with_nobody_blamed(tmp_path: Path) -> None:
    """Five rounds without one success are an outage, however many were in flight in each."""
    home = a_wide_home(tmp_path)
    many(home)

    def meet(_key: str) -> None:
        raise UnavailableError("no answer")

    store = Store(home.documents, meet)
    report = sync_once(with_store(home, store))

    assert report.status == "degraded"
    assert any("refusals, the last" in message for message in report.messages)
    assert {record.attempts for record in home.ledger.records(MANY).values()} == {0}
    home.clock.forward(minutes=10)
    sync_once(home.engine)
    assert {home.state(each) for each in MANY} == {"indexed"}


def test_error_that_ends_the_run_waits_for_what_is_in_flight_and_stores_it(tmp_path: Path) -> None:
    """What was put beside the failing call is in the ledger; nothing new was begun."""
    home = a_wide_home(tmp_path)
    many(home)

    failed = threading.Event()

    def meet(key: str) -> None:
        if key == f"incidents/{MANY[2]}.md.metadata.json":
            failed.set()
            raise AccessDeniedError("no leave", hint="allow it")
        failed.wait(5)

    store = Store(home.documents, meet, wait_for=AT_ONCE)
    with pytest.raises(AccessDeniedError):
        sync_once(with_store(home, store))

    states = [home.state(each) for each in MANY]
    assert states[2] == "pending"
    stored_keys = home.keys()
    stored = [each for each in MANY if f"incidents/{each}.md" in stored_keys]
    assert stored == [each for each, state in zip(MANY, states, strict=True) if state == "published"]
    assert len(stored) == AT_ONCE - 1


@pytest.mark.parametrize("at_once", [1, AT_ONCE])
def test_deadline_within_a_page_leaves_the_rest_to_the_next_run(tmp_path: Path, at_once: int) -> None:
    """Slow calls are not begun after the deadline, even in the middle of a page; nothing is lost."""
    home = a_wide_home(tmp_path, at_once=at_once)
    many(home)
    deadline = home.clock.at + timedelta(minutes=1)

    def meet(key: str) -> None:
        if key.endswith(".md"):
            home.clock.forward(minutes=2)

    report = sync_once(with_store(home, Store(home.documents, meet)), deadline=deadline)

    assert 1 <= report.published <= at_once
    assert report.pending == len(MANY) - report.published
    home.clock.forward(minutes=10)
    sync_once(home.engine)
    assert {home.state(each) for each in MANY} == {"indexed"}


def test_many_threads_that_find_the_lease_short_renew_it_once(tmp_path: Path) -> None:
    """Each asks for leave before its call; one of them renews, the others find it done."""
    home = a_wide_home(tmp_path)
    home.clock.tick = timedelta()
    renewed = []

    class Ledger:
        def renew_lease(self, lease: Lease, *, now: datetime, seconds: float) -> Lease:
            renewed.append(now)
            return replace(lease, expires_at=now + timedelta(seconds=seconds))

    engine = replace(home.engine, ledger=Ledger())  # type: ignore[arg-type] # only this call is made
    lease = PublisherLease(engine, Lease("publisher", "run", 1, home.clock.at + timedelta(seconds=30)))
    threads = [threading.Thread(target=lease.ensure) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(renewed) == 1


def test_lease_lost_in_one_hand_ends_the_run_and_marks_what_it_had_done(tmp_path: Path) -> None:
    """A put that outlasted the lease is looked at again by the new publisher; no other is begun."""
    home = a_wide_home(tmp_path)
    many(home)
    taken: list[Lease] = []
    is_taken = threading.Event()

    def meet(key: str) -> None:
        if key == f"incidents/{MANY[0]}.md.metadata.json":
            home.clock.forward(minutes=10)
            rival = a_home(tmp_path, clock=home.clock)
            taken.append(
                rival.ledger.acquire_lease(
                    "publisher", "rival", now=home.clock(), seconds=120, grace_seconds=60
                )
            )
            is_taken.set()
        is_taken.wait(5)

    with pytest.raises(LeaseLostError):
        sync_once(with_store(home, Store(home.documents, meet, wait_for=AT_ONCE)))

    home.ledger.release_lease(taken[0])
    home.clock.forward(minutes=10)
    sync_once(home.engine)
    assert {home.state(each) for each in MANY} == {"indexed"}


FAULTS: list[dict[str, Callable[[], BaseException]]] = [
    {"before": KilledError},
    {"after": KilledError},
    {"after": lambda: UnavailableError("reply lost")},
]


@pytest.mark.slow
def test_fault_beside_others_at_any_effect_then_a_run_ends_in_the_unbroken_state(tmp_path: Path) -> None:
    """P7 with eight at once: whichever effect is the n-th in time, killed or unanswered, the end is the same.

    Slow: some twenty homes are built, broken and repaired; each effect meets one of the kinds of fault.
    """

    def prepared(name: str) -> Home:
        home = a_wide_home(tmp_path / name)
        upsert_incidents(home.engine, [an_incident(incident_id=each, title=each) for each in MANY[:2]])
        sync_once(home.engine)
        upsert_incidents(home.engine, [an_incident(incident_id=each, title=each) for each in MANY[2:4]])
        update_incident(home.engine, MANY[0], {"description": "edited"})
        reopen_incident(home.engine, MANY[1])
        return home

    whole, watched = prepared("whole"), Faults()
    sync_once(with_faults(whole.engine, watched))
    expected = story(whole)
    for n in range(1, watched.seen + 1):
        home = prepared(str(n))
        with contextlib.suppress(KilledError, UnavailableError):
            sync_once(with_faults(home.engine, Faults(at=n, **FAULTS[n % len(FAULTS)])))
        for _ in range(3):
            home.clock.forward(minutes=10)
            sync_once(home.engine)

        assert story(home) == expected, f"effect {n}, fault {n % len(FAULTS)}"


def test_pace_halves_once_a_window_and_grows_by_one_a_round() -> None:
    pace = Pace(most=16, most_bytes=100)

    cuts = [pace.was_refused(0) for _ in range(16)]

    assert (cuts.count(True), pace.at_once, pace.refusals_in_a_row) == (1, 8.0, 1)
    for _ in range(8):
        pace.went_well()
    assert 8.5 < pace.at_once <= 9
    for _ in range(1_000):
        pace.went_well()
    assert pace.at_once == 16


def test_pace_never_falls_below_one_and_tells_an_outage() -> None:
    pace = Pace(most=2, most_bytes=100)

    for window in range(OUTAGE_AFTER_REFUSALS):
        assert not pace.is_outage
        pace.was_refused(window)

    assert (pace.at_once, pace.is_outage, pace.pause_seconds) == (1.0, True, pytest.approx(3.2))
    assert pace.has_room(0, 0, 500)
    assert not pace.has_room(1, 0, 1)


def test_lease_that_another_thread_has_renewed_meanwhile_is_not_renewed_again(home: Home) -> None:
    """Of many threads that ask at once one renews; the others, let in after it, find enough of it left."""
    lease = PublisherLease(home.engine, Lease("publisher", "run", 1, home.clock.at + timedelta(seconds=30)))

    class Waited:
        """The lock, given to us when another thread has renewed."""

        def __enter__(self) -> None:
            lease.lease = replace(lease.lease, expires_at=home.clock.at + timedelta(seconds=600))

        def __exit__(self, *_: object) -> None:
            """Nothing to let go."""

    lease._renewing = Waited()  # type: ignore[assignment] # a lock, as far as `ensure` asks
    lease.ensure()

    assert lease.lease.generation == 1
    assert lease.lease.expires_at > home.clock.at + timedelta(seconds=500)
