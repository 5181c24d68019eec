"""CASES.md, section C: S3 keys and metadata."""

import re
from typing import Any

import pytest

from kbsync.pipeline.transform.keys import document_key
from transform.transforming import render, sidecar_of


def test_o_20_accents_stay_in_the_sidecar_and_out_of_the_key() -> None:
    document = render(incident_id="INC-Ñ-7", source_system="gestión")

    assert sidecar_of(document)["incident_id"] == "INC-Ñ-7"
    assert sidecar_of(document)["source_system"] == "gestión"
    assert document.key.isascii()


@pytest.mark.parametrize("incident_id", ["../../outside", "..", ".", "a/../../b", "", "a\\..\\b"])
def test_o_21_dot_segments_stay_under_the_prefix(incident_id: Any) -> None:
    key = document_key("incidents/", incident_id)

    assert re.fullmatch(r"incidents/[A-Za-z0-9_-]+\.md", key)


def test_o_22_ids_that_clean_to_the_same_name_get_five_keys() -> None:
    ids = ["INC/1", "INC_1", "INC:1", "INC 1", "INC%2F1"]

    assert len({document_key("incidents/", incident_id).lower() for incident_id in ids}) == 5


@pytest.mark.parametrize("incident_id", ["é" * 600, "A" * 1000], ids=["1200 bytes", "1000 ASCII"])
def test_o_23_long_ids_get_short_keys_that_differ(incident_id: Any) -> None:
    document, other = render(incident_id=incident_id), render(incident_id=incident_id + "B")

    assert len(document.sidecar_key.encode()) <= 1024
    assert max(len(part.encode()) for part in document.sidecar_key.split("/")) <= 255
    assert document.key != other.key


def test_o_24_ids_that_differ_in_case_get_names_that_differ_without_it() -> None:
    keys = [
        document_key("incidents/", incident_id).lower() for incident_id in ("INC-abc", "inc-ABC", "INC-ABC")
    ]

    assert len(set(keys)) == 3


def test_o_25_an_id_with_marks_of_links_stays_true_and_needs_no_escaping() -> None:
    document = render(incident_id="INC#1?a+b%20c d")

    assert sidecar_of(document)["incident_id"] == "INC#1?a+b%20c d"
    assert re.fullmatch(r"incidents/[A-Za-z0-9_-]+\.md", document.key)
