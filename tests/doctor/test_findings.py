"""Findings themselves: what an error of ours becomes, their order, and that every code is explained."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kbsync.doctor.finding import (
    Code,
    Finding,
    FindingError,
    Severity,
    clock_finding,
    error,
    examine,
    findings_view,
    warning,
    well,
)
from kbsync.errors import AccessDeniedError, KbSyncError, MissingExtraError, UnavailableError

PAGE = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")
FINE = well(Code.HOME, "home", "fine")


def _raising(raised: Exception) -> Iterator[Finding]:
    yield FINE
    raise raised


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        pytest.param(AccessDeniedError("no", hint="allow it"), Code.PERMISSION_MISSING, id="denied"),
        pytest.param(MissingExtraError("no", hint="allow it"), Code.EXTRA_MISSING, id="extra"),
        pytest.param(UnavailableError("no", hint="allow it"), Code.CHECK_FAILED, id="unavailable"),
    ],
)
def test_error_of_ours_ends_its_check_only_and_keeps_its_hint(raised: KbSyncError, code: Code) -> None:
    other = well(Code.DISK_SPACE, "disk", "enough")

    found = examine([("home", lambda: _raising(raised)), ("disk", lambda: [other])])

    assert found == [FINE, error(code, "home", "no", "allow it"), other]


def test_same_finding_of_two_checks_is_told_once() -> None:
    absent = FindingError(error(Code.TABLE_MISSING, "table", "gone", "make one"))

    found = examine([("one", lambda: _raising(absent)), ("two", lambda: _raising(absent))])

    assert found == [FINE, absent.finding]


def test_finding_that_ends_all_is_the_last() -> None:
    last = FindingError(error(Code.REGION_MISSING, "AWS account", "none", "name one"), ends_all=True)

    found = examine([("one", lambda: _raising(last)), ("two", lambda: [FINE])])

    assert found == [FINE, last.finding]


def test_view_has_the_worst_first_and_plain_values() -> None:
    bad, odd = error(Code.DISK_FULL, "disk", "1", "2"), warning(Code.PAUSED, "runs", "3", "4")

    view = findings_view([FINE, odd, bad])

    assert view == {
        "ok": False,
        "errors": 1,
        "warnings": 1,
        "findings": [
            {"code": "disk-full", "severity": "error", "subject": "disk", "seen": "1", "remedy": "2"},
            {"code": "paused", "severity": "warning", "subject": "runs", "seen": "3", "remedy": "4"},
            {"code": "home", "severity": "ok", "subject": "home", "seen": "fine", "remedy": ""},
        ],
    }


@pytest.mark.parametrize(
    ("seconds", "severity", "said"),
    [
        (0, Severity.OK, "in step with AWS"),
        (-29, Severity.OK, "in step with AWS"),
        (31, Severity.WARNING, "31 s ahead of AWS"),
        (-300, Severity.WARNING, "300 s behind AWS"),
        (301, Severity.ERROR, "301 s ahead of AWS"),
    ],
)
def test_clock_is_judged_by_how_far_it_is_off(seconds: int, severity: Severity, said: str) -> None:
    found = clock_finding(timedelta(seconds=seconds), "AWS")

    assert found.severity is severity
    assert said in found.seen


def test_every_code_is_explained_once_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE, flags=re.MULTILINE)

    assert sorted(rows) == sorted(map(str, Code))
