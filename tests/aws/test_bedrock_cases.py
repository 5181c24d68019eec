"""CASES.md, sections A and C, through the whole pipeline on S3 and Bedrock."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bedrock_double.homes import AwsHome
from builders import an_incident
from kbsync.engine import Policy
from kbsync.errors import JobAlreadyRunningError
from kbsync.knowledge import DocumentStatus
from kbsync.local.faults import LocalFaults
from kbsync.model import State, sidecar_key
from kbsync.pipeline.changes import delete_incident, reopen_incident, upsert_incidents
from kbsync.pipeline.ingest import ACTIVE, OWED
from kbsync.pipeline.sync import sync_once

pytest_plugins = ["bedrock_double.fixtures"]

FOREIGN = "f" * 40


def sidecar_of(home: AwsHome, incident_id: str) -> dict[str, Any]:
    sidecar = json.loads(home.documents.get(sidecar_key(home.record(incident_id).document_key)))
    attributes: dict[str, Any] = sidecar["metadataAttributes"]
    return attributes


def found(home: AwsHome, incident_id: str) -> list[str]:
    """Return the ids of what a search filtered on this id finds."""
    wanted = {"equals": {"key": "incident_id", "value": incident_id}}
    hits = home.knowledge_base.retrieve("", limit=10, filter=wanted)
    return [str(hit.metadata["incident_id"]) for hit in hits]


def finish_all_jobs(home: AwsHome) -> None:
    for job in home.knowledge_base.jobs(limit=10):
        while not home.knowledge_base.job(job.job_id).status.is_final:
            pass


def withdraw_to_the_end(home: AwsHome) -> None:
    """Run, wait until nothing can put the object back, run again."""
    sync_once(home.engine)
    home.clock.sleep(home.engine.policy.lease_seconds + 10)
    sync_once(home.engine)


def test_o_01_what_is_published_is_of_a_kind_that_bedrock_reads(aws_home: AwsHome) -> None:
    """O-01: `.md` and its sidecar; nothing is counted as failed."""
    upsert_incidents(aws_home.engine, [an_incident(title="Conexión rechazada")])

    report = sync_once(aws_home.engine)

    (job,) = aws_home.knowledge_base.jobs(limit=5)
    assert (report.status, report.indexed) == ("ok", 1)
    assert aws_home.keys() == {"incidents/INC-1001.md", "incidents/INC-1001.md.metadata.json"}
    assert job.statistics is not None
    assert (job.statistics.scanned, job.statistics.failed) == (1, 0)


def test_o_02_foreign_job_is_waited_for_and_ours_follows(aws_home: AwsHome) -> None:
    """O-02: Bedrock answers 409; the foreign job may have scanned before our put, so it proves nothing."""
    upsert_incidents(aws_home.engine, [an_incident()])
    foreign = aws_home.knowledge_base.start_job(description="somebody else", client_token=FOREIGN)
    with pytest.raises(JobAlreadyRunningError):
        aws_home.knowledge_base.start_job(description="", client_token="g" * 40)

    report = sync_once(aws_home.engine)

    jobs = aws_home.knowledge_base.jobs(limit=5)
    assert (report.status, report.indexed, report.failed) == ("ok", 1, 0)
    assert jobs[-1].job_id == foreign.job_id
    assert aws_home.record().ingestion_job_id == jobs[0].job_id != foreign.job_id


def test_o_02_run_with_nothing_new_starts_the_job_that_is_owed(aws_home: AwsHome) -> None:
    """O-02: no attempt, no alert, and the next run starts a job although it uploads nothing."""
    upsert_incidents(aws_home.engine, [an_incident()])
    aws_home.knowledge_base.start_job(description="somebody else", client_token=FOREIGN)

    first = sync_once(aws_home.engine, wait=False)
    synced_after_first = aws_home.synced()
    finish_all_jobs(aws_home)
    second = sync_once(aws_home.engine)

    assert (first.status, first.failed, synced_after_first) == ("ok", 0, False)
    assert (second.objects_written, second.indexed) == (0, 1)
    assert (aws_home.record().attempts, aws_home.alerts()) == (0, [])


@pytest.mark.parametrize("statistics_missing", [False, True], ids=["zeros", "none"])
def test_o_03_complete_job_that_scanned_nothing_proves_nothing(
    aws_home: AwsHome, *, statistics_missing: bool
) -> None:
    """O-03: three documents up, COMPLETE with zeros or without counts: not synced, one alert, degraded."""
    aws_home.subject.open(LocalFaults(zero_scan=True, statistics_missing=statistics_missing))
    upsert_incidents(aws_home.engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])

    reports = [sync_once(aws_home.engine) for _ in range(2)]

    assert [report.status for report in reports] == ["degraded", "degraded"]
    assert "prefix" in " ".join(reports[0].messages)
    assert [aws_home.synced(f"INC-{n}") for n in range(3)] == [False] * 3
    assert len(aws_home.alerts()) == 1


def test_o_04_job_over_two_runs_costs_one_put_and_one_start(aws_home: AwsHome) -> None:
    """O-04: a job that outlasts runs is looked at, not sent again."""
    aws_home.subject.open(LocalFaults(delay_polls=2))
    upsert_incidents(aws_home.engine, [an_incident()])

    reports = [sync_once(aws_home.engine, wait=False) for _ in range(2)]
    last = sync_once(aws_home.engine)

    assert sum(report.objects_written for report in [*reports, last]) == 2
    assert aws_home.double.calls["StartIngestionJob"] == 1
    assert (last.indexed, aws_home.record().attempts) == (1, 0)


@pytest.mark.parametrize(("job_seconds", "runs"), [(2, 1), (4_000, 2)], ids=["short", "outlasts the run"])
def test_o_04_job_by_the_clock_is_seen_through_or_left_to_the_next_run(
    aws_home: AwsHome, job_seconds: float, runs: int
) -> None:
    """O-04: two seconds end in the run; more than a run may wait end in a later one, with one start."""
    aws_home.double.switches.job_seconds = job_seconds
    engine = replace(aws_home.engine, policy=Policy(wait_seconds=60))
    upsert_incidents(engine, [an_incident(incident_id=f"INC-{n}") for n in range(3)])

    reports = [sync_once(engine)]
    if runs > 1:
        aws_home.clock.sleep(job_seconds)
        reports.append(sync_once(engine))

    assert [report.indexed for report in reports] == [0] * (runs - 1) + [3]
    assert [report.status for report in reports] == ["ok"] * runs
    assert aws_home.double.calls["StartIngestionJob"] == 1
    assert [aws_home.synced(f"INC-{n}") for n in range(3)] == [True] * 3


def test_o_05_job_that_was_started_and_not_noted_is_adopted(aws_home: AwsHome) -> None:
    """O-05: the run id in the job's description, a listing, and no second start."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine, wait=False)
    aws_home.ledger.write_value(ACTIVE, "")
    aws_home.ledger.write_value(OWED, "2026-03-10T11:00:00.000000Z")

    report = sync_once(aws_home.engine)

    (job,) = aws_home.knowledge_base.jobs(limit=5)
    assert report.indexed == 1
    assert job.description.startswith("kbsync run ")


