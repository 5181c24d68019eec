"""The KnowledgeBase port's contract, sentence by sentence, over every adapter named in the fixture."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bedrock_double.server import Server, running_server
from bedrock_double.subjects import BedrockSubject, ImpatientClients, clients_at, s3_at
from kbsync.errors import JobAlreadyRunningError, ThrottledError, UnavailableError, UsageError
from kbsync.knowledge import DocumentStatus, IngestionJob, JobStatus
from kbsync.local.embedder import HashEmbedder
from kbsync.local.faults import LocalFaults
from kbsync.local.knowledge_base import LocalKnowledgeBase
from kbsync.ports import KnowledgeBase

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TOKEN_A = "a" * 64
TOKEN_B = "b" * 64
MOST_POLLS = 50


class LocalSubject:
    """The embedded knowledge base with its folder; another adapter brings a class with the same methods."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / "documents"
        self._root.mkdir()
        self.time = NOON

    def now(self) -> datetime:
        """Return the clock's time, a second later each time."""
        self.time += timedelta(seconds=1)
        return self.time

    def open(self, faults: LocalFaults | None = None) -> KnowledgeBase:
        """Return a knowledge base over the same documents as any other that was opened."""
        path = self._folder / "knowledge_base.db"
        return LocalKnowledgeBase(
            path, self._root, "incidents/", HashEmbedder(), self.now, faults or LocalFaults()
        )

    def put(self, key: str, text: str, metadata: Mapping[str, object] | None = None) -> None:
        """Store a document, and its sidecar where metadata is given."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if metadata is not None:
            sidecar = json.dumps({"metadataAttributes": metadata})
            (path.parent / f"{path.name}.metadata.json").write_text(sidecar, encoding="utf-8")
        path.write_text(text, encoding="utf-8")

    def remove(self, key: str) -> None:
        """Remove a document and its sidecar."""
        path = self._root / key
        path.unlink()
        (path.parent / f"{path.name}.metadata.json").unlink(missing_ok=True)


Subject = LocalSubject | BedrockSubject


@pytest.fixture(scope="module")
def bedrock() -> Iterator[tuple[Server, ImpatientClients]]:
    """The double's server and the clients that reach it, for all tests of this module."""
    with running_server() as server:
        yield server, clients_at(server.address)
        assert server.violations == []


