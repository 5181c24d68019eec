"""Ingestion jobs against the double: what is asked, and what becomes of each answer."""

import pytest

from aws_servers import REGION
from bedrock_double.homes import ShiftedClock
from bedrock_double.server import Server
from bedrock_double.subjects import BedrockSubject
from kbsync.aws.clients import Clients
from kbsync.aws.knowledge_base import BedrockKnowledgeBase
from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    JobAlreadyRunningError,
    ThrottledError,
    UnavailableError,
)
from kbsync.knowledge import JobStatus

pytest_plugins = ["bedrock_double.fixtures"]

TOKEN = "a" * 64


def knowledge_base_of(bedrock: BedrockSubject, **changes: str) -> BedrockKnowledgeBase:
    place = bedrock.double.place
    ids = {"knowledge_base_id": place.knowledge_base_id, "data_source_id": place.data_source_id, **changes}
    return BedrockKnowledgeBase(
        bedrock.clients, ids["knowledge_base_id"], ids["data_source_id"], bedrock.bucket
    )


@pytest.mark.parametrize(("given", "kept"), [("", 0), ("r" * 200, 200), ("r" * 201, 200)], ids=str)
def test_description_is_cut_to_what_the_service_takes(bedrock: BedrockSubject, given: str, kept: int) -> None:
    """1 to 200 characters; an empty one is left out of the request."""
    job = bedrock.open().start_job(description=given, client_token=TOKEN)

    assert len(job.description) == kept


def test_start_whose_reply_is_lost_is_repeated_with_its_token_and_starts_once(
    bedrock: BedrockSubject,
) -> None:
    """O-05: the token makes the repeat return the job that the lost reply spoke of."""
    knowledge_base = bedrock.open()
    bedrock.double.switches.lost_replies = 1
    with pytest.raises(UnavailableError):
        knowledge_base.start_job(description="run 1", client_token=TOKEN)

    repeated = knowledge_base.start_job(description="run 1", client_token=TOKEN)

    assert [job.job_id for job in knowledge_base.jobs(limit=5)] == [repeated.job_id]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ConflictException", JobAlreadyRunningError),
        ("ServiceQuotaExceededException", ThrottledError),
        ("ThrottlingException", ThrottledError),
        ("InternalServerException", UnavailableError),
        ("AccessDeniedException", AccessDeniedError),
        ("ValidationException", FatalError),
    ],
)
def test_refused_start_says_what_follows_from_it(
    bedrock: BedrockSubject, code: str, error: type[Exception]
) -> None:
    """O-02: a conflict is a wait; 402 is a quota, so it passes; the rest by consequence."""
    knowledge_base = bedrock.open()
    bedrock.double.switches.errors = [code]

    with pytest.raises(error, match=code):
        knowledge_base.start_job(description="", client_token=TOKEN)

    assert knowledge_base.jobs(limit=5) == []


def test_unknown_knowledge_base_is_a_wrong_setting(bedrock: BedrockSubject) -> None:
    """What does not exist is named with its remedy, for a start and for a listing."""
    knowledge_base = knowledge_base_of(bedrock, knowledge_base_id="NOTHERE001")

    with pytest.raises(ConfigInvalidError, match="NOTHERE001"):
        knowledge_base.start_job(description="", client_token=TOKEN)
    with pytest.raises(ConfigInvalidError, match="NOTHERE001"):
        knowledge_base.jobs(limit=1)


def test_unknown_data_source_is_a_wrong_setting(bedrock: BedrockSubject) -> None:
    """One knowledge base has several data sources; the wrong one is not started."""
    knowledge_base = knowledge_base_of(bedrock, data_source_id="NOTHERE001")

    with pytest.raises(ConfigInvalidError, match="NOTHERE001"):
        knowledge_base.start_job(description="", client_token=TOKEN)


def test_malformed_job_id_is_unknown_without_a_call(bedrock: BedrockSubject) -> None:
    """An id that another backend gave cannot be one of Bedrock's."""
    knowledge_base = bedrock.open()

    with pytest.raises(KeyError):
        knowledge_base.job("job-of-elsewhere")

    assert bedrock.double.calls["GetIngestionJob"] == 0


def test_denied_look_at_a_job_is_not_an_unknown_job(bedrock: BedrockSubject) -> None:
    """Only ResourceNotFound means that there is none."""
    knowledge_base = bedrock.open()
    bedrock.double.switches.errors = ["AccessDeniedException"]

    with pytest.raises(AccessDeniedError):
        knowledge_base.job("ABCDEFGHIJ")