def test_o_06_sidecar_of_many_tags_stays_below_the_live_limit(aws_home: AwsHome) -> None:
    """O-06: measured in UTF-8 bytes: 1,024 of them on S3 Vectors, where one more costs the document."""
    object.__setattr__(aws_home.double.place, "store", "S3_VECTORS")  # the place is frozen
    tags = [f"{'ñ' * 8}{n:02x}" for n in range(150)]
    upsert_incidents(aws_home.engine, [an_incident(tags=tags)])

    report = sync_once(aws_home.engine)

    document = aws_home.documents.get("incidents/INC-1001.md").decode()
    assert (report.status, report.indexed) == ("ok", 1)
    assert all(tag in document for tag in tags)
    assert sidecar_of(aws_home, "INC-1001")["severity"] == "high"


def test_o_06_document_with_a_sidecar_over_the_limit_is_ignored_with_its_reason(aws_home: AwsHome) -> None:
    """O-06: what we are safe from: somebody else's sidecar of 1,100 bytes is refused and not listed."""
    object.__setattr__(aws_home.double.place, "store", "S3_VECTORS")  # the place is frozen
    aws_home.subject.put("incidents/big.md", "# Big", {"text": "x" * 1_100})
    aws_home.knowledge_base.start_job(description="", client_token=FOREIGN)
    finish_all_jobs(aws_home)

    state = aws_home.knowledge_base.documents(["incidents/big.md"])["incidents/big.md"]

    assert state.status is DocumentStatus.IGNORED
    assert "1024 bytes" in state.reason
    assert aws_home.knowledge_base.list_documents(cursor="", limit=5).items == ()


