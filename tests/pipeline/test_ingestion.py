"""Ingestion and confirmation: what the knowledge base has not proven is never said."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from builders import Home, an_incident
from kbsync.engine import Policy
from kbsync.errors import UnavailableError
from kbsync.knowledge import DocumentInfo, DocumentStatus, IngestionJob
from kbsync.local.faults import LocalFaults
from kbsync.model import State
from kbsync.pipeline.changes import reopen_incident, update_incident, upsert_incidents
from kbsync.pipeline.ingest import ACTIVE, OWED
from kbsync.pipeline.sync import sync_once
from kbsync.ports import Noted

OpenHome = Callable[..., Home]


def finish_all_jobs(home: Home) -> None:
    for job in home.knowledge_base.jobs(limit=10):
        while not home.knowledge_base.job(job.job_id).status.is_final:
            pass


def test_o_02_foreign_job_is_waited_for_and_ours_follows(home: Home) -> None:
    """O-02: a job that may have scanned before our put proves nothing; ours follows it in the same run."""
    upsert_incidents(home.engine, [an_incident()])
    foreign = home.knowledge_base.start_job(description="somebody else", client_token="f" * 40)

    report = sync_once(home.engine)

    jobs = home.knowledge_base.jobs(limit=10)
    assert (report.status, report.indexed) == ("ok", 1)
    assert [job.job_id == foreign.job_id for job in jobs] == [False, True]
    assert home.ledger.records(["INC-1001"])["INC-1001"].ingestion_job_id == jobs[0].job_id


def test_o_02_owed_job_is_started_by_a_later_run_with_nothing_new(home: Home) -> None:
    """O-02: a run that could not start its job owes it; the next starts it though it publishes nothing."""
    upsert_incidents(home.engine, [an_incident()])
    foreign = home.knowledge_base.start_job(description="somebody else", client_token="f" * 40)

    first = sync_once(home.engine, wait=False)
    assert (first.status, first.failed, home.state()) == ("ok", 0, "published")
    assert home.map_of()["synced"] is False
    finish_all_jobs(home)
    second = sync_once(home.engine)

    assert (second.found, second.objects_written, second.indexed) == (0, 0, 1)
    newest = home.knowledge_base.jobs(limit=1)[0]
    assert newest.job_id != foreign.job_id
    assert home.ledger.records(["INC-1001"])["INC-1001"].attempts == 0


def test_conflict_without_a_visible_job_is_a_wait(open_home: OpenHome) -> None:
    """A conflict whose job is not listed leaves everything owed, without a failure."""
    home = open_home(faults=LocalFaults(conflict=1))
    upsert_incidents(home.engine, [an_incident()])
    real = home.knowledge_base.jobs
    home.knowledge_base.jobs = lambda *, limit: []  # type: ignore[method-assign]  # noqa: ARG005

    first = sync_once(home.engine)
    home.knowledge_base.jobs = real  # type: ignore[method-assign]
    second = sync_once(home.engine)

    assert (first.status, first.failed) == ("ok", 0)
    assert second.indexed == 1


def test_o_03_complete_job_that_scanned_nothing_is_an_alarm_and_blames_nobody(open_home: OpenHome) -> None:
    """O-03: COMPLETE with zero scanned: degraded, points at bucket and prefix, alerted once."""
    home = open_home(faults=LocalFaults(zero_scan=True))
    upsert_incidents(home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])

    reports = [sync_once(home.engine) for _ in range(2)]

    assert [report.status for report in reports] == ["degraded", "degraded"]
    assert "prefix" in " ".join(reports[0].messages)
    assert [home.state(f"INC-{n}") for n in range(3)] == ["published"] * 3
    assert {r.attempts for r in home.ledger.records(["INC-0", "INC-1", "INC-2"]).values()} == {0}
    assert len(home.alerts()) == 1

    report = sync_once(open_home().engine)
    assert (report.status, report.indexed, report.objects_written) == ("ok", 3, 0)


def test_o_03_missing_statistics_are_unknown_and_documents_decide(open_home: OpenHome) -> None:
    """O-03: the statistics prove nothing either way."""
    home = open_home(faults=LocalFaults(statistics_missing=True))
    upsert_incidents(home.engine, [an_incident()])

    assert sync_once(home.engine).indexed == 1


def test_o_04_job_over_two_runs_costs_one_put_and_one_start(open_home: OpenHome) -> None:
    """O-04: a job that outlasts runs is looked at, not sent again."""
    home = open_home(faults=LocalFaults(delay_polls=2))
    upsert_incidents(home.engine, [an_incident()])

    reports = [sync_once(home.engine, wait=False) for _ in range(2)]
    last = sync_once(home.engine)

    assert sum(r.objects_written for r in [*reports, last]) == 2
    assert len(home.knowledge_base.jobs(limit=10)) == 1
    assert (last.indexed, home.ledger.records(["INC-1001"])["INC-1001"].attempts) == (1, 0)


def test_o_05_started_job_that_was_not_noted_is_adopted(home: Home) -> None:
    """O-05: killed between the start and the note: the job is found by listing; no second start."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine, wait=False)
    home.ledger.write_value(ACTIVE, "")
    home.ledger.write_value(OWED, "2026-03-10T11:00:00.000000Z")

    report = sync_once(home.engine)

    assert report.indexed == 1
    assert len(home.knowledge_base.jobs(limit=10)) == 1


