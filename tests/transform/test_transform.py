from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsync.errors import DocumentTooLargeError, RedactionFailedError, UnreadableIncidentError
from kbsync.model import NoDocument, StoredIncident, WithdrawReason
from kbsync.pipeline.transform.canonical import digest_of, length_prefixed_digest, number_text
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from transform.transforming import BASE, code_blocks_of, headings_of, render, sidecar_of, text_of

HIDDEN = "data\u200bbase"
STRUCTURE = st.sampled_from(
    ["# ", "## ", "#", "===", "---", "-", "```", "~~~", "````x", "> ", "- ", "1. ", "   ", "    ", "\t",
    "\n", "\n\n",
     "<pre>", "<!--", "-->", "<div>", "</div>", "<script>", "<?x", "<![CDATA[", "{code}", "h2. ",
     "<h2>x</h2>", "<p>",
     "</p>", "<br>", "[code]", "[/code]", "&#10;# y", "word", "|", "[a]: b", "\\", "*", "{noformat}",
     "[REDACTED:x]"]
)  # fmt: skip
TEXTS = st.lists(STRUCTURE | st.text(max_size=5), max_size=25).map("".join)


def refused(rules: TransformRules | None = None, **changes: object) -> NoDocument:
    wanted = IncidentTransform(rules or TransformRules()).desired(
        StoredIncident("I", {**BASE, **changes}, "")
    )
    assert isinstance(wanted, NoDocument)
    return wanted


def test_the_whole_document_of_a_closed_incident() -> None:
    document = render(
        title="Pool exhausted  #1 ##",
        error_message="FATAL: too many clients",
        affected_systems=["orders-db", "api"],
        cline_work={
            "solution": {
                "description": "unused: the resolution has its own",
                "steps": ["Stop it.\nWait.", "Start it.", None],
                "code_changes": [
                    {"file": "pool.py", "description": "40", "lines": Decimal(3)},
                    "retry.py",
                    {},
                    None,
                ],
            }
        },
    )

    assert text_of(document) == (
        "# Pool exhausted #1 \\##\n\n"
        "## Problema\n\nConnections time out after 30 s.\n\n"
        "## Mensaje de error\n\n```\nFATAL: too many clients\n```\n\n"
        "## Causa raíz\n\nLeak in retry path.\n\n"
        "## Resolución\n\nRaised the pool size to 40.\n\n"
        "## Pasos\n\n1. Stop it.\n   Wait.\n2. Start it.\n\n"
        "## Cambios de código\n\n- pool.py: 40; lines: 3\n- retry.py\n\n"
        "## Sistemas afectados\n\norders-db, api\n\n"
        "## Etiquetas\n\ndb, pool\n"
    )
    assert sidecar_of(document) == {
        "body_sha": document.body_hash[:12],
        "category": "database",
        "created_date": 20250310,
        "external_id": "EXT-77",
        "incident_id": "INC-1001",
        "priority": "P2",
        "resolution_time_minutes": 90,
        "resolution_type": "fix",
        "resolved_date": 20250310,
        "severity": "high",
        "source_system": "servicenow",
        "status": "CLOSED",
        "tags": "db,pool",
        "title": "Pool exhausted #1 ##",
    }
    assert document.sidecar.startswith(b'{"metadataAttributes":{"body_sha":"')


@pytest.mark.parametrize("language", ["en", "en-GB", " EN_us "])
def test_headings_are_in_the_incident_s_language(language: Any) -> None:
    assert ("h2", "Problem") in headings_of(text_of(render(language=language)))


def test_an_unknown_language_gets_the_configured_headings() -> None:
    assert ("h2", "Problem") in headings_of(
        text_of(render(TransformRules(document_language="en"), language="fr"))
    )
    assert ("h2", "Problema") in headings_of(text_of(render(TransformRules(document_language="fr"))))


def test_an_incident_without_any_text_still_has_a_heading() -> None:
    document = render(title=None, description=None, resolution=None, tags=None)

    assert text_of(document) == "# Incidencia\n"


@pytest.mark.parametrize(
    ("changes", "resolution", "cause"),
    [
        ({"resolution": "Plain text."}, "Plain text.", ""),
        ({"resolution": {"description": " "}}, "From the solution.", "From the analysis."),
        ({"resolution": None}, "From the solution.", "From the analysis."),
        ({"resolution": {"description": ["One.", "Two."], "root_cause": "Own."}}, "One.\nTwo.", "Own."),
    ],
)
def test_resolution_and_root_cause_fall_back_as_in_the_original(
    changes: Any, resolution: Any, cause: Any
) -> None:
    work = {
        "solution": {"description": "From the solution."},
        "analysis": {"root_cause": "From the analysis."},
    }

    text = text_of(render(**changes, cline_work=work))

    assert f"## Resolución\n\n{resolution}\n" in text
    assert f"## Causa raíz\n\n{cause}" in text