@pytest.fixture(params=["local", "aws"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    """One adapter over an empty folder or bucket."""
    if request.param == "local":
        return LocalSubject(tmp_path)
    s3 = s3_at(request.getfixturevalue("ministack"))
    server, clients = request.getfixturevalue("bedrock")
    return BedrockSubject(s3, server, clients)


def finished(knowledge_base: KnowledgeBase, job: IngestionJob) -> IngestionJob:
    """Poll a job until it is final."""
    for _ in range(MOST_POLLS):
        if job.status.is_final:
            return job
        job = knowledge_base.job(job.job_id)
    raise AssertionError(f"the job is still {job.status}")


def run_job(knowledge_base: KnowledgeBase, token: str = TOKEN_A) -> IngestionJob:
    """Start a job and poll it until it is final."""
    return finished(knowledge_base, knowledge_base.start_job(description="a run", client_token=token))


def test_started_job_is_not_final_and_ends_complete(subject: Subject) -> None:
    """A job is asynchronous: it starts unfinished and ends COMPLETE while it is looked at."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted")

    started = knowledge_base.start_job(description="kbsync run 7", client_token=TOKEN_A)
    ended = finished(knowledge_base, started)

    assert not started.status.is_final
    assert started.description == "kbsync run 7"
    assert ended.status is JobStatus.COMPLETE
    assert ended.started_at == started.started_at
    assert ended.updated_at > ended.started_at


def test_document_put_before_the_job_is_indexed_with_a_time_after_the_start(subject: Subject) -> None:
    """A document that is there when the job starts is INDEXED by it, no earlier than the job's start."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted", {"incident_id": "a"})

    job = run_job(knowledge_base)

    document = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"]
    assert document.status is DocumentStatus.INDEXED
    assert document.updated_at is not None
    assert document.updated_at >= job.started_at


def test_second_start_while_a_job_runs_is_refused(subject: Subject) -> None:
    """One job at a time: the second start raises and leaves the first as it was."""
    knowledge_base = subject.open()
    first = knowledge_base.start_job(description="first", client_token=TOKEN_A)

    with pytest.raises(JobAlreadyRunningError):
        knowledge_base.start_job(description="second", client_token=TOKEN_B)

    assert [job.job_id for job in knowledge_base.jobs(limit=10)] == [first.job_id]


def test_start_after_the_running_job_ended_starts_another(subject: Subject) -> None:
    """A finished job no longer stands in the way."""
    knowledge_base = subject.open()
    first = run_job(knowledge_base)

    second = run_job(knowledge_base, TOKEN_B)

    assert second.job_id != first.job_id


def test_conflict_with_a_foreign_job_passes_by_itself(subject: Subject) -> None:
    """O-02: while somebody else's job runs a start raises; afterwards the same start succeeds."""
    knowledge_base = subject.open(LocalFaults(conflict=1))
    with pytest.raises(JobAlreadyRunningError):
        knowledge_base.start_job(description="", client_token=TOKEN_A)

    assert run_job(knowledge_base).status is JobStatus.COMPLETE


def test_same_client_token_returns_the_earlier_job(subject: Subject) -> None:
    """A repeated token starts nothing, whether the earlier job runs or has ended."""
    knowledge_base = subject.open()
    first = knowledge_base.start_job(description="", client_token=TOKEN_A)

    while_running = knowledge_base.start_job(description="", client_token=TOKEN_A)
    finished(knowledge_base, first)
    after_the_end = knowledge_base.start_job(description="", client_token=TOKEN_A)

    assert {first.job_id} == {while_running.job_id, after_the_end.job_id}
    assert after_the_end.status is JobStatus.COMPLETE
    assert len(knowledge_base.jobs(limit=10)) == 1


@pytest.mark.parametrize("token", ["a" * 32, "a" * 257, "-" + "a" * 40, "a" * 40 + "-", "a b" * 20, "ñ" * 40])
def test_client_token_the_service_would_refuse_is_refused(subject: Subject, token: str) -> None:
    """A token is 33 to 256 letters, digits and inner hyphens (AWS_FACTS.md, section 3)."""
    knowledge_base = subject.open()

    with pytest.raises(ValueError, match="client token"):
        knowledge_base.start_job(description="", client_token=token)


def test_unknown_job_raises_key_error(subject: Subject) -> None:
    """An id that was never given is a KeyError."""
    knowledge_base = subject.open()

    with pytest.raises(KeyError):
        knowledge_base.job("NEVERGIVEN")


def test_jobs_are_newest_first_limited_and_without_reasons(subject: Subject) -> None:
    """A listing shows the newest jobs; failure reasons come with the job itself only."""
    knowledge_base = subject.open(LocalFaults(fail_keys=("bad",)))
    subject.put("incidents/bad.md", "# Bad")
    runs = [run_job(knowledge_base, token * 64) for token in "abc"]

    listed = knowledge_base.jobs(limit=2)

    assert [job.job_id for job in listed] == [runs[2].job_id, runs[1].job_id]
    assert all(job.failure_reasons == () for job in listed)
    assert knowledge_base.job(runs[2].job_id).failure_reasons != ()


def test_every_key_asked_is_answered_not_found_included(subject: Subject) -> None:
    """Status of a key without a document is NOT_FOUND, not an error."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted")
    run_job(knowledge_base)

    answer = knowledge_base.documents(["incidents/a.md", "incidents/none.md"])

    assert answer["incidents/a.md"].status is DocumentStatus.INDEXED
    assert answer["incidents/none.md"].status is DocumentStatus.NOT_FOUND
    assert answer["incidents/none.md"].updated_at is None


def test_listing_pages_through_every_document_once(subject: Subject) -> None:
    """Following the cursor until it is empty shows each document exactly once."""
    knowledge_base = subject.open()
    keys = {f"incidents/{name}.md" for name in "abcde"}
    for key in keys:
        subject.put(key, f"# Document {key}")
    run_job(knowledge_base)

    seen: list[str] = []
    cursor = ""
    for _ in range(MOST_POLLS):
        page = knowledge_base.list_documents(cursor=cursor, limit=2)
        seen.extend(document.key for document in page.items)
        cursor = page.cursor
        if not cursor:
            break

    assert cursor == ""
    assert len(seen) == len(keys)
    assert set(seen) == keys


def test_objects_outside_the_prefix_are_not_documents(subject: Subject) -> None:
    """Only what lies under the data source's prefix is ingested."""
    knowledge_base = subject.open()
    subject.put("elsewhere/a.md", "# Not ours")

    job = run_job(knowledge_base)

    assert job.statistics is not None
    assert job.statistics.scanned == 0
    assert knowledge_base.list_documents(cursor="", limit=10).items == ()


def test_statistics_count_new_modified_metadata_and_deleted(subject: Subject) -> None:
    """A job counts each document once under what happened to it."""
    knowledge_base = subject.open()
    for name in "abcd":
        subject.put(f"incidents/{name}.md", f"# Document {name}", {"name": name})
    first = run_job(knowledge_base, TOKEN_A)
    subject.put("incidents/a.md", "# Document a, rewritten", {"name": "a"})
    subject.put("incidents/b.md", "# Document b", {"name": "b", "severity": "HIGH"})
    subject.remove("incidents/c.md")

    second = run_job(knowledge_base, TOKEN_B)

    assert first.statistics is not None
    assert (first.statistics.scanned, first.statistics.new_indexed) == (4, 4)
    assert second.statistics is not None
    assert second.statistics.scanned == 3
    assert second.statistics.metadata_scanned == 3
    assert second.statistics.new_indexed == 0
    assert second.statistics.modified_indexed == 1
    assert second.statistics.metadata_modified == 1
    assert second.statistics.deleted == 1
    assert second.statistics.failed == 0


def test_unchanged_document_keeps_its_time(subject: Subject) -> None:
    """A job over unchanged documents indexes nothing again."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted", {"incident_id": "a"})
    run_job(knowledge_base, TOKEN_A)
    before = knowledge_base.documents(["incidents/a.md"])

    run_job(knowledge_base, TOKEN_B)

    assert knowledge_base.documents(["incidents/a.md"]) == before


def test_modified_document_is_found_by_its_new_text_only(subject: Subject) -> None:
    """After a job the old text answers no more."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Zebra crossing")
    run_job(knowledge_base, TOKEN_A)
    subject.put("incidents/a.md", "# Quartz oscillator")

    run_job(knowledge_base, TOKEN_B)

    hits = knowledge_base.retrieve("quartz", limit=5)
    assert [hit.text for hit in hits] == ["# Quartz oscillator"]


def test_removed_document_reads_indexed_until_the_job_and_not_found_after(subject: Subject) -> None:
    """O-08: right after the removal the old state stands; only the job makes it NOT_FOUND."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted")
    run_job(knowledge_base, TOKEN_A)

    subject.remove("incidents/a.md")
    states = [knowledge_base.documents(["incidents/a.md"])["incidents/a.md"].status]
    job = knowledge_base.start_job(description="", client_token=TOKEN_B)
    while not job.status.is_final:
        states.append(knowledge_base.documents(["incidents/a.md"])["incidents/a.md"].status)
        job = knowledge_base.job(job.job_id)
    states.append(knowledge_base.documents(["incidents/a.md"])["incidents/a.md"].status)

    assert states[0] is DocumentStatus.INDEXED
    assert states[-1] is DocumentStatus.NOT_FOUND
    assert set(states) <= {DocumentStatus.INDEXED, DocumentStatus.DELETING, DocumentStatus.NOT_FOUND}
    assert knowledge_base.retrieve("pool", limit=5) == []


def test_document_kind_that_cannot_be_read_is_counted_failed_and_not_listed(subject: Subject) -> None:
    """O-01: a `.json` document ends no job and is no document; the statistics and a reason tell."""
    knowledge_base = subject.open()
    subject.put("incidents/a.json", "{}")

    job = run_job(knowledge_base)

    assert job.status is JobStatus.COMPLETE
    assert job.statistics is not None
    assert job.statistics.failed == 1
    assert "incidents/a.json" in job.failure_reasons[0]
    assert knowledge_base.list_documents(cursor="", limit=10).items == ()


@pytest.mark.parametrize(
    "metadata", [{}, {"severity": None}, {"severity": ""}, {"nested": {"a": 1}}, {"tags": ["a"]}], ids=str
)
def test_unacceptable_metadata_gets_the_document_ignored_with_a_reason(
    subject: Subject, metadata: Mapping[str, object]
) -> None:
    """Empty, null or nested attributes cost the document its place (AWS_FACTS.md, section 2)."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted", metadata)

    run_job(knowledge_base)

    document = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"]
    assert document.status is DocumentStatus.IGNORED
    assert document.status.is_refusal
    assert "metadata" in document.reason
    assert knowledge_base.retrieve("pool", limit=5) == []