def test_o_07_attribute_of_two_types_is_one_text_for_all(aws_home: AwsHome) -> None:
    """O-07: a numeric and a textual external id live in one index, and both are found as texts."""
    incidents = [
        an_incident(incident_id="INC-A", external_id=1234, severity=1),
        an_incident(incident_id="INC-B", external_id="7c0e-19b", severity="high"),
    ]
    upsert_incidents(aws_home.engine, incidents)

    report = sync_once(aws_home.engine)

    hits = {
        value: aws_home.knowledge_base.retrieve(
            "", limit=5, filter={"equals": {"key": "external_id", "value": value}}
        )
        for value in ("1234", "7c0e-19b")
    }
    assert report.indexed == 2
    assert [[hit.metadata["incident_id"] for hit in each] for each in hits.values()] == [["INC-A"], ["INC-B"]]


def test_o_08_removal_counts_only_when_bedrock_says_not_found(aws_home: AwsHome) -> None:
    """O-08: INDEXED until the job, DELETING while it runs, then NOT_FOUND: only then withdrawn."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine)
    reopen_incident(aws_home.engine, "INC-1001")

    first = sync_once(aws_home.engine, wait=False)
    state_between = aws_home.record().state
    withdraw_to_the_end(aws_home)

    assert (first.withdrawn, state_between) == (1, State.WITHDRAWING)
    assert aws_home.record().state is State.WITHDRAWN
    assert aws_home.keys() == set()
    assert found(aws_home, "INC-1001") == []


def test_o_08_removal_that_never_ends_stays_pending(aws_home: AwsHome) -> None:
    """O-08: DELETING for ever is reported as pending, within a bound, and never as done."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine)
    aws_home.double.switches.deletions_stuck = True
    reopen_incident(aws_home.engine, "INC-1001")
    withdraw_to_the_end(aws_home)

    report = sync_once(aws_home.engine)

    assert report.pending == 1
    assert aws_home.record().state is State.WITHDRAWING


def test_o_20_accents_reach_the_sidecar_whole(aws_home: AwsHome) -> None:
    """O-20: the put succeeds, and search knows the true id and source."""
    upsert_incidents(aws_home.engine, [an_incident(incident_id="INC-Ñ-7", source_system="gestión")])

    report = sync_once(aws_home.engine)

    sidecar = sidecar_of(aws_home, "INC-Ñ-7")
    assert (report.indexed, sidecar["incident_id"], sidecar["source_system"]) == (1, "INC-Ñ-7", "gestión")
    assert found(aws_home, "INC-Ñ-7") == ["INC-Ñ-7"]


