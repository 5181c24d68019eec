"""What happens at the edges: leases that run short, bounds that are reached, a world that moves meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from builders import NOON, Home, an_incident
from kbsync.engine import Transform
from kbsync.errors import LeaseLostError
from kbsync.knowledge import DocumentInfo, DocumentStatus, IngestionJob
from kbsync.model import Mark, RunReport, Save, SaveOutcome, State
from kbsync.pipeline.changes import reopen_incident, upsert_incidents
from kbsync.pipeline.ingest import MAX_JOBS_PER_RUN, OWED
from kbsync.pipeline.lease import holding_lease
from kbsync.pipeline.mark import save_records
from kbsync.pipeline.run import MAX_ERRORS, MAX_FAILED_IDS, Run
from kbsync.pipeline.sync import sync_once
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.ports import KnowledgeBase
from kbsync.queueing import utc_text

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
