"""What happens at the edges: leases that run short, bounds that are reached, a world that moves meanwhile."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from builders import NOON, Home, a_home, an_incident
from faults import Faults, KilledError, with_faults
from kbsync.engine import Policy, Transform
from kbsync.errors import (
    AccessDeniedError,
    LeaseLostError,
    ThrottledError,
    UnavailableError,
    UsageError,
)
from kbsync.knowledge import DocumentInfo, DocumentStatus, IngestionJob
from kbsync.local.faults import LocalFaults
from kbsync.model import Mark, Save, SaveOutcome, State
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.confirm import confirm
from kbsync.pipeline.discover import turn_marking_on
from kbsync.pipeline.drain import drain_publish_queue
from kbsync.pipeline.failures import SYSTEMIC_RUNS
from kbsync.pipeline.ingest import MAX_JOBS_PER_RUN, OWED
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.mark import save_records
from kbsync.pipeline.run import MAX_ERRORS, MAX_FAILED_IDS, Run
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.ports import Alerts, DocumentStore, KnowledgeBase
from kbsync.queueing import due_until, utc_text
from kbsync.run_report import RunReport

OpenHome = Callable[..., Home]


class Over:
    """A port with some of its methods replaced; the rest is the real one's."""

    def __init__(self, port: object, **methods: object) -> None:
        self._port, self._methods = port, methods

    def __getattr__(self, name: str) -> object:
        return self._methods.get(name) or getattr(self._port, name)


def test_long_run_renews_its_lease(home: Home) -> None:
    """A run of many minutes keeps the lease that it took for two."""
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(4)])
    real = home.engine.transform

    def slow(stored: object) -> object:
        home.clock.forward(seconds=50)
        return real.desired(stored)  # type: ignore[arg-type]

    engine = replace(home.engine, transform=cast("Transform", Over(real, desired=slow)))

    report = sync_once(engine)

    assert (report.indexed, report.status) == (4, "ok")


def test_run_whose_lease_was_taken_writes_nothing_more(home: Home) -> None:
    """A stalled run that wakes up after a taker-over stops before its next put (DESIGN.md section 5)."""
    upsert_incidents(home.engine, [an_incident()])
    real = home.engine.transform

    def stalls(stored: object) -> object:
        home.clock.forward(minutes=10)
        home.ledger.acquire_lease("publisher", "other", now=home.clock(), seconds=120, grace_seconds=60)
        return real.desired(stored)  # type: ignore[arg-type]

    engine = replace(home.engine, transform=cast("Transform", Over(real, desired=stalls)))

    with pytest.raises(LeaseLostError, match="took the publisher lease over"):
        sync_once(engine)

    assert home.keys() == set()


def test_record_of_a_newer_publisher_stops_the_older_one(home: Home) -> None:
    """A write that a newer generation fences off ends the run."""
    home.ledger.mark([Mark("INC-1001", NOON)])
    record = home.ledger.records(["INC-1001"])["INC-1001"]
    assert home.ledger.save([Save(replace(record, generation=9), record.due)]) == [SaveOutcome.SAVED]
    with holding_lease(home.engine, "run-1") as lease:
        run = Run(home.engine, lease, RunReport(run_id="run-1", started_at=NOON), "")
        home.ledger.acquire_lease(
            "publisher", "run-2", now=NOON + timedelta(hours=1), seconds=120, grace_seconds=60
        )

        with pytest.raises(LeaseLostError):
            save_records(run, [(replace(record, fingerprint="old"), record.due)])

    assert home.ledger.records(["INC-1001"])["INC-1001"].fingerprint == ""


def test_report_holds_a_bounded_sample_of_many_errors(home: Home) -> None:
    """Counts are whole, samples are not; a message is said once (CASES O-41)."""
    with holding_lease(home.engine, "run-1") as lease:
        run = Run(home.engine, lease, RunReport(run_id="run-1", started_at=NOON), "")

        for n in range(MAX_FAILED_IDS + 1):
            run.fail(f"INC-{n}", "why")
            run.say("said once")

    assert run.report.failed == MAX_FAILED_IDS + 1
    assert len(run.report.errors) == MAX_ERRORS
    assert len(run.failures) == MAX_FAILED_IDS
    assert run.report.messages == ("said once",)


