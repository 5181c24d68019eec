"""Errors of AWS by their consequence, without a service: what the stand-in never answers."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
)

from kbsync.aws.aws_errors import translated_aws_errors
from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    JobAlreadyRunningError,
    KbSyncError,
    ThrottledError,
    UnavailableError,
)


def refused(code: str, status: int = 400) -> ClientError:
    """Return the error of a service that refuses with this code."""
    said = {"Error": {"Code": code, "Message": "secret text"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "UpdateItem")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, ThrottledError),
        ("TransactionConflictException", 400, ThrottledError),
        ("SlowDown", 503, ThrottledError),
        ("ConflictException", 409, JobAlreadyRunningError),
        ("ExpiredTokenException", 400, AccessDeniedError),
        ("ResourceNotFoundException", 400, ConfigInvalidError),
        ("InternalServerError", 500, UnavailableError),
        ("ValidationException", 400, FatalError),
    ],
)
def test_code_of_a_service_decides_and_its_message_stays_out(
    code: str, status: int, error: type[KbSyncError]
) -> None:
    with (
        pytest.raises(error, match=rf"^table x: UpdateItem answered {code}") as caught,
        translated_aws_errors("table x"),
    ):
        raise refused(code, status)

    assert "secret text" not in str(caught.value)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (NoCredentialsError(), AccessDeniedError),
        (CredentialRetrievalError(provider="p", error_msg="m"), AccessDeniedError),
        (ParamValidationError(report="secret text"), FatalError),
        (ConnectTimeoutError(endpoint_url="http://x"), UnavailableError),
    ],
    ids=["none", "not-retrieved", "invalid-request", "no-answer"],
)
def test_failures_before_any_answer_are_told_apart(raised: BotoCoreError, error: type[KbSyncError]) -> None:
    with pytest.raises(error, match=r"^table x: ") as caught, translated_aws_errors("table x"):
        raise raised

    assert "secret text" not in str(caught.value)