def test_owed_job_that_somebody_ran_since_is_not_started_again(home: Home) -> None:
    """Anyone's complete job counts, if it started after what is owed."""
    upsert_incidents(home.engine, [an_incident()])
    real = home.knowledge_base.start_job
    home.knowledge_base.start_job = _unavailable  # type: ignore[method-assign, assignment]
    assert sync_once(home.engine).status == "degraded"
    home.knowledge_base.start_job = real  # type: ignore[method-assign]
    home.knowledge_base.start_job(description="by hand", client_token="h" * 40)
    finish_all_jobs(home)

    report = sync_once(home.engine)

    assert report.indexed == 1
    assert len(home.knowledge_base.jobs(limit=10)) == 1


def _unavailable(*_: object, **__: object) -> IngestionJob:
    raise UnavailableError("503")


def test_failed_job_blames_nobody_and_is_owed_again(open_home: OpenHome) -> None:
    """A job that fails as a whole: degraded, no attempts, the next run starts another."""
    home = open_home(faults=LocalFaults(job_fails=1))
    upsert_incidents(home.engine, [an_incident()])

    first = sync_once(home.engine)
    second = sync_once(home.engine)

    assert (first.status, first.failed, home.state()) == ("degraded", 0, "indexed")
    assert (second.status, second.objects_written, second.indexed) == ("ok", 0, 1)
    assert home.ledger.records(["INC-1001"])["INC-1001"].attempts == 0