def test_zero_scan_completes_and_indexes_nothing(subject: Subject) -> None:
    """O-03: COMPLETE with zeros is no proof: the documents are not there."""
    subject.put("incidents/a.md", "# Pool exhausted")
    knowledge_base = subject.open(LocalFaults(zero_scan=True))

    job = run_job(knowledge_base)

    assert job.status is JobStatus.COMPLETE
    assert job.statistics is not None
    assert (job.statistics.scanned, job.statistics.failed) == (0, 0)
    found = knowledge_base.documents(["incidents/a.md"])
    assert found["incidents/a.md"].status is DocumentStatus.NOT_FOUND


def test_statistics_may_be_missing(subject: Subject) -> None:
    """O-03: unknown statistics are None, not zeros."""
    knowledge_base = subject.open(LocalFaults(statistics_missing=True))

    job = run_job(knowledge_base)

    assert job.status is JobStatus.COMPLETE
    assert job.statistics is None
    assert knowledge_base.jobs(limit=1)[0].statistics is None


def test_failed_job_indexes_nothing_and_the_next_one_does(subject: Subject) -> None:
    """A job that FAILED says why; nothing is lost by it."""
    subject.put("incidents/a.md", "# Pool exhausted")
    knowledge_base = subject.open(LocalFaults(job_fails=1))

    failed = run_job(knowledge_base, TOKEN_A)
    between = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"].status
    run_job(knowledge_base, TOKEN_B)

    assert failed.status is JobStatus.FAILED
    assert failed.failure_reasons
    assert between is DocumentStatus.NOT_FOUND
    after = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"].status
    assert after is DocumentStatus.INDEXED