def test_state_of_a_newer_service_is_not_an_end(bedrock: BedrockSubject) -> None:
    """A state that this code does not know must not be taken for COMPLETE, nor for FAILED."""
    knowledge_base = bedrock.open()
    job_id = knowledge_base.start_job(description="", client_token=TOKEN).job_id
    bedrock.double.switches.unknown_status = "PAUSED"

    assert knowledge_base.job(job_id).status is JobStatus.IN_PROGRESS
    assert not knowledge_base.jobs(limit=1)[0].status.is_final


def test_stopped_job_is_final_and_its_rest_is_taken_by_the_next(bedrock: BedrockSubject) -> None:
    """Somebody stops a job: STOPPING, then STOPPED, and nothing is lost."""
    knowledge_base = bedrock.open()
    place = bedrock.double.place
    bedrock.put("incidents/a.md", "# Pool exhausted")
    job = knowledge_base.start_job(description="", client_token=TOKEN)
    bedrock.clients.bedrock.stop_ingestion_job(
        knowledgeBaseId=place.knowledge_base_id, dataSourceId=place.data_source_id, ingestionJobId=job.job_id
    )

    stopping = knowledge_base.jobs(limit=1)[0]
    stopped = knowledge_base.job(job.job_id)

    assert (stopping.status, stopping.status.is_final) == (JobStatus.STOPPING, False)
    assert (stopped.status, stopped.status.is_final) == (JobStatus.STOPPED, True)
    next_job = knowledge_base.start_job(description="", client_token="b" * 64)
    while not knowledge_base.job(next_job.job_id).status.is_final:
        pass
    assert [document.key for document in knowledge_base.list_documents(cursor="", limit=5).items] == [
        "incidents/a.md"
    ]


def test_failure_reasons_are_bounded(bedrock: BedrockSubject) -> None:
    """The service may send 2,048 reasons of 2,048 characters; a record needs a sample."""
    knowledge_base = bedrock.open()
    job_id = knowledge_base.start_job(description="", client_token=TOKEN).job_id
    bedrock.double._find(job_id).reasons = [f"{n} {'x' * 2_000}" for n in range(500)]

    reasons = knowledge_base.job(job_id).failure_reasons

    assert len(reasons) == 100
    assert reasons[0].startswith("0 ")


def test_jobs_are_listed_over_several_pages_newest_first(
    bedrock: BedrockSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit above one page follows the tokens."""
    monkeypatch.setattr("kbsync.aws.bedrock_jobs._MOST_JOBS_A_PAGE", 2)
    knowledge_base = bedrock.open()
    started = []
    for letter in "abcde":
        job = knowledge_base.start_job(description=letter, client_token=letter * 64)
        started.append(job.job_id)
        while not knowledge_base.job(job.job_id).status.is_final:
            pass

    listed = knowledge_base.jobs(limit=4)

    assert [job.job_id for job in listed] == started[:0:-1]


def test_job_by_the_clock_ends_when_its_time_has_come(bedrock: BedrockSubject) -> None:
    """The double's job of two seconds: running before, complete after, whoever looks."""
    clock = ShiftedClock()
    knowledge_base = bedrock.open()
    bedrock.double._now = clock
    bedrock.double.switches.job_seconds = 2
    bedrock.put("incidents/a.md", "# Pool exhausted")
    job_id = knowledge_base.start_job(description="", client_token=TOKEN).job_id

    before = [knowledge_base.job(job_id).status for _ in range(3)]
    clock.sleep(2)
    listed = knowledge_base.list_documents(cursor="", limit=5)

    assert before == [JobStatus.IN_PROGRESS] * 3
    assert [document.key for document in listed.items] == ["incidents/a.md"]
    assert knowledge_base.jobs(limit=1)[0].status is JobStatus.COMPLETE


def test_products_own_clients_find_the_service_by_boto3s_variables(
    bedrock: BedrockSubject, bedrock_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No setting of ours: AWS_ENDPOINT_URL_<SERVICE> is boto3's, and a passing error is tried again."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT", bedrock_server.address)
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", bedrock_server.address)
    place = bedrock.double.place
    knowledge_base = BedrockKnowledgeBase(
        Clients(REGION), place.knowledge_base_id, place.data_source_id, bedrock.bucket
    )
    bedrock.double.switches.throttle = 1

    assert knowledge_base.jobs(limit=1) == []
    assert bedrock.double.calls["ListIngestionJobs"] == 2
    assert knowledge_base.retrieve("pool", limit=1) == []