def scripted(home: Home, *answers: DocumentStatus | None) -> None:
    """Let the knowledge base say these things of INC-1001, one a look, the last for ever."""
    real, left = home.knowledge_base.documents, list(answers)

    def documents(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        status = left.pop(0) if len(left) > 1 else left[0]
        infos = real(keys)
        key = "incidents/INC-1001.md"
        if key in infos and status is None:
            del infos[key]
        elif key in infos and status is not None:
            infos[key] = replace(infos[key], status=status)
        return infos

    home.knowledge_base.documents = documents  # type: ignore[method-assign]


def test_o_08_removal_is_polled_until_it_is_gone(home: Home) -> None:
    """O-08: INDEXED, INDEXED, DELETING, NOT_FOUND ends withdrawn in the same run."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    status = DocumentStatus
    scripted(home, status.INDEXED, status.INDEXED, status.DELETING, status.NOT_FOUND)

    report = sync_once(home.engine)

    assert (report.status, report.pending, home.state()) == ("ok", 0, "withdrawn")


def test_o_08_removal_that_never_ends_stays_pending(home: Home) -> None:
    """O-08: INDEXED for ever is reported as pending, within a bound, and tried in each run."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    scripted(home, DocumentStatus.INDEXED)

    reports = [sync_once(home.engine) for _ in range(2)]

    assert [r.pending for r in reports] == [1, 1]
    assert home.state() == "withdrawing"


def test_o_32_unmentioned_document_stays_pending_and_the_others_go_on(home: Home) -> None:
    """O-32: INDEXED, FAILED, and one left out: only the confirmed one changes state."""
    ids = ["INC-1", "INC-2", "INC-1001"]
    upsert_incidents(home.engine, [an_incident(incident_id=each) for each in ids])
    scripted(home, None)

    report = sync_once(home.engine)

    assert (report.indexed, report.pending, report.failed) == (2, 1, 0)
    assert home.state() == "published"


@pytest.mark.parametrize(
    "status",
    [DocumentStatus.FAILED, DocumentStatus.IGNORED, DocumentStatus.PARTIALLY_INDEXED],
)
def test_refusals_count_an_attempt_and_are_put_again(home: Home, status: DocumentStatus) -> None:
    """A partly indexed document is not searchable as a whole: it is refused, with the word that was said."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])
    scripted(home, status, DocumentStatus.INDEXED)

    first = sync_once(home.engine)
    second = sync_once(home.engine)

    assert (first.failed, first.indexed) == (1, 1)
    assert str(status) in first.errors[0].error
    assert (second.indexed, home.state()) == (1, "indexed")


def test_document_still_in_progress_waits(home: Home) -> None:
    """PENDING and the like are neither proof nor failure."""
    upsert_incidents(home.engine, [an_incident()])
    scripted(home, DocumentStatus.IN_PROGRESS)

    report = sync_once(home.engine)

    assert (report.status, report.failed, report.pending, home.state()) == ("ok", 0, 1, "published")


def test_one_document_absent_among_indexed_ones_is_its_own_failure(home: Home) -> None:
    """Ignored documents are simply not listed: a covering job without it counts an attempt."""
    upsert_incidents(home.engine, [an_incident(), *[an_incident(incident_id=f"INC-{n}") for n in range(4)]])
    scripted(home, DocumentStatus.NOT_FOUND)

    report = sync_once(home.engine)

    assert (report.indexed, report.failed) == (4, 1)
    assert "does not list" in report.errors[0].error


def test_older_time_is_decided_by_retrieving_this_very_content(home: Home) -> None:
    """Where only `updatedAt` is older, what the knowledge base returns for id and body hash decides."""
    upsert_incidents(home.engine, [an_incident()])
    real = home.knowledge_base.documents

    def older(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        return {
            key: replace(info, updated_at=info.updated_at and info.updated_at - timedelta(hours=1))
            for key, info in real(keys).items()
        }

    home.knowledge_base.documents = older  # type: ignore[method-assign]

    assert sync_once(home.engine).indexed == 1


def test_older_time_and_other_content_stays_pending(home: Home) -> None:
    """P2: an INDEXED of the version before is not this version's."""
    upsert_incidents(home.engine, [an_incident()])
    real, retrieve = home.knowledge_base.documents, home.knowledge_base.retrieve

    def unknown_time(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        return {key: replace(info, updated_at=None) for key, info in real(keys).items()}

    home.knowledge_base.documents = unknown_time  # type: ignore[method-assign]
    home.knowledge_base.retrieve = lambda *_, **__: []  # type: ignore[method-assign]
    report = sync_once(home.engine)
    home.knowledge_base.retrieve = retrieve  # type: ignore[method-assign]

    assert (report.indexed, report.pending, home.state()) == (0, 1, "published")


def test_edit_between_publishing_and_confirmation_is_published_again(home: Home) -> None:
    """P2: what changed since is not confirmed with the old content; no false `synced: true`."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine, wait=False)
    stored = home.incidents.read(["INC-1001"])["INC-1001"]
    home.incidents.put_as_other_writer({**stored.attributes, "description": "Edited by another program"})

    first = sync_once(home.engine)
    assert (first.indexed, home.map_of()["synced"]) == (0, False)
    second = sync_once(home.engine)

    assert second.indexed == 1
    assert "Edited by another program" in home.knowledge_base.retrieve("edited", limit=1)[0].text


def test_o_16_deleted_between_publishing_and_confirmation_is_not_resurrected(home: Home) -> None:
    """O-16: no phantom item; what was written of it is withdrawn."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])
    sync_once(home.engine, wait=False)
    home.incidents.delete_as_other_writer("INC-1001")

    for _ in range(2):
        sync_once(home.engine)

    assert home.incidents.read(["INC-1001"]) == {}
    assert home.found("pool exhausted") == ["INC-2"]
    assert home.state() == "withdrawn"


def test_status_written_by_another_while_confirming_goes_back_to_the_publisher(home: Home) -> None:
    """The last write is conditional: an incident that changed in that moment is looked at again."""
    upsert_incidents(home.engine, [an_incident()])
    write = home.incidents.write_sync_statuses
    home.incidents.write_sync_statuses = lambda writes: [Noted.CHANGED] * len(writes)  # type: ignore[method-assign]
    sync_once(home.engine)
    home.incidents.write_sync_statuses = write  # type: ignore[method-assign]
    assert home.map_of()["synced"] is False

    report = sync_once(home.engine)

    assert (report.objects_written, report.indexed, home.map_of()["synced"]) == (0, 1, True)


def test_indexed_incident_whose_map_was_reset_says_synced_again_without_a_put_or_job(home: Home) -> None:
    """O-15: the same content, closed again by the original's snippet: no put, no job, `synced: true`."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    update_incident(home.engine, "INC-1001", {"note": "x"})
    stored = home.incidents.read(["INC-1001"])["INC-1001"]
    home.incidents.put_as_other_writer({**stored.attributes, "kb_sync_status": {"synced": False}})

    report = sync_once(home.engine)

    assert (report.objects_written, home.map_of()["synced"]) == (0, True)
    assert len(home.knowledge_base.jobs(limit=10)) == 1


def test_removal_by_a_forced_holder_is_looked_at_one_lease_later(home: Home) -> None:
    """Withdrawn needs a look after anything a replaced, still living publisher could put back."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    home.ledger.acquire_lease("publisher", "stalled", now=home.clock(), seconds=120, grace_seconds=60)
    home.clock.forward(seconds=181)

    first = sync_once(home.engine)
    assert (first.pending, home.state()) == (1, "withdrawing")
    home.clock.forward(seconds=121)
    sync_once(home.engine)

    assert home.state() == "withdrawn"


def test_object_put_back_by_a_stalled_publisher_is_withdrawn_again(home: Home) -> None:
    """Gone means that both objects are absent when we look; otherwise the removal starts again."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    real, put_back = home.knowledge_base.documents, []

    def documents(keys: Sequence[str]) -> dict[str, DocumentInfo]:
        if not put_back:
            put_back.append(1)
            home.documents.put(
                "incidents/INC-1001.md", b"# old\n", fingerprint="f", incident_id="INC-1001", if_etag=""
            )
        return real(keys)

    home.knowledge_base.documents = documents  # type: ignore[method-assign]
    for _ in range(3):
        sync_once(home.engine)

    assert (home.keys(), home.listed(), home.state()) == (set(), set(), "withdrawn")


def test_closed_again_while_withdrawing_is_published(home: Home) -> None:
    """A change of desired state is allowed from every state."""
    upsert_incidents(home.engine, [an_incident()])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    sync_once(home.engine, wait=False)
    assert home.state() == "withdrawing"
    update_incident(home.engine, "INC-1001", {"status": "CLOSED"})

    sync_once(home.engine)

    assert (home.state(), home.found("pool exhausted")) == ("indexed", ["INC-1001"])


def test_closed_again_but_unreadable_while_withdrawing_finishes_the_removal_first(home: Home) -> None:
    """What is half removed is removed before the failure is counted."""
    upsert_incidents(home.engine, [an_incident(), an_incident(incident_id="INC-2")])
    sync_once(home.engine)
    reopen_incident(home.engine, "INC-1001")
    sync_once(home.engine, wait=False)
    update_incident(home.engine, "INC-1001", {"status": "CLOSED", "title": {"x": b"1"}})

    for _ in range(5):
        sync_once(home.engine)

    assert home.ledger.records(["INC-1001"])["INC-1001"].state is State.QUARANTINED
    assert home.found("pool exhausted") == ["INC-2"]


def test_waiting_is_bounded_by_the_policy(open_home: OpenHome) -> None:
    """A job that never ends costs at most `wait_seconds`; the run then says what it left."""
    home = open_home(policy=Policy(wait_seconds=30), faults=LocalFaults(delay_polls=100_000))
    home.clock.tick = timedelta(seconds=1)
    upsert_incidents(home.engine, [an_incident()])

    report = sync_once(home.engine)

    assert (report.status, report.pending) == ("ok", 1)
    assert "the next run goes on" in " ".join(report.messages)


def test_noted_job_that_the_knowledge_base_does_not_know_is_forgotten(home: Home) -> None:
    """Another knowledge base was configured: the note is dropped and the owed job starts."""
    upsert_incidents(home.engine, [an_incident()])
    home.ledger.write_value(ACTIVE, "NEVER-GIVEN")

    assert sync_once(home.engine).indexed == 1
    assert home.ledger.read_value(ACTIVE) == ""