def test_failed_document_spoils_no_other_and_recovers(subject: Subject) -> None:
    """One FAILED document is shown with its reason; the others are indexed; a later job takes it."""
    subject.put("incidents/bad.md", "# Broken beyond words")
    subject.put("incidents/good.md", "# Pool exhausted")

    job = run_job(subject.open(LocalFaults(fail_keys=("bad",))), TOKEN_A)
    knowledge_base = subject.open()
    states = knowledge_base.documents(["incidents/bad.md", "incidents/good.md"])
    run_job(knowledge_base, TOKEN_B)

    assert states["incidents/bad.md"].status is DocumentStatus.FAILED
    assert states["incidents/bad.md"].reason
    assert states["incidents/good.md"].status is DocumentStatus.INDEXED
    assert job.statistics is not None
    assert (job.statistics.new_indexed, job.statistics.failed) == (1, 1)
    recovered = knowledge_base.documents(["incidents/bad.md"])["incidents/bad.md"]
    assert recovered.status is DocumentStatus.INDEXED


def test_silently_ignored_document_is_simply_absent(subject: Subject) -> None:
    """The service can leave a document out without a word: no status, no failure count."""
    subject.put("incidents/a.md", "# Pool exhausted")
    knowledge_base = subject.open(LocalFaults(ignore_keys=("incidents/a",)))

    job = run_job(knowledge_base)

    assert job.statistics is not None
    assert job.statistics.failed == 0
    assert knowledge_base.list_documents(cursor="", limit=10).items == ()


