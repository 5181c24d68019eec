"""Retrieve against the double: both kinds, hybrid, filters, limits, and what a hit is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from bedrock_double.ingestion import Held
from bedrock_double.server import Server
from bedrock_double.subjects import BedrockSubject, ImpatientClients
from kbsync.aws.knowledge_base import BedrockKnowledgeBase
from kbsync.errors import AccessDeniedError, ThrottledError, UnavailableError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest_plugins = ["bedrock_double.fixtures"]

TOKEN = "a" * 64


def ingest(knowledge_base: BedrockKnowledgeBase) -> None:
    job = knowledge_base.start_job(description="", client_token=TOKEN)
    while not knowledge_base.job(job.job_id).status.is_final:
        pass


@pytest.fixture
def managed(bedrock_server: Server, impatient: ImpatientClients, s3: "S3Client") -> BedrockSubject:
    return BedrockSubject(s3, bedrock_server, impatient, kind="MANAGED")


@pytest.fixture
def on_s3_vectors(bedrock_server: Server, impatient: ImpatientClients, s3: "S3Client") -> BedrockSubject:
    return BedrockSubject(s3, bedrock_server, impatient, store="S3_VECTORS")


def test_hybrid_search_is_asked_for_where_the_store_knows_it(bedrock: BedrockSubject) -> None:
    """Error texts are found by their words."""
    knowledge_base = bedrock.open()

    knowledge_base.retrieve("ORA-00060", limit=3)

    assert knowledge_base.describe()["mode"] == "hybrid"
    assert bedrock.double.calls["Retrieve"] == 1


def test_refused_hybrid_search_falls_back_once_and_for_all(on_s3_vectors: BedrockSubject) -> None:
    """S3 Vectors knows no hybrid search: the second search does not ask again."""
    knowledge_base = on_s3_vectors.open()
    on_s3_vectors.put("incidents/a.md", "# Pool exhausted")
    ingest(knowledge_base)

    first = knowledge_base.retrieve("pool", limit=3)
    calls_after_first = on_s3_vectors.double.calls["Retrieve"]
    second = knowledge_base.retrieve("pool", limit=3)

    assert [hit.document_key for hit in first] == ["incidents/a.md"] == [hit.document_key for hit in second]
    assert calls_after_first == 2
    assert on_s3_vectors.double.calls["Retrieve"] == 3
    assert knowledge_base.describe()["mode"] == "semantic"


def test_search_that_is_wrong_for_another_reason_leaves_hybrid_as_it_was(bedrock: BedrockSubject) -> None:
    """A refused filter says nothing of hybrid search."""
    knowledge_base = bedrock.open()
    bedrock.double.switches.errors = ["ValidationException", "ValidationException"]

    with pytest.raises(UsageError):
        knowledge_base.retrieve("pool", limit=3)

    assert knowledge_base.describe()["mode"] == "hybrid"


def test_managed_knowledge_base_is_asked_in_its_own_way(managed: BedrockSubject) -> None:
    """managedSearchConfiguration, with the same filters and hits."""
    knowledge_base = managed.open()
    managed.put("incidents/a.md", "# Pool exhausted", {"incident_id": "a"})
    managed.put("incidents/b.md", "# Pool exhausted", {"incident_id": "b"})
    ingest(knowledge_base)

    hits = knowledge_base.retrieve("pool", limit=3, filter={"equals": {"key": "incident_id", "value": "b"}})

    assert [hit.document_key for hit in hits] == ["incidents/b.md"]
    assert knowledge_base.describe()["mode"] == "managed"


@pytest.mark.parametrize(("real", "set_as"), [("VECTOR", "MANAGED"), ("MANAGED", "VECTOR")], ids=str)
def test_wrong_kind_is_refused_with_its_remedy(
    bedrock_server: Server, impatient: ImpatientClients, s3: "S3Client", real: str, set_as: str
) -> None:
    """Custom and managed knowledge bases refuse each other's configuration."""
    subject = BedrockSubject(s3, bedrock_server, impatient, kind=real)  # type: ignore[arg-type]
    place = subject.double.place
    knowledge_base = BedrockKnowledgeBase(
        impatient,
        place.knowledge_base_id,
        place.data_source_id,
        subject.bucket,
        kind=set_as,  # type: ignore[arg-type]
    )

    with pytest.raises(UsageError) as caught:
        knowledge_base.retrieve("pool", limit=1)

    assert "KB_TYPE" in caught.value.hint