def test_knowledge_base_whose_clock_is_behind_costs_a_bounded_number_of_jobs(home: Home) -> None:
    """A job that says it began before our put proves nothing; the run gives up after a few."""
    upsert_incidents(home.engine, [an_incident()])
    real, behind = home.knowledge_base, timedelta(minutes=10)

    def late(job: IngestionJob) -> IngestionJob:
        return replace(job, started_at=job.started_at - behind)

    skewed = Over(
        real,
        start_job=lambda **given: late(real.start_job(**given)),
        job=lambda job_id: late(real.job(job_id)),
        jobs=lambda limit: [late(job) for job in real.jobs(limit=limit)],
    )

    report = sync_once(replace(home.engine, knowledge_base=cast("KnowledgeBase", skewed)))

    assert len(real.jobs(limit=20)) == MAX_JOBS_PER_RUN
    assert (report.indexed, report.pending, home.map_of()["synced"]) == (0, 1, False)


def test_job_starts_later_than_the_stores_clock_says_it_must(home: Home) -> None:
    """The document store's clock may be ahead of ours: the start waits for it."""
    upsert_incidents(home.engine, [an_incident()])
    ahead = home.clock.at + timedelta(seconds=4)
    home.ledger.write_value(OWED, utc_text(ahead))

    report = sync_once(home.engine)

    assert report.indexed == 1
    assert home.knowledge_base.jobs(limit=1)[0].started_at > ahead


def test_excluded_incident_is_counted_when_it_becomes_so_and_not_again(open_home: OpenHome) -> None:
    """Marking an excluded incident again changes nothing."""
    home = open_home(rules=TransformRules(exclude=(("category", ("database",)),)))
    upsert_incidents(home.engine, [an_incident()])
    first = sync_once(home.engine)
    home.ledger.mark([Mark("INC-1001", home.clock())])

    second = sync_once(home.engine)

    assert (first.excluded, second.excluded) == (1, 0)
    assert home.state() == "excluded"
    assert home.ledger.records(["INC-1001"])["INC-1001"].queue == ""


