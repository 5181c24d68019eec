"""Region, credentials, clock and silence: what makes every other check fail."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import boto3
import pytest
from aws_setup import SetUp
from botocore.exceptions import EndpointConnectionError

from kbsync.doctor.composing import examine_backend
from kbsync.doctor.finding import Code, Severity


def test_asking_in_another_region_names_it_wherever_something_is_missing(
    setup: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT", setup.server.address)
    setup.change(aws_region="us-east-1")

    found = examine_backend(setup.settings, setup.now)

    wrong = [each for each in found if each.severity is Severity.ERROR]
    assert {each.code for each in wrong} == {Code.TABLE_MISSING, Code.LEDGER_MISSING, Code.WRONG_REGION}
    assert [each.subject for each in wrong if each.code is Code.WRONG_REGION] == [
        f"bucket {setup.bucket}",
        "knowledge base KBDOUBLE01",
        f"topic {setup.settings.alert_topic_arn.rpartition(':')[2]}",
    ]
    assert all("us-east-1" in each.seen + each.remedy for each in wrong)


def test_missing_credentials_are_one_finding_and_end_the_checks(
    setup: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials of other tests

    found = examine_backend(setup.settings, setup.now)

    assert [each.code for each in found] == [Code.CREDENTIALS_MISSING]
    assert "AWS_PROFILE" in found[0].remedy


def test_missing_region_is_one_finding(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    setup.change(aws_region="")

    found = examine_backend(setup.settings, setup.now)

    assert [each.code for each in found] == [Code.REGION_MISSING]
    assert "AWS_REGION" in found[0].remedy


def test_profile_that_does_not_exist_is_one_finding(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    found = examine_backend(setup.settings, setup.now)

    assert [(each.code, each.seen) for each in found] == [
        (Code.CREDENTIALS_MISSING, "there are no AWS credentials to use (ProfileNotFound)")
    ]


def test_region_of_the_environment_is_taken_where_settings_name_none(
    setup: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT", setup.server.address)
    setup.change(aws_region="")

    found = examine_backend(setup.settings, setup.now)

    assert {each.severity for each in found} == {Severity.OK}


def test_refused_signature_of_a_wrong_clock_names_the_clock_first(setup: SetUp) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    setup.clock_ahead = timedelta(minutes=10)
    setup.refuse("dynamodb", "InvalidSignatureException", date=date)

    found = setup.findings()

    assert [each.code for each in found] == [Code.CLOCK_SKEW, Code.CREDENTIALS_REFUSED]
    assert re.search(r"60\d s ahead of AWS", found[0].seen)


@pytest.mark.parametrize("date", ["", "yesterday"], ids=["none", "no date"])
def test_answer_without_a_date_says_nothing_of_the_clock(setup: SetUp, date: str) -> None:
    setup.refuse("dynamodb", "ExpiredTokenException", **({"date": date} if date else {}))

    found = setup.findings()

    assert [each.code for each in found] == [Code.CREDENTIALS_REFUSED]


def test_silent_service_is_asked_once_and_the_others_are_looked_at(setup: SetUp) -> None:
    setup.break_off("s3", EndpointConnectionError(endpoint_url="https://s3.invalid"))

    found = setup.findings()

    wrong = [each for each in found if each.severity is not Severity.OK]
    assert [(each.code, each.seen) for each in wrong] == [
        (Code.NO_ANSWER, "no answer to s3:ListBucket (EndpointConnectionError)")
    ]
    assert Code.ALERTS in {each.code for each in found}


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("InternalFailure", 500), ("SlowDown", 503)]
)
def test_busy_service_is_asked_again_later(setup: SetUp, code: str, status: int) -> None:
    setup.refuse("sns", code, status)

    wrong = setup.wrong()

    assert wrong["no-answer"].remedy == "run it again in a minute"


def test_unknown_refusal_is_a_finding_with_its_code(setup: SetUp) -> None:
    setup.refuse("sns", "InvalidParameter")

    wrong = setup.wrong()

    assert wrong["check-failed"].seen == "sns:GetTopicAttributes answered InvalidParameter"