@pytest.mark.parametrize("kind", ["bedrock", "managed"])
def test_query_of_any_length_is_cut_at_the_quota(request: pytest.FixtureRequest, kind: str) -> None:
    """1,000 characters of a custom knowledge base, 10,000 of a managed one: a stack trace must not fail."""
    subject: BedrockSubject = request.getfixturevalue(kind)

    assert subject.open().retrieve("\x00\ud800 pool " * 5_000, limit=1) == []


@pytest.mark.parametrize(
    ("query", "limit"), [("", 1), (" \x00 ", 1), ("pool", 0)], ids=["empty", "blank", "limit"]
)
def test_search_that_cannot_be_is_refused_without_a_call(
    bedrock: BedrockSubject, query: str, limit: int
) -> None:
    """Neither query nor filter, or no hits wanted."""
    knowledge_base = bedrock.open()

    with pytest.raises(UsageError):
        knowledge_base.retrieve(query, limit=limit)

    assert bedrock.double.calls["Retrieve"] == 0


@pytest.mark.parametrize("limit", [1, 40, 1_000])
def test_limit_asks_for_no_more_than_the_service_gives(bedrock: BedrockSubject, limit: int) -> None:
    """The service gives 1 to 100 results; a larger limit is answered with what there is."""
    bedrock.double.ingestion.held.update(
        {
            f"incidents/{n}.md": Held(
                "INDEXED", bedrock.double._now(), chunks=["pool"], attributes={"n": float(n)}
            )
            for n in range(120)
        }
    )

    assert len(bedrock.open().retrieve("pool", limit=limit)) == min(limit, 100)


def test_passages_of_one_document_are_one_hit_by_the_best(bedrock: BedrockSubject) -> None:
    """A long incident must not fill the list with itself."""
    knowledge_base = bedrock.open()
    filler = "\n\n".join(f"Paragraph {n} about nothing in particular. " * 30 for n in range(3))
    bedrock.put("incidents/long.md", f"# Long\n\n{filler}\n\nThe quartz oscillator drifted.")
    bedrock.put("incidents/other.md", "# Something else")
    ingest(knowledge_base)

    hits = knowledge_base.retrieve("quartz oscillator drifted", limit=5)

    assert [hit.document_key for hit in hits] == ["incidents/long.md", "incidents/other.md"]
    assert "quartz oscillator" in hits[0].text


def test_hit_shows_the_sidecars_attributes_and_none_of_bedrocks(bedrock: BedrockSubject) -> None:
    """Reserved keys and objects are left out; floats that are whole are whole again; lists are texts."""
    knowledge_base = bedrock.open()
    typed = {
        "value": {"type": "STRING_LIST", "stringListValue": ["db", "pool"]},
        "includeForEmbedding": False,
    }
    bedrock.put(
        "incidents/a.md",
        "# Pool exhausted",
        {
            "incident_id": "ñ",
            "resolved_date": 20250131,
            "ratio": 0.5,
            "known": True,
            "tags": typed,
            "_x": "1",
        },
    )
    ingest(knowledge_base)
    bedrock.double.ingestion.held["incidents/a.md"].attributes["odd"] = {"a": 1}  # type: ignore[assignment]

    (hit,) = knowledge_base.retrieve("pool", limit=1)

    assert hit.metadata == {
        "incident_id": "ñ",
        "resolved_date": 20250131,
        "ratio": 0.5,
        "known": True,
        "tags": "db, pool",
    }
    assert isinstance(hit.metadata["resolved_date"], int)


def test_hits_of_other_data_sources_are_left_out(bedrock: BedrockSubject) -> None:
    """A shared knowledge base answers with other people's documents, too."""
    knowledge_base = bedrock.open()
    bedrock.put("incidents/a.md", "# Pool exhausted", {"incident_id": "a"})
    ingest(knowledge_base)
    place = bedrock.double.place
    elsewhere = BedrockKnowledgeBase(
        bedrock.clients, place.knowledge_base_id, place.data_source_id, f"{bedrock.bucket}-2"
    )

    assert elsewhere.retrieve("pool", limit=5) == []