@pytest.mark.parametrize("tags", ["db, pool ,,db", ["db", "pool", " "], {"pool", "db"}, ("db", "pool")])
def test_tags_come_as_list_set_or_comma_text(tags: Any) -> None:
    assert sidecar_of(render(tags=tags))["tags"] == "db,pool"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"description": b"\x00"}, "description is no text: it holds a bytes"),
        ({"error_message": [b"\x00"]}, "error_message is no text: it holds a list"),
        ({"resolution": {"root_cause": {"a": 1}}}, "resolution.root_cause is no text: it holds a dict"),
    ],
)
def test_what_is_no_text_is_unreadable_and_the_message_tells_only_names(changes: Any, message: Any) -> None:
    with pytest.raises(UnreadableIncidentError) as caught:
        render(**changes)

    assert str(caught.value) == message


def test_a_binary_inside_a_step_is_left_out() -> None:
    assert "1. a: x\n" in text_of(render(cline_work={"solution": {"steps": [{"a": "x", "b": b"\x00"}]}}))


def test_truth_values_are_told_as_words() -> None:
    assert (
        sidecar_of(render(environment=True, category=False)).items()
        >= {
            "environment": "true",
            "category": "false",
        }.items()
    )


@pytest.mark.parametrize("status", ["OPEN", "closed", "", None, {"S": "CLOSED"}, 1])
def test_an_incident_that_is_not_closed_wants_no_document(status: Any) -> None:
    assert refused(status=status) == NoDocument(WithdrawReason.NOT_CLOSED, "status is not one of CLOSED")


def test_white_space_around_a_status_does_not_count() -> None:
    assert render(status=" CLOSED ")
    assert render(TransformRules(closed_statuses=("Done", "CLOSED")), status="Done")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("category", "DataBase"),
        ("category", HIDDEN),
        ("category", "other, database"),
        ("labels", ["x", {"deep": {"database"}}]),
        ("resolution.kind", "database"),
    ],
)
def test_a_rule_matches_whatever_the_form_of_the_value(path: Any, value: Any) -> None:
    top, _, inner = path.partition(".")
    changes = {top: {inner: value} if inner else value}
    rule = ((path, ("none", "database")),)

    assert refused(TransformRules(exclude=rule), **changes) == NoDocument(
        WithdrawReason.EXCLUDED, f"{path} is database"
    )
    assert (
        refused(TransformRules(exclude=rule, confidential=rule), **changes).reason
        is WithdrawReason.CONFIDENTIAL
    )


@pytest.mark.parametrize("value", ["web", None, b"database", [], {}])
def test_a_rule_without_a_match_excludes_nothing(value: Any) -> None:
    assert render(TransformRules(exclude=(("category", ("database",)), ("a.b", ("x",)))), category=value)


def test_a_document_over_the_limit_is_refused() -> None:
    with pytest.raises(DocumentTooLargeError, match=r"^the document has \d+ bytes, 100 are allowed$"):
        render(TransformRules(max_document_bytes=100))


def test_a_failing_redaction_lets_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kbsync.pipeline.transform.redact._applied", lambda *_: 1 / 0)

    with pytest.raises(RedactionFailedError):
        render(description="password=hunter2")


def test_rendered_by_changes_with_every_setting() -> None:
    changes = [
        TransformRules(), TransformRules(prefix="x/"), TransformRules(closed_statuses=("X",)),
        TransformRules(document_language="en"), TransformRules(timezone="Europe/Madrid"),
        TransformRules(date_order="MDY"), TransformRules(metadata_budget_bytes=10),
        TransformRules(max_error_bytes=9),
        TransformRules(exclude=(("a", ("b",)),)), TransformRules(confidential=(("a", ("b",)),)),
    ]  # fmt: skip

    assert len({IncidentTransform(rules).rendered_by for rules in changes}) == len(changes)


@pytest.mark.parametrize("name", ["title", "status", "updated_at", "cline_work", "tags", "secrecy", "team"])
def test_source_version_sees_every_attribute_it_must(name: Any) -> None:
    rules = TransformRules(exclude=(("team.name", ("x",)),), confidential=(("secrecy", ("x",)),))
    transform = IncidentTransform(rules)

    versions = {transform.source_version({**BASE, name: value}) for value in ("a", None, "", [], Decimal(1))}

    assert len({transform.source_version({k: v for k, v in BASE.items() if k != name}), *versions}) == 6


