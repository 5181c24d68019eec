"""Document states against the double: Get or List, pacing, and statuses of other times and places."""

from datetime import UTC, datetime, timedelta

import pytest

from bedrock_double.ingestion import Held
from bedrock_double.subjects import BedrockSubject
from builders import TickingClock
from kbsync.aws.bedrock_documents import Pacer
from kbsync.aws.knowledge_base import BedrockKnowledgeBase
from kbsync.errors import ThrottledError
from kbsync.knowledge import DocumentStatus

pytest_plugins = ["bedrock_double.fixtures"]

GET, LIST = "GetKnowledgeBaseDocuments", "ListKnowledgeBaseDocuments"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def fill(bedrock: BedrockSubject, count: int) -> list[str]:
    """Let the knowledge base hold so many documents and return their keys."""
    keys = [f"incidents/{number:05d}.md" for number in range(count)]
    bedrock.double.ingestion.held.update({key: Held("INDEXED", NOON) for key in keys})
    return keys


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pages of a hundred, so that three of them need no thousands of documents."""
    monkeypatch.setattr("kbsync.aws.bedrock_documents.DOCUMENTS_A_PAGE", 100)
    return 100


def calls(bedrock: BedrockSubject) -> tuple[int, int]:
    return bedrock.double.calls[GET], bedrock.double.calls[LIST]


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [(50, 10, (1, 0)), (50, 50, (0, 1)), (100, 100, (0, 1)), (250, 100, (0, 3))],
    ids=["few", "all of a page", "a full page", "many of three pages"],
)
def test_states_are_asked_the_cheaper_way(
    bedrock: BedrockSubject, small_pages: int, held: int, asked: int, expected: tuple[int, int]
) -> None:
    """Ten documents a Get against a page of a listing."""
    assert small_pages == 100
    keys = fill(bedrock, held)[:asked]

    states = bedrock.open().documents(keys)

    assert {state.status for state in states.values()} == {DocumentStatus.INDEXED}
    assert list(states) == keys
    assert calls(bedrock) == expected


def test_page_of_a_thousand_answers_for_a_thousand(bedrock: BedrockSubject) -> None:
    """The service's own page: one call in place of a hundred."""
    keys = fill(bedrock, 1_000)

    assert list(bedrock.open().documents(keys)) == keys
    assert calls(bedrock) == (0, 1)


def test_listing_that_turns_out_larger_is_given_up_and_remembered(
    bedrock: BedrockSubject, small_pages: int
) -> None:
    """Never more than twice the cheaper way; the next time it is known."""
    keys = fill(bedrock, small_pages * 3)[-30:]
    knowledge_base = bedrock.open()

    first = knowledge_base.documents(keys)
    after_first = calls(bedrock)
    knowledge_base.documents(keys)

    assert set(first) == set(keys)
    assert after_first == (3, 2)
    assert calls(bedrock) == (6, 2)


def test_document_that_a_listing_lacks_is_asked_for_by_name(bedrock: BedrockSubject) -> None:
    """A page of a moving collection can miss one: only Get's NOT_FOUND says that a document is gone."""
    keys = fill(bedrock, 20)
    del bedrock.double.ingestion.held[keys[3]]
    bedrock.double.ingestion.held[keys[4]] = Held("IGNORED", NOON, "metadata was larger than service limit")

    states = bedrock.open().documents(keys)

    assert states[keys[3]].status is DocumentStatus.NOT_FOUND
    assert (states[keys[4]].status, states[keys[4]].reason) == (
        DocumentStatus.IGNORED,
        "metadata was larger than service limit",
    )
    assert calls(bedrock) == (1, 1)


def test_address_too_long_for_a_get_is_looked_up_in_the_whole_listing(
    bedrock: BedrockSubject, small_pages: int
) -> None:
    """O-23: the model lets Get ask for 128 characters after s3://; one long key must not spoil the others."""
    keys = fill(bedrock, small_pages * 2 + 50)
    long, gone = (f"incidents/{letter * 150}.md" for letter in "xy")
    bedrock.double.ingestion.held[long] = Held("INDEXED", NOON)

    states = bedrock.open().documents([long, gone, keys[0], "incidents/never.md"])

    assert {key: state.status for key, state in states.items()} == {
        long: DocumentStatus.INDEXED,
        gone: DocumentStatus.NOT_FOUND,
        keys[0]: DocumentStatus.INDEXED,
        "incidents/never.md": DocumentStatus.NOT_FOUND,
    }
    assert calls(bedrock) == (1, 3)


def test_no_keys_cost_no_call(bedrock: BedrockSubject) -> None:
    """The service refuses an empty list."""
    assert bedrock.open().documents([]) == {}
    assert calls(bedrock) == (0, 0)


def test_key_asked_twice_is_asked_once(bedrock: BedrockSubject) -> None:
    """Ten places a call are worth keeping."""
    (key,) = fill(bedrock, 1)

    assert list(bedrock.open().documents([key] * 11)) == [key]
    assert calls(bedrock) == (1, 0)


def test_status_of_a_newer_service_is_on_its_way_and_never_indexed(bedrock: BedrockSubject) -> None:
    """P2: what this code does not know proves nothing."""
    (key,) = fill(bedrock, 1)
    bedrock.double.switches.unknown_status = "REINDEXED"

    state = bedrock.open().documents([key])[key]

    assert state.status is DocumentStatus.IN_PROGRESS
    assert not state.status.is_refusal


def test_documents_of_another_bucket_are_not_ours(bedrock: BedrockSubject) -> None:
    """An S3 address is a key of ours only in our bucket; the page is empty, and not the last."""
    fill(bedrock, 3)
    place = bedrock.double.place
    elsewhere = BedrockKnowledgeBase(
        bedrock.clients, place.knowledge_base_id, place.data_source_id, f"{bedrock.bucket}-2"
    )

    page = elsewhere.list_documents(cursor="", limit=2)

    assert page.items == ()
    assert page.cursor != ""


def test_pacer_spaces_calls_and_owes_nothing_for_a_rest() -> None:
    """Five a second are 0.2 s apart; time that passed by itself counts."""
    times, slept = [10.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        times[0] += seconds

    pacer = Pacer(5.0, sleep, lambda: times[0])
    pacer.wait()
    pacer.wait()
    times[0] += 60
    pacer.wait()
    pacer.wait()

    assert slept == pytest.approx([0.2, 0.2])


def test_paced_calls_stay_below_the_documented_rate(bedrock: BedrockSubject) -> None:
    """Thirty Gets in a row meet no 429; without pacing the sixth does."""
    clock = TickingClock(tick=timedelta())
    keys = fill(bedrock, 300)
    bedrock.double._now = clock
    bedrock.double.switches.enforce_rates = True
    place = bedrock.double.place
    paced, hasty = (
        BedrockKnowledgeBase(
            bedrock.clients,
            place.knowledge_base_id,
            place.data_source_id,
            bedrock.bucket,
            sleep=clock.sleep,
            monotonic=lambda: clock().timestamp(),
            document_calls_per_second=rate,
        )
        for rate in (4.99, 1_000_000.0)
    )

    for start in range(0, len(keys), 10):
        assert len(paced.documents(keys[start : start + 10])) == 10
    clock.sleep(60)
    for start in range(0, 50, 10):
        hasty.documents(keys[start : start + 10])
    with pytest.raises(ThrottledError):
        hasty.documents(keys[:10])