EQUALS_HIGH = {"equals": {"key": "severity", "value": "HIGH"}}
FILTERS = {
    "equals": (EQUALS_HIGH, "a"),
    "equals a number": ({"equals": {"key": "minutes", "value": 10}}, "b"),
    "equals a boolean": ({"equals": {"key": "known", "value": True}}, "b"),
    "not equals, also what lacks the key": ({"notEquals": {"key": "severity", "value": "HIGH"}}, "bc"),
    "in": ({"in": {"key": "severity", "value": ["HIGH", "LOW"]}}, "ab"),
    "not in": ({"notIn": {"key": "severity", "value": ["HIGH"]}}, "bc"),
    "greater": ({"greaterThan": {"key": "minutes", "value": 10}}, "a"),
    "at least": ({"greaterThanOrEquals": {"key": "minutes", "value": 10}}, "ab"),
    "less": ({"lessThan": {"key": "minutes", "value": 12}}, "b"),
    "at most": ({"lessThanOrEquals": {"key": "minutes", "value": 12}}, "ab"),
    "starts with": ({"startsWith": {"key": "severity", "value": "HI"}}, "a"),
    "contains": ({"stringContains": {"key": "severity", "value": "O"}}, "b"),
    "list contains": ({"listContains": {"key": "tags", "value": "db"}}, "c"),
    "all": ({"andAll": [EQUALS_HIGH, {"greaterThan": {"key": "minutes", "value": 1}}]}, "a"),
    "any": ({"orAll": [EQUALS_HIGH, {"lessThan": {"key": "minutes", "value": 12}}]}, "ab"),
}


@pytest.mark.parametrize(("given", "expected"), FILTERS.values(), ids=list(FILTERS))
def test_every_operator_of_the_vocabulary_goes_through(
    bedrock: BedrockSubject, given: Mapping[str, object], expected: str
) -> None:
    """RetrievalFilter's operators reach the service as they are given."""
    now = bedrock.double._now()
    attributes = {
        "a": {"severity": "HIGH", "minutes": 12.0, "known": False},
        "b": {"severity": "LOW", "minutes": 10.0, "known": True},
        "c": {"tags": ["db"]},
    }
    bedrock.double.ingestion.held.update(
        {
            f"incidents/{key}.md": Held("INDEXED", now, chunks=["pool"], attributes=held)
            for key, held in attributes.items()
        }
    )

    hits = bedrock.open().retrieve("", limit=5, filter=given)

    assert sorted(hit.document_key for hit in hits) == [f"incidents/{key}.md" for key in expected]


def test_operator_that_the_store_lacks_is_a_usage_error(on_s3_vectors: BedrockSubject) -> None:
    """No startsWith on S3 Vectors (AWS_FACTS.md, section 6)."""
    knowledge_base = on_s3_vectors.open()
    on_s3_vectors.put("incidents/a.md", "# Pool", {"severity": "HIGH"})
    ingest(knowledge_base)

    with pytest.raises(UsageError, match="refuses this search"):
        knowledge_base.retrieve("pool", limit=1, filter={"startsWith": {"key": "severity", "value": "H"}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"andAll": [EQUALS_HIGH]},
        {**EQUALS_HIGH, "notEquals": {"key": "a", "value": "b"}},
        {"equals": {"key": "severity"}},
        {},
    ],
    ids=["one member", "two operators", "no value", "empty"],
)
def test_filter_of_the_wrong_shape_is_a_usage_error(
    bedrock: BedrockSubject, wrong: Mapping[str, object]
) -> None:
    """Refused before or by the service, never as a fault of the run."""
    with pytest.raises(UsageError):
        bedrock.open().retrieve("pool", limit=1, filter=wrong)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", ThrottledError),
        ("ServiceQuotaExceededException", ThrottledError),
        ("DependencyFailedException", UnavailableError),
        ("BadGatewayException", UnavailableError),
        ("ConflictException", UnavailableError),
        ("AccessDeniedException", AccessDeniedError),
    ],
)
def test_failed_search_says_what_follows_from_it(
    bedrock: BedrockSubject, code: str, error: type[Exception]
) -> None:
    """The service's own trouble passes, also where its status is not 5xx."""
    knowledge_base = bedrock.open()
    bedrock.double.switches.errors = [code]

    with pytest.raises(error, match=code):
        knowledge_base.retrieve("pool", limit=1)
