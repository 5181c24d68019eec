from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kbsync.errors import ConfigInvalidError
from kbsync.pipeline.transform.dates import read_moment
from kbsync.pipeline.transform.rules import TransformRules
from transform.transforming import render, sidecar_of

ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-26T07:35:16Z", (2024, 6, 26, 7, 35, 16)),
        ("2021-04-14T07:30:00-00:00", (2021, 4, 14, 7, 30)),
        ("2023-12-06T9:15:00-00:00", (2023, 12, 6, 9, 15)),
        ("2025-09-29T16:54", (2025, 9, 29, 16, 54)),
        ("2021-06-01T23:00:00", (2021, 6, 1, 23)),
        ("Aug 2, 2018 06:00 -0400", (2018, 8, 2, 10)),
        ("Jul 11, 2023 0:00 +0000", (2023, 7, 11)),
        ("30/Sep/21 17:20", (2021, 9, 30, 17, 20)),
        ("30/Sep/99 17:20", (1999, 9, 30, 17, 20)),
        ("2020-01-02 17:14:21+00:00", (2020, 1, 2, 17, 14, 21)),
        ("2021-11-05 9:29", (2021, 11, 5, 9, 29)),
        ("2022-03-10 11.56", (2022, 3, 10, 11, 56)),
        ("2020-07-15 07:00 UTC", (2020, 7, 15, 7)),
        ("2020-07-15 07:00 PDT", (2020, 7, 15, 14)),
        ("2020-07-15 07:00 GMT+02:00", (2020, 7, 15, 5)),
        ("3/15/2025 2:30 PM", (2025, 3, 15, 14, 30)),
        ("3/15/2025 12:05 a.m.", (2025, 3, 15, 0, 5)),
        ("12 de marzo de 2025 10:00", (2025, 3, 12, 10)),
        ("miércoles, 12 de marzo del 2025 a las 10:00", (2025, 3, 12, 10)),
        ("Mon, 10 Mar 2025 09:30:00 +0000", (2025, 3, 10, 9, 30)),
        ("Mon Mar 10 09:30:00 UTC 2025", (2025, 3, 10, 9, 30)),
        ("Mon Mar 10 09:30:00 2025", (2025, 3, 10, 9, 30)),
        ("20250310T093000Z", (2025, 3, 10, 9, 30)),
        ("2025-03-10t09:30:00z", (2025, 3, 10, 9, 30)),
        ("2025-03-10 09:30:00+02", (2025, 3, 10, 7, 30)),
        ("3/15/2025 2:30\u202fPM", (2025, 3, 15, 14, 30)),
        ("1741599000.5", (2025, 3, 10, 9, 30, 0, 500_000)),
        (Decimal(1741599000000000), (2025, 3, 10, 9, 30)),
        ("1741599000000000000", (2025, 3, 10, 9, 30)),
        ("1624564393", (2021, 6, 24, 19, 53, 13)),
        (Decimal(1624564393000), (2021, 6, 24, 19, 53, 13)),
    ],
)
def test_a_moment_in_a_known_form_is_read(text: Any, expected: Any) -> None:
    moment = read_moment(text, ZONE, "")

    assert moment is not None
    assert moment.at == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("12/17/2023", "", date(2023, 12, 17)),
        ("17/12/2023", "", date(2023, 12, 17)),
        ("04/04/2017", "", date(2017, 4, 4)),
        ("03/04/2025", "MDY", date(2025, 3, 4)),
        ("03/04/2025", "DMY", date(2025, 4, 3)),
        ("12/17/2023", "DMY", date(2023, 12, 17)),
        ("July 14, 2025", "", date(2025, 7, 14)),
        ("May 12 2025", "", date(2025, 5, 12)),
        ("2021-12-10", "", date(2021, 12, 10)),
        ("2023-01-04 (Time TBC)", "", date(2023, 1, 4)),
    ],
)
def test_a_day_without_a_time_is_a_day_and_no_moment(text: Any, order: Any, expected: Any) -> None:
    moment = read_moment(text, ZONE, order)

    assert moment is not None
    assert (moment.day, moment.at) == (expected, None)


@pytest.mark.parametrize(
    "text",
    [
        "2020", "03/04/2025", "yesterday", "42", "2025-13-01", "31/Foo/2021", "2020-07-15 07:00 CST",
        "99999999999",
        "2025-03-10 25:00", "0000-01-01", "0001-01-01", "9999-12-31T23:59:59Z", "1969-12-31", "2025-02-30",
        "2025-03-10T24:00:00Z", "2025-W11-1", "10/03/25", "2025-03-10 25:00 PM", "2025-03-10 13:00 AM",
        "2025-03-10 10:00 +02:99", "2025-03-10T09:30:60Z", "20250310093000", "1" * 30, "n/a",
        "2025-03-10" + " " * 200 + "10:00",
        "0001-01-01 00:00 +14:00", "", "20250310",
        "2020-01-01 10:00 +99:00",
    ],
)  # fmt: skip
def test_what_is_not_certain_is_not_read(text: Any) -> None:
    assert read_moment(text, ZONE, "") is None


@pytest.mark.parametrize(
    "resolved", ["2025-03-10T07:59:00Z", "2035-05-10T08:00:00Z"], ids=["negative", "ten years"]
)
def test_an_absurd_resolution_time_is_left_out_and_noted(resolved: Any) -> None:
    document = render(resolved_at=resolved)

    assert "resolution_time_minutes" not in sidecar_of(document)
    assert any(note.startswith("resolution_time_minutes was left out") for note in document.notes)


@pytest.mark.parametrize("text", ["2025-03-30 02:30", "2025-10-26 02:30"], ids=["skipped", "shown twice"])
def test_a_local_time_that_is_not_one_instant_gives_the_day_alone(text: str) -> None:
    moment = read_moment(text, ZoneInfo("Europe/Madrid"), "")

    assert moment is not None
    assert (moment.day, moment.at) == (date.fromisoformat(text[:10]), None)


def test_an_unreadable_date_is_kept_as_text_and_noted() -> None:
    document = render(created_at=" 2025-02-30\u200b ")

    assert sidecar_of(document)["created_text"] == "2025-02-30"
    assert "created_at is no date that can be read with certainty" in document.notes


def test_days_alone_give_no_resolution_time() -> None:
    assert "resolution_time_minutes" not in sidecar_of(
        render(created_at="04/04/2017", resolved_at="04/04/2017")
    )


def test_the_resolution_s_own_time_counts_where_the_incident_has_none() -> None:
    assert sidecar_of(render(resolved_at=None))["resolved_date"] == 20250310


def test_a_day_is_told_in_the_configured_zone() -> None:
    rules = TransformRules(timezone="Europe/Madrid")

    assert sidecar_of(render(rules, resolved_at="2025-03-10T23:30:00Z"))["resolved_date"] == 20250311


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"timezone": "../etc"}, "timezone"),
        ({"date_order": "YMD"}, "date_order"),
        ({"prefix": "x" * 701}, "prefix"),
    ],
)
def test_rules_that_cannot_work_are_refused(change: Any, message: Any) -> None:
    with pytest.raises(ConfigInvalidError, match=message):
        TransformRules(**change)
