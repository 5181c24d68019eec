"""Faults are read strictly: a drill that silently tests nothing would be worse than none."""

import pytest

from kbsync.errors import ConfigInvalidError
from kbsync.local.faults import LocalFaults


@pytest.mark.parametrize("text", ["", "{}"], ids=["empty", "empty object"])
def test_nothing_given_is_no_fault(text: str) -> None:
    assert LocalFaults.from_json(text) == LocalFaults()


def test_each_fault_is_read_by_its_name() -> None:
    text = '{"fail_keys": ["INC-1", 7], "job_fails": 2, "zero_scan": true}'

    faults = LocalFaults.from_json(text)

    assert faults == LocalFaults(fail_keys=("INC-1", "7"), job_fails=2, zero_scan=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"jobs_fail": 1}', "jobs_fail"),
        ('{"job_fails": true}', "job_fails"),
        ('{"job_fails": "1"}', "job_fails"),
        ('{"zero_scan": 1}', "zero_scan"),
        ('{"fail_keys": "INC-1"}', "fail_keys"),
    ],
    ids=[
        "broken",
        "array",
        "unknown",
        "boolean for number",
        "text for number",
        "number for boolean",
        "text for list",
    ],
)
def test_what_is_no_fault_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigInvalidError, match=message):
        LocalFaults.from_json(text)