def test_o_21_dot_segments_stay_under_the_prefix_and_neighbours_sync(aws_home: AwsHome) -> None:
    """O-21: nothing outside incidents/ is written, and every id has a document of its own."""
    ids = ["../../outside", "..", ".", "a/../../b", "a\\..\\b", "INC-1001"]
    upsert_incidents(aws_home.engine, [an_incident(incident_id=each) for each in ids])

    report = sync_once(aws_home.engine)

    assert (report.indexed, report.failed) == (len(ids), 0)
    keys = aws_home.keys()
    assert len(keys) == 2 * len(ids)
    assert all(key.startswith("incidents/") and ".." not in key for key in keys)
    assert [found(aws_home, each) for each in ids] == [[each] for each in ids]


def test_o_22_ids_that_clean_to_one_name_are_five_documents(aws_home: AwsHome) -> None:
    """O-22: each document names its own id."""
    ids = ["INC/1", "INC_1", "INC:1", "INC 1", "INC%2F1"]
    upsert_incidents(aws_home.engine, [an_incident(incident_id=each) for each in ids])

    report = sync_once(aws_home.engine)

    assert report.indexed == 5
    assert [sidecar_of(aws_home, each)["incident_id"] for each in ids] == ids


def test_o_23_ids_longer_than_a_key_are_synced_under_short_keys(aws_home: AwsHome) -> None:
    """O-23: S3 takes 1,024 bytes; ids with the same first thousand characters stay apart."""
    ids = ["é" * 600, "A" * 1_000, "A" * 1_000 + "B"]
    upsert_incidents(aws_home.engine, [an_incident(incident_id=each) for each in ids])

    report = sync_once(aws_home.engine)

    assert report.indexed == 3
    keys = aws_home.keys()
    assert len(keys) == 6
    assert max(len(key.encode()) for key in keys) <= 1_024


def test_o_24_ids_that_differ_in_case_are_two_documents(aws_home: AwsHome) -> None:
    """O-24: S3 tells case apart; our keys differ even where a copy of the bucket does not."""
    upsert_incidents(aws_home.engine, [an_incident(incident_id=each) for each in ("INC-abc", "inc-ABC")])

    report = sync_once(aws_home.engine)

    assert report.indexed == 2
    keys = aws_home.keys()
    assert len({key.lower() for key in keys}) == 4


def test_o_25_id_with_marks_of_links_is_found_and_removed_alone(aws_home: AwsHome) -> None:
    """O-25: the id shown is the original; removal takes its document and sidecar and nothing else."""
    marked = "INC#1?a+b%20c d"
    upsert_incidents(aws_home.engine, [an_incident(incident_id=marked), an_incident()])
    sync_once(aws_home.engine)
    shown = found(aws_home, marked)
    delete_incident(aws_home.engine, marked)

    withdraw_to_the_end(aws_home)

    assert shown == [marked]
    assert aws_home.keys() == {"incidents/INC-1001.md", "incidents/INC-1001.md.metadata.json"}
    assert (found(aws_home, marked), found(aws_home, "INC-1001")) == ([], ["INC-1001"])


def test_second_run_writes_nothing_and_starts_no_job(aws_home: AwsHome) -> None:
    """P4: unchanged bytes are neither put nor embedded again."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine)
    embedded = aws_home.double.ingestion.embedded_count

    report = sync_once(aws_home.engine)

    assert (report.objects_written, report.published) == (0, 0)
    assert aws_home.double.calls["StartIngestionJob"] == 1
    assert aws_home.double.ingestion.embedded_count == embedded


def test_metadata_alone_is_rewritten_without_embedding(aws_home: AwsHome) -> None:
    """A changed priority puts the sidecar alone; `synced` comes back when Bedrock has taken it."""
    upsert_incidents(aws_home.engine, [an_incident()])
    sync_once(aws_home.engine)
    embedded = aws_home.double.ingestion.embedded_count
    upsert_incidents(aws_home.engine, [an_incident(priority="P1")])

    report = sync_once(aws_home.engine)

    assert (report.metadata_only, report.published, report.indexed) == (1, 0, 1)
    assert aws_home.double.ingestion.embedded_count == embedded
    assert aws_home.knowledge_base.retrieve("pool", limit=1)[0].metadata["priority"] == "P1"