def test_withdrawn_incident_that_is_marked_again_stays_withdrawn(home: Home) -> None:
    """Editing a reopened incident leaves its story as it is."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    sync_once(home.engine)
    home.ledger.mark([Mark("INC-1001", home.clock())])
    before = home.ledger.records(["INC-1001"])["INC-1001"].transitions

    report = sync_once(home.engine)

    record = home.ledger.records(["INC-1001"])["INC-1001"]
    assert (report.withdrawn, record.state, record.queue) == (0, State.WITHDRAWN, "")
    assert record.transitions == before


def test_failed_incident_that_was_deleted_meanwhile_is_not_brought_back(home: Home) -> None:
    """The note of a failure is for an incident that exists (CASES O-16)."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])

    def refuses(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        home.incidents.delete_as_other_writer("INC-1001")
        answer = home.knowledge_base.documents(keys)
        key = "incidents/INC-1001.md"
        return {**answer, key: DocumentInfo(key, DocumentStatus.FAILED, NOON, "no")}

    refusing = cast("KnowledgeBase", Over(home.knowledge_base, documents=refuses))

    report = sync_once(replace(home.engine, knowledge_base=refusing))

    assert report.failed == 1
    assert home.incidents.read(["INC-1001"]) == {}
    home.clock.forward(minutes=5)
    sync_once(home.engine)
    assert (home.state(), home.state("INC-2")) == ("withdrawn", "indexed")


def test_document_that_never_becomes_visible_is_asked_for_a_few_times_only(home: Home) -> None:
    """A document on its way is pending, not awaited for ever."""
    upsert_incidents(home.engine, [an_incident()])
    asked: list[Sequence[str]] = []

    def starting(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        asked.append(keys)
        return {key: DocumentInfo(key, DocumentStatus.STARTING) for key in keys}

    slow = cast("KnowledgeBase", Over(home.knowledge_base, documents=starting))

    report = sync_once(replace(home.engine, knowledge_base=slow))

    assert (report.status, report.pending, len(asked)) == ("ok", 1, 5)
    assert sync_once(home.engine).indexed == 1


def test_time_without_a_zone_is_refused() -> None:
    """Nobody can say when it was, so it is never stored."""
    with pytest.raises(ValueError, match="time zone"):
        utc_text(datetime(2026, 3, 10))  # noqa: DTZ001 - the point of the test


def test_documents_that_linger_long_after_a_job_are_owed_another_one(home: Home) -> None:
    """Where clocks disagree, a job that seems to cover a removal ran before it; nothing waits for ever."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    key = "incidents/INC-1001.md"
    still = Over(
        home.knowledge_base,
        documents=lambda _: {key: DocumentInfo(key, DocumentStatus.INDEXED, NOON)},
    )
    seeing = replace(home.engine, knowledge_base=cast("KnowledgeBase", still))
    sync_once(seeing)
    assert len(home.knowledge_base.jobs(limit=9)) == 2
    home.clock.forward(minutes=5)
    sync_once(seeing)
    assert len(home.knowledge_base.jobs(limit=9)) == 2

    home.clock.forward(minutes=10)
    report = sync_once(seeing)
    sync_once(home.engine)

    assert "another is owed" in report.messages[0]
    assert len(home.knowledge_base.jobs(limit=9)) == 3
    assert home.state() == "withdrawn"


def denied(*_: object, **__: object) -> object:
    """Answer as a service that lacks a permission."""
    raise AccessDeniedError("AccessDenied", hint="allow it")


def test_error_that_ends_a_run_is_no_death_of_the_incident_in_hand(home: Home) -> None:
    """P5 and O-33: a missing permission for many runs costs nobody an attempt, and is told once."""
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])
    refusing = replace(home.engine, documents=cast("DocumentStore", Over(home.documents, put=denied)))
    for _ in range(8):
        with pytest.raises(AccessDeniedError):
            sync_once(refusing)
        home.clock.forward(minutes=5)

    assert home.ledger.runs(limit=1)[0].status == "failed"
    assert len(home.alerts()) == 1
    assert sync_once(home.engine).indexed == 3
    assert {home.ledger.records([f"INC-{n}"])[f"INC-{n}"].attempts for n in range(3)} == {0}


def test_withdrawal_is_never_given_up(home: Home) -> None:
    """P3: as long as a delete is refused the document stays to be withdrawn, never quarantined."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    deadly = Faults(at=0)
    for _ in range(8):
        engine = replace(home.engine, documents=cast("DocumentStore", Over(home.documents, delete=dies)))
        with suppress(KilledError):
            sync_once(with_faults(engine, deadly))
        home.clock.forward(minutes=10)
    assert home.state() == "withdrawing"

    for _ in range(4):
        home.clock.forward(minutes=10)
        sync_once(home.engine)

    assert (home.state(), home.keys()) == ("withdrawn", set())


def dies(*_: object, **__: object) -> object:
    """End the process, as the operating system does."""
    raise KilledError


def test_document_that_a_service_always_refuses_keeps_nobody_waiting(home: Home) -> None:
    """P5: refused entries go behind the others; after a few runs all healthy ones are searchable."""
    bad = [an_incident(incident_id=f"A-{n}") for n in range(5)]
    upsert_incidents(home.engine, [*bad, *[an_incident(incident_id=f"B-{n}") for n in range(6)]])

    def refuses_a(key: str, content: bytes, **given: object) -> object:
        if "/A-" in key:
            raise UnavailableError("503")
        return home.documents.put(key, content, **given)  # type: ignore[arg-type]

    refusing = replace(home.engine, documents=cast("DocumentStore", Over(home.documents, put=refuses_a)))
    for _ in range(3):
        sync_once(refusing)
        home.clock.forward(minutes=5)

    assert {home.state(f"B-{n}") for n in range(6)} == {"indexed"}
    assert {home.ledger.records([f"A-{n}"])[f"A-{n}"].attempts for n in range(5)} == {0}


def test_retrieval_that_cannot_filter_leaves_the_others_confirmed(home: Home) -> None:
    """A store without the filter proves nothing of one document, and ends nobody else's confirmation."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])

    def old(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        answer = home.knowledge_base.documents(keys)
        key = "incidents/INC-1001.md"
        return {**answer, key: DocumentInfo(key, DocumentStatus.INDEXED, NOON - timedelta(days=1))}

    def cannot(*_: object, **__: object) -> object:
        raise UsageError("no such filter")

    limited = cast("KnowledgeBase", Over(home.knowledge_base, documents=old, retrieve=cannot))

    report = sync_once(replace(home.engine, knowledge_base=limited))

    assert (report.indexed, report.pending) == (1, 1)
    assert "cannot prove" in report.messages[0]


def test_throttled_start_of_a_job_confirms_what_an_earlier_one_covers(home: Home) -> None:
    """Ingest and confirm fail apart: a quota on starting jobs holds up nothing that is proven."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine, wait=False)
    for job in home.knowledge_base.jobs(limit=1):
        while not home.knowledge_base.job(job.job_id).status.is_final:
            pass
    upsert_incidents(home.engine, [an_incident(incident_id="INC-2")])

    def throttled(**_: object) -> object:
        raise ThrottledError("402")

    slow = cast("KnowledgeBase", Over(home.knowledge_base, start_job=throttled))
    sync_once(replace(home.engine, knowledge_base=slow))

    assert home.state() == "indexed"


def test_one_document_that_is_never_listed_is_blamed_where_others_are(home: Home) -> None:
    """O-03's kind for one document: another is listed, so the prefix is right and this one is at fault."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    upsert_incidents(home.engine, [an_incident(incident_id="INC-2")])
    ignoring = a_home(home.folder, faults=LocalFaults(ignore_keys=("INC-2",)), clock=home.clock)
    for _ in range(3):
        sync_once(ignoring.engine)
        home.clock.forward(minutes=5)

    record = home.ledger.records(["INC-2"])["INC-2"]
    assert record.attempts == 3
    assert "does not list" in record.reason


def test_what_fails_as_a_whole_is_tried_less_and_less_often(open_home: OpenHome) -> None:
    """A quiet table of broken records costs a look an hour, not one every five minutes."""
    home = open_home(policy=Policy(backoff_seconds=300))
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}", title={"x": b"1"}) for n in range(5)])
    looks = 0
    for _ in range(36):
        looks += bool(sync_once(home.engine).found)
        home.clock.forward(minutes=5)

    assert looks <= 7
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}", title="mended") for n in range(5)])
    assert sync_once(home.engine).indexed == 5
    assert home.ledger.read_value(f"{SYSTEMIC_RUNS}:publish") == ""


def test_deadline_leaves_second_looks_and_confirmation_to_the_next_run(home: Home) -> None:
    """Time that is up is up in every loop."""
    upsert_incidents(home.engine, [an_incident()])
    report = RunReport(run_id="run-1", started_at=home.clock())
    with holding_lease(home.engine, "run-1") as lease:
        run = Run(home.engine, lease, report, due_until(home.clock()), deadline=home.clock())
        run.again = ["INC-1001"]
        drain_publish_queue(run)
        home.ledger.mark([Mark("INC-1001", NOON)])
        confirm(run)

    assert (run.report.found, run.report.indexed) == (0, 0)
    assert run.waiting >= 1


def test_status_that_counted_as_closed_before_is_found_again(open_home: OpenHome) -> None:
    """P1: a status taken out of CLOSED_STATUSES and put back is looked for again."""
    both, one = ("CLOSED", "RESOLVED"), ("CLOSED",)

    def opened(statuses: tuple[str, ...]) -> Home:
        rules = TransformRules(closed_statuses=statuses)
        return open_home(policy=Policy(closed_statuses=statuses), rules=rules)

    home = opened(both)
    turn_marking_on(home.engine, table_is_empty=True)
    upsert_incidents(home.engine, [an_incident(status="RESOLVED")])
    sync_once(home.engine)
    for statuses in (one, both):
        home = opened(statuses)
        for _ in range(3):
            home.clock.forward(minutes=10)
            sync_once(home.engine)

    assert home.state() == "indexed"


def test_alert_that_was_not_delivered_is_sent_by_the_next_run(home: Home) -> None:
    """What nobody has received is not remembered as told."""
    upsert_incidents(home.engine, [an_incident(title={"x": b"1"})])
    silent = replace(home.engine, alerts=cast("Alerts", Over(home.engine.alerts, send=denied)))

    report = sync_once(silent)
    sync_once(home.engine)

    assert "could not be delivered" in report.messages[-1]
    assert len(home.alerts()) == 1


def test_marks_in_more_shards_than_runs_read_are_read_all_the_same(open_home: OpenHome) -> None:
    """A writer with more shards tells the readers before its first mark."""
    writer = open_home(policy=Policy(shards=8))
    upsert_incidents(writer.engine, [an_incident(incident_id=f"INC-{n}") for n in range(10)])

    assert sync_once(open_home(policy=Policy(shards=1)).engine).indexed == 10


def test_what_is_put_well_and_always_refused_is_tried_less_and_less_often(open_home: OpenHome) -> None:
    """A model that nobody may call refuses all: puts that succeed are no reason to try every five minutes."""
    faults = LocalFaults(fail_keys=("INC-",))
    home = open_home(policy=Policy(backoff_seconds=300), faults=faults)
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(5)])

    puts = 0
    for _ in range(36):
        puts += sync_once(home.engine).objects_written
        home.clock.forward(minutes=5)

    assert puts <= 7 * 10
    assert {home.ledger.records([f"INC-{n}"])[f"INC-{n}"].attempts for n in range(5)} == {0}