def test_slow_job_stands_still_for_the_polls_it_was_given(subject: Subject) -> None:
    """A job may be in the same state for many looks."""
    knowledge_base = subject.open(LocalFaults(delay_polls=3))
    started = knowledge_base.start_job(description="", client_token=TOKEN_A)

    looks = [knowledge_base.job(started.job_id).status for _ in range(3)]

    assert looks == [started.status] * 3
    assert finished(knowledge_base, started).status is JobStatus.COMPLETE


@pytest.mark.parametrize(
    ("faults", "error"),
    [(LocalFaults(unavailable=1), UnavailableError), (LocalFaults(throttle=1), ThrottledError)],
    ids=["unavailable", "throttled"],
)
def test_call_that_fails_once_succeeds_when_repeated(
    subject: Subject, faults: LocalFaults, error: type[Exception]
) -> None:
    """A retriable failure leaves nothing behind."""
    knowledge_base = subject.open(faults)

    with pytest.raises(error):
        knowledge_base.jobs(limit=1)

    assert knowledge_base.jobs(limit=1) == []


def test_job_of_one_process_is_carried_on_by_another(subject: Subject) -> None:
    """O-05: a job outlives the one who started it and is found by listing."""
    subject.put("incidents/a.md", "# Pool exhausted")
    started = subject.open().start_job(description="kbsync run 7", client_token=TOKEN_A)
    other = subject.open()

    (adopted,) = [job for job in other.jobs(limit=5) if job.description == "kbsync run 7"]

    assert adopted.job_id == started.job_id
    assert finished(other, adopted).status is JobStatus.COMPLETE


def test_best_hit_comes_first_with_its_text_and_metadata(subject: Subject) -> None:
    """A hit carries the document's key, text and sidecar attributes; scores fall."""
    knowledge_base = subject.open()
    subject.put(
        "incidents/a.md", "# Connection pool exhausted on orders", {"incident_id": "a", "minutes": 12}
    )
    subject.put("incidents/b.md", "# Certificate expired on the gateway", {"incident_id": "b", "minutes": 3})
    run_job(knowledge_base)

    hits = knowledge_base.retrieve("the pool of connections is exhausted", limit=5)

    assert [hit.document_key for hit in hits] == ["incidents/a.md", "incidents/b.md"]
    assert hits[0].text == "# Connection pool exhausted on orders"
    assert hits[0].metadata == {"incident_id": "a", "minutes": 12}
    assert hits[0].score > hits[1].score


def test_pasted_trace_is_asked_by_what_caused_it(subject: Subject) -> None:
    """Two hundred lines of what was well come before the cause; the beginning alone would ask for those."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# No space left on device while writing", {"incident_id": "a"})
    subject.put("incidents/b.md", "# Login of gateway accepted, session renewed", {"incident_id": "b"})
    run_job(knowledge_base)
    log = [
        f"2026-05-03 12:00:{number % 60:02} INFO login of gateway accepted, session renewed {number}"
        for number in range(200)
    ]
    trace = [
        "java.lang.RuntimeException: could not save the order",
        "\tat com.acme.Orders.save(Orders.java:31)",
        "Caused by: java.io.IOException: No space left on device while writing",
        "\tat java.io.FileOutputStream.write(FileOutputStream.java:326)",
    ]

    hits = knowledge_base.retrieve("\n".join([*log, *trace]), limit=1)

    assert [hit.document_key for hit in hits] == ["incidents/a.md"]


def test_limit_bounds_the_hits(subject: Subject) -> None:
    """No more hits than asked for."""
    knowledge_base = subject.open()
    for name in "abc":
        subject.put(f"incidents/{name}.md", f"# Pool exhausted {name}")
    run_job(knowledge_base)

    assert len(knowledge_base.retrieve("pool", limit=2)) == 2


def test_filter_keeps_only_documents_that_match(subject: Subject) -> None:
    """The filter holds whatever the query prefers."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted, pool, pool", {"severity": "LOW"})
    subject.put("incidents/b.md", "# Certificate expired", {"severity": "HIGH"})
    run_job(knowledge_base)

    hits = knowledge_base.retrieve("pool", limit=5, filter={"equals": {"key": "severity", "value": "HIGH"}})

    assert [hit.document_key for hit in hits] == ["incidents/b.md"]


