"""CASES.md, section B: shapes of items, as the transform reads them."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kbsync.errors import UnreadableIncidentError
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
from transform.transforming import BASE, render, sidecar_of, text_of


def test_o_06_sidecar_fits_by_bytes_and_the_body_holds_all_tags() -> None:
    tags = [f"{'ñ' * 8}{number:02x}" for number in range(150)]

    document = render(tags=tags, external_id="EXT-77")

    sidecar = sidecar_of(document)
    assert len(document.sidecar) <= 1024
    assert sidecar["incident_id"] == "INC-1001"
    assert (sidecar["status"], sidecar["severity"]) == ("CLOSED", "high")
    assert (sidecar["created_date"], sidecar["resolved_date"]) == (20250310, 20250310)
    assert set(str(sidecar["tags"]).split(",")) < set(tags)
    assert all(tag in text_of(document) for tag in tags)
    assert "sidecar: tags was cut" in document.notes


@pytest.mark.parametrize(
    ("value", "text"), [(Decimal(1234), "1234"), ("7c0e-19b", "7c0e-19b"), (Decimal(1), "1")]
)
def test_o_07_an_attribute_has_one_type_for_all_items(value: Any, text: Any) -> None:
    sidecar = sidecar_of(render(external_id=value, severity=value))

    assert (sidecar["external_id"], sidecar["severity"]) == (text, text)


def test_o_07_a_value_that_cannot_be_cast_is_left_out_and_noted() -> None:
    document = render(severity={"x": 1})

    assert "severity" not in sidecar_of(document)
    assert "severity was left out: it holds a dict" in document.notes


@pytest.mark.parametrize(("number", "shown"), [("1E+3", "1000"), ("0.10", "0.1"), ("5432.0", "5432")])
def test_o_11_numbers_print_by_one_rule(number: Any, shown: Any) -> None:
    value = Decimal(number)
    change = {
        "affected_users": value,
        "affected_systems": [value],
        "cline_work": {"solution": {"steps": [{"port": value, "more": [value, {"deep": value}]}]}},
    }

    document = render(**change)

    assert f"1. more: {shown}, deep: {shown}; port: {shown}\n" in text_of(document)
    assert f"## Sistemas afectados\n\n{shown}\n" in text_of(document)
    assert render(**change).fingerprint == document.fingerprint


_PROGRAM = """
from decimal import Decimal
from transform.transforming import BASE, render
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.transform import IncidentTransform
for tags in ({"weekend", "db", "alpha"}, {"db"}, {Decimal(2), Decimal(10)}):
    document = render(tags=tags, affected_systems=tags)
    transform = IncidentTransform(TransformRules())
    print(document.fingerprint, transform.source_version({**BASE, "tags": tags}), transform.rendered_by)
"""


@pytest.mark.slow
def test_o_12_sets_give_identical_bytes_in_two_processes() -> None:
    """Slow (2 s): two new processes, since the order of a set differs only between processes."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1
    assert next(iter(outputs)).count(b"\n") == 3


@pytest.mark.parametrize(
    ("tags", "shown"), [({"weekend", "db", "alpha"}, "alpha,db,weekend"), ({"db"}, "db")]
)
def test_o_12_sets_are_sorted(tags: Any, shown: Any) -> None:
    assert sidecar_of(render(tags=tags))["tags"] == shown


@pytest.mark.parametrize(
    ("resolved", "minutes"), [("2025-03-10T09:30:06Z", 90), ("2025-03-10T08:00:00.1Z", 0)]
)
def test_o_13_a_duration_is_an_integer(resolved: Any, minutes: Any) -> None:
    assert sidecar_of(render(resolved_at=resolved))["resolution_time_minutes"] == minutes


@pytest.mark.parametrize("value", [float("nan"), Decimal("NaN"), Decimal("Infinity")])
def test_o_13_not_a_number_is_never_written(value: Any) -> None:
    document = render(severity=value, resolved_at=value)

    assert b"NaN" not in document.sidecar
    assert b"Infinity" not in document.sidecar


def test_o_14_null_and_empty_count_as_missing() -> None:
    document = render(
        title="",
        error_message=None,
        environment=None,
        affected_systems=[None, ""],
        resolution={**BASE["resolution"], "root_cause": None},
        cline_work={"analysis": {"root_cause": "From the analysis."}},
    )

    text = text_of(document)
    assert text.startswith("# Connections time out after 30 s.\n")
    assert "## Causa raíz\n\nFrom the analysis.\n" in text
    assert "None" not in text + document.sidecar.decode()
    assert "null" not in text + document.sidecar.decode()


@pytest.mark.parametrize(
    "value", [Decimal(1741599000), Decimal(1741599000000), "1741599000"], ids=["s", "ms", "text"]
)
def test_o_17_epoch_seconds_or_milliseconds_give_the_same_date(value: Any) -> None:
    document = render(resolved_at=value)

    assert document.fingerprint == render(resolved_at="2025-03-10T09:30:00Z").fingerprint
    assert sidecar_of(document)["resolved_date"] == 20250310


@pytest.mark.parametrize("value", [Decimal(42), "yesterday"])
def test_o_17_what_is_no_date_gives_a_note_and_a_document(value: Any) -> None:
    document = render(resolved_at=value)

    assert "resolved_date" not in sidecar_of(document)
    assert sidecar_of(document)["resolved_text"] == str(value)
    assert "resolved_at is no date that can be read with certainty" in document.notes


def test_o_18_a_description_of_399000_bytes_is_rendered_whole() -> None:
    assert b"x" * 399_000 in render(description="x" * 399_000).body


def test_o_19_naive_and_aware_times_meet_in_one_zone() -> None:
    first = render(created_at="2025-03-10 08:00:00", resolved_at="2025-03-10T09:30:00.000+0000")
    second = render(created_at="2025-03-10T08:00:00Z", resolved_at="2025-03-10T10:30:00+02:00")
    madrid = render(TransformRules(timezone="Europe/Madrid"), created_at="2025-03-10 08:00:00")

    assert sidecar_of(first)["resolution_time_minutes"] == 90
    assert sidecar_of(second)["resolution_time_minutes"] == 30
    assert sidecar_of(madrid)["resolution_time_minutes"] == 150


def test_o_30_a_map_for_a_title_is_unreadable_and_tells_no_content() -> None:
    with pytest.raises(UnreadableIncidentError, match=r"^title is no text: it holds a dict$"):
        render(title={"x": b"\x00\x01"})


def test_o_34_a_document_holds_nothing_of_the_run() -> None:
    document = render()

    status = {"synced": True, "sync_attempts": 7, "synced_at": "2026-01-01T00:00:00Z"}
    assert render(kb_sync_status=status).fingerprint == document.fingerprint
    transform = IncidentTransform(TransformRules())
    assert transform.source_version({**BASE, "kb_sync_status": status}) == transform.source_version(BASE)
