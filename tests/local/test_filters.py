"""Every operator of Bedrock's RetrievalFilter over six documents, and what is no filter."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from kbsync.errors import UsageError
from kbsync.local.filters import ANY_DOCUMENT, filter_condition
from kbsync.local.knowledge_base import LocalKnowledgeBase

DOCUMENTS: dict[str, dict[str, object]] = {
    "a": {"severity": "HIGH", "minutes": 12, "paid": True, "teams": ["db", "core"]},
    "b": {"severity": "LOW", "minutes": 90, "paid": False, "teams": ["web"]},
    "c": {"severity": "HIGHEST", "minutes": 12.5},
    "d": {"minutes": "12", "severity": "%_'\""},
    "e": {"severity": "high", "minutes": -3, "teams": ["data base"]},
    "f": {"other": 1},
}


def condition(operator: str, key: str, value: object) -> dict[str, object]:
    return {operator: {"key": key, "value": value}}


HIGH = condition("equals", "severity", "HIGH")
LOW = condition("equals", "severity", "LOW")
SHORT = condition("lessThan", "minutes", 20)

EXPECTED: dict[str, tuple[Mapping[str, object], str]] = {
    "equals text": (HIGH, "a"),
    "equals number": (condition("equals", "minutes", 12), "a"),
    "equals float of a whole number": (condition("equals", "minutes", 12.0), "a"),
    "equals boolean": (condition("equals", "paid", True), "a"),
    "a boolean is no number": (condition("equals", "paid", 1), ""),
    "a text is no number": (condition("equals", "minutes", "12"), "d"),
    "notEquals also where the key is missing": (condition("notEquals", "severity", "HIGH"), "bcdef"),
    "greaterThan": (condition("greaterThan", "minutes", 12), "bc"),
    "greaterThanOrEquals": (condition("greaterThanOrEquals", "minutes", 12), "abc"),
    "lessThan": (condition("lessThan", "minutes", 12), "e"),
    "lessThanOrEquals": (condition("lessThanOrEquals", "minutes", 12.5), "ace"),
    "in texts": (condition("in", "severity", ["HIGH", "LOW"]), "ab"),
    "in texts and numbers": (condition("in", "minutes", ["12", 90]), "bd"),
    "notIn": (condition("notIn", "severity", ["HIGH", "LOW"]), "cdef"),
    "startsWith": (condition("startsWith", "severity", "HIGH"), "ac"),
    "startsWith takes signs as they are": (condition("startsWith", "severity", "%_'"), "d"),
    "startsWith is for texts": (condition("startsWith", "minutes", "1"), "d"),
    "stringContains in a text": (condition("stringContains", "severity", "IGH"), "ac"),
    "stringContains in a list": (condition("stringContains", "teams", "a b"), "e"),
    "listContains is the whole member": (condition("listContains", "teams", "db"), "a"),
    "listContains is for lists": (condition("listContains", "severity", "HIGH"), ""),
    "andAll": ({"andAll": [condition("startsWith", "severity", "HIGH"), SHORT]}, "ac"),
    "orAll": ({"orAll": [HIGH, LOW]}, "ab"),
    "nested": ({"andAll": [{"orAll": [HIGH, LOW]}, {"andAll": [SHORT, HIGH]}]}, "a"),
    "quotes in a key": (condition("equals", "severity' OR '1'='1", "HIGH"), ""),
    "quotes in a value": (condition("equals", "severity", "' OR '1'='1"), ""),
}

REFUSED: dict[str, tuple[object, str]] = {
    "empty": ({}, "exactly one operator"),
    "two operators": ({**HIGH, **condition("in", "minutes", [1])}, "exactly one operator"),
    "unknown operator": (condition("like", "severity", "H%"), "no filter operator 'like'"),
    "no key": ({"equals": {"value": 1}}, "key and value"),
    "key that is no text": (
        condition("equals", "severity", 1) | {"equals": {"key": 1, "value": 1}},
        "key and value",
    ),
    "half a character in the key": (condition("equals", "\ud800", 1), "key and value"),
    "more than key and value": ({"equals": {"key": "a", "value": 1, "boost": 2}}, "key and value"),
    "operand that is no object": ({"equals": "severity"}, "key and value"),
    "equals nothing": (condition("equals", "severity", None), "text, a number or a boolean"),
    "equals an empty text": (condition("equals", "severity", ""), "text, a number or a boolean"),
    "equals half a character": (condition("equals", "severity", "\ud800"), "text, a number or a boolean"),
    "equals not a number": (condition("equals", "minutes", float("nan")), "text, a number or a boolean"),
    "equals a number over 64 bits": (condition("equals", "minutes", 10**400), "text, a number or a boolean"),
    "range over a text": (condition("greaterThan", "minutes", "12"), "takes a number"),
    "range over a boolean": (condition("lessThan", "minutes", True), "takes a number"),
    "in a text": (condition("in", "severity", "HIGH"), "1 to 1000 values"),
    "in nothing": (condition("in", "severity", []), "1 to 1000 values"),
    "in too many": (condition("in", "severity", ["x"] * 1_001), "1 to 1000 values"),
    "startsWith a number": (condition("startsWith", "severity", 1), "takes a text"),
    "stringContains nothing": (condition("stringContains", "severity", ""), "takes a text"),
    "listContains half a character": (condition("listContains", "teams", "\udfff"), "takes a text"),
    "andAll of one": ({"andAll": [HIGH]}, "2 to 100 filters"),
    "orAll of no list": ({"orAll": "HIGH"}, "2 to 100 filters"),
    "member that is no filter": ({"orAll": [HIGH, "LOW"]}, "exactly one operator"),
}


@pytest.fixture(scope="module")
def knowledge_base(tmp_path_factory: pytest.TempPathFactory) -> LocalKnowledgeBase:
    folder = tmp_path_factory.mktemp("filters")
    for name, attributes in DOCUMENTS.items():
        typed = {
            key: {"value": {"type": "STRING_LIST", "stringListValue": value}}
            if isinstance(value, list)
            else value
            for key, value in attributes.items()
        }
        (folder / f"{name}.md").write_text(f"# Document {name}", encoding="utf-8")
        sidecar = json.dumps({"metadataAttributes": typed})
        (folder / f"{name}.md.metadata.json").write_text(sidecar, encoding="utf-8")
    knowledge_base = LocalKnowledgeBase(folder / "kb.db", folder, "", None, lambda: datetime.now(UTC))
    job = knowledge_base.start_job(description="", client_token="t" * 40)
    while not job.status.is_final:
        job = knowledge_base.job(job.job_id)
    return knowledge_base


@pytest.mark.parametrize(("given", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_filter_alone_returns_exactly_what_matches(
    given: Mapping[str, object], expected: str, knowledge_base: LocalKnowledgeBase
) -> None:
    hits = knowledge_base.retrieve("", limit=10, filter=given)

    assert "".join(hit.document_key[0] for hit in hits) == expected


@pytest.mark.parametrize(("given", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_filter_with_a_query_returns_nothing_else(
    given: Mapping[str, object], expected: str, knowledge_base: LocalKnowledgeBase
) -> None:
    hits = knowledge_base.retrieve("document", limit=10, filter=given)

    assert "".join(sorted(hit.document_key[0] for hit in hits)) == expected


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_filter_is_refused_with_its_part_named(given: Mapping[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        filter_condition(given)


def test_filter_of_too_many_levels_is_refused() -> None:
    given: Mapping[str, object] = HIGH
    for _ in range(5):
        given = {"andAll": [given, LOW]}

    with pytest.raises(UsageError, match="5 levels"):
        filter_condition(given)


def test_no_filter_is_every_document() -> None:
    assert filter_condition(None) == ANY_DOCUMENT