def test_empty_query_with_a_filter_returns_what_matches(subject: Subject) -> None:
    """Without a query the filter alone decides."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted", {"incident_id": "a", "body_sha": "0123"})
    subject.put("incidents/b.md", "# Certificate expired", {"incident_id": "b", "body_sha": "0123"})
    run_job(knowledge_base)

    hits = knowledge_base.retrieve(
        "",
        limit=5,
        filter={
            "andAll": [
                {"equals": {"key": "incident_id", "value": "b"}},
                {"equals": {"key": "body_sha", "value": "0123"}},
            ]
        },
    )

    assert [hit.document_key for hit in hits] == ["incidents/b.md"]


def test_filter_outside_the_vocabulary_is_a_usage_error(subject: Subject) -> None:
    """What is no RetrievalFilter is refused, not guessed."""
    knowledge_base = subject.open()

    with pytest.raises(UsageError):
        knowledge_base.retrieve("pool", limit=5, filter={"like": {"key": "severity", "value": "H%"}})


def test_changed_metadata_alone_is_filtered_by_with_the_same_text(subject: Subject) -> None:
    """A new sidecar beside the same body changes what filters see and when the document was updated."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted", {"severity": "LOW"})
    run_job(knowledge_base, TOKEN_A)
    before = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"]
    subject.put("incidents/a.md", "# Pool exhausted", {"severity": "HIGH"})

    run_job(knowledge_base, TOKEN_B)

    after = knowledge_base.documents(["incidents/a.md"])["incidents/a.md"]
    hits = knowledge_base.retrieve("pool", limit=5, filter={"equals": {"key": "severity", "value": "HIGH"}})
    assert before.updated_at is not None
    assert after.updated_at is not None
    assert after.updated_at > before.updated_at
    assert [(hit.text, hit.metadata) for hit in hits] == [("# Pool exhausted", {"severity": "HIGH"})]


def test_document_put_while_a_job_runs_is_taken_by_the_next_at_the_latest(subject: Subject) -> None:
    """Why only a job that started later is a proof: this one may or may not have seen the document."""
    knowledge_base = subject.open()
    job = knowledge_base.job(knowledge_base.start_job(description="", client_token=TOKEN_A).job_id)
    subject.put("incidents/late.md", "# Late")
    finished(knowledge_base, job)

    run_job(knowledge_base, TOKEN_B)

    state = knowledge_base.documents(["incidents/late.md"])["incidents/late.md"].status
    assert state is DocumentStatus.INDEXED


def test_reopened_and_closed_again_is_found_again(subject: Subject) -> None:
    """O-29: a document that went and came back is searchable as any other."""
    knowledge_base = subject.open()
    subject.put("incidents/a.md", "# Pool exhausted")
    run_job(knowledge_base, "a" * 64)
    subject.remove("incidents/a.md")
    run_job(knowledge_base, "b" * 64)
    subject.put("incidents/a.md", "# Pool exhausted, the second time")

    run_job(knowledge_base, "c" * 64)

    assert [hit.text for hit in knowledge_base.retrieve("pool", limit=5)] == [
        "# Pool exhausted, the second time"
    ]
