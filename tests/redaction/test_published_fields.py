"""An allow-list of fields: what it does not name is in no document, sidecar or JSON record."""

import pytest

from builders import an_incident
from kbsync.bootstrap import rules_of
from kbsync.errors import ConfigInvalidError
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.setting_sources import load_settings
from kbsync.setting_types import PUBLISHABLE
from transform.transforming import render, sidecar_of, text_of

FULL = an_incident(
    error_message="ERR-77",
    environment="production",
    language="en",
    source_url="https://tickets.example.test/77",
    affected_systems=["orders-db"],
    cline_work={
        "solution": {"steps": ["Raise it"], "code_changes": [{"file": "pool.py", "description": "40"}]}
    },
)


def rendered(*allowed: str) -> bytes:
    rules = TransformRules(json_records_prefix="records/", published_fields=allowed)
    document = render(rules, **FULL)
    return document.body + document.sidecar + document.json_record


def test_fields_that_are_not_allowed_are_nowhere() -> None:
    document = render(TransformRules(published_fields=("title", "resolution", "category")), **FULL)

    assert "Raised the pool size to 40." in text_of(document)
    assert "Connections time out" not in text_of(document) + str(sidecar_of(document))
    assert set(sidecar_of(document)) == {"body_sha", "category", "external_id", "incident_id", "title"}


@pytest.mark.parametrize("field", PUBLISHABLE)
def test_every_field_that_can_be_named_makes_a_difference(field: str) -> None:
    others = tuple(each for each in PUBLISHABLE if each != field)

    assert rendered(*others) != rendered(*PUBLISHABLE)


def test_all_fields_are_what_an_empty_list_allows() -> None:
    assert rendered(*PUBLISHABLE) == rendered()


def test_unknown_fields_are_told_all_at_once_with_those_there_are() -> None:
    with pytest.raises(
        ConfigInvalidError, match=r"incident, titel cannot be published; the fields are title, "
    ):
        load_settings({"published_fields": "titel,incident,tags"}, {})


def test_setting_reaches_the_rules() -> None:
    settings = load_settings({"published_fields": "title, tags"}, {})

    assert rules_of(settings).published_fields == ("title", "tags")