def test_source_version_is_the_same_for_equal_values() -> None:
    version = IncidentTransform(TransformRules()).source_version

    assert version({"tags": {"a", "b"}, "title": Decimal("1E+3")}) == version(
        {"title": 1000, "tags": {"b", "a"}}
    )
    assert version({"severity": 1.0}) == version({"severity": Decimal("1.00")})
    assert version({"severity": True}) != version({"severity": 1})
    assert version({"title": b"a"}) != version({"title": "a"})
    assert version({"title": {"a", "b"}}) != version({"title": ["a", "b"]})
    assert version({"title": "a", "synced": 1}) == version({"title": "a"})


def test_a_value_of_an_unknown_type_counts_by_its_type() -> None:
    assert digest_of([object()]) == digest_of([object()]) != digest_of([bytearray()])


def test_a_very_deep_value_has_a_digest() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]

    assert len(digest_of(deep)) == 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (0.1, "0.1"),
        (12, "12"),
        (Decimal("1E+200"), "1E+200"),
    ],
)
def test_numbers_have_one_text(value: Any, text: Any) -> None:
    assert number_text(value) == text


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_headings_are_exactly_ours_whatever_the_text_says(one: Any, other: Any, error: Any) -> None:
    """Slow (3 s): 150 made-up documents read by a CommonMark parser of its own."""
    document = render(
        title=one,
        description=one,
        error_message=error,
        resolution={"root_cause": other, "description": other},
        cline_work={
            "solution": {"steps": [one, "x"], "code_changes": [{"file": other, "description": one}, "x"]}
        },
        affected_systems=[other, "x"],
        tags=[one, "x"],
    )

    text = text_of(document)
    headings = [name for tag, name in headings_of(text) if tag == "h2"]
    order = ["Problema", "Mensaje de error", "Causa raíz", "Resolución", "Pasos", "Cambios de código"]
    assert [tag for tag, _ in headings_of(text)].count("h1") == 1
    assert headings_of(text)[0][0] == "h1"
    assert headings == [
        name for name in [*order, "Sistemas afectados", "Etiquetas"] if f"\n## {name}\n" in text
    ]
    assert headings[-4:] == ["Pasos", "Cambios de código", "Sistemas afectados", "Etiquetas"]
    assert text.endswith("\n")
    assert "\r" not in text
    assert IncidentTransform(TransformRules()).desired(
        StoredIncident("INC-1001", {**BASE, "title": one, "description": one}, "")
    ) == render(title=one, description=one)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=700),
    st.text(max_size=300),
    st.lists(st.text(max_size=60), max_size=40),
    st.integers(min_value=512, max_value=10_240),
)
def test_the_sidecar_stays_within_its_budget_and_keeps_identity(
    incident_id: Any, text: Any, tags: Any, budget: Any
) -> None:
    rules = TransformRules(metadata_budget_bytes=budget)

    document = render(
        rules, incident_id or "x", title=text, tags=tags, external_id=text, severity=text, source_url=text
    )

    assert len(document.sidecar) <= budget
    sidecar = sidecar_of(document)
    assert {"incident_id", "status", "created_date", "resolved_date", "body_sha"} <= set(sidecar)
    assert all(type(value) in (str, int) and value != "" for value in sidecar.values())


def test_ids_are_shortened_only_as_the_last_resort_and_noted() -> None:
    document = render(incident_id="é" * 600, external_id="x" * 900)

    sidecar = sidecar_of(document)
    assert str(sidecar["incident_id"]).startswith("é" * 10)
    assert "~" in str(sidecar["incident_id"])
    assert str(sidecar["incident_id"]) != sidecar_of(render(incident_id="é" * 601))["incident_id"]
    assert {"sidecar: incident_id was shortened", "sidecar: external_id was shortened"} <= set(document.notes)


@given(
    st.lists(st.binary(max_size=6), min_size=3, max_size=3),
    st.lists(st.binary(max_size=6), min_size=3, max_size=3),
)
def test_a_fingerprint_changes_exactly_when_a_part_does(one: Any, other: Any) -> None:
    assert (length_prefixed_digest(one) == length_prefixed_digest(other)) == (one == other)


def test_the_fingerprint_is_over_key_body_and_sidecar() -> None:
    document = render()

    parts = (document.key.encode(), document.body, document.sidecar)
    assert document.fingerprint == length_prefixed_digest(parts)
    assert render(TransformRules(prefix="x/")).fingerprint != document.fingerprint
    assert render(priority="P1").body_hash == document.body_hash
    assert render(priority="P1").fingerprint != document.fingerprint
    assert replace(document, fingerprint="") != document


def test_an_error_in_a_fence_keeps_its_exact_text() -> None:
    error = "~~~\n`````\n  # x\n\n---"

    assert code_blocks_of(text_of(render(error_message=error))) == [error + "\n"]
