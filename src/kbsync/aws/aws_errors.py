"""Errors of AWS, translated by their consequence: the code decides, never the message.

Imports botocore and errors. Invariant: no incident text, credential or request body goes into a message.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
)

from kbsync.errors import (
    AccessDeniedError,
    ConfigInvalidError,
    FatalError,
    JobAlreadyRunningError,
    KbSyncError,
    ThrottledError,
    UnavailableError,
)

_THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceQuotaExceededException",
        "SlowDown",
        "Throttled",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_DENIALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "KMSAccessDeniedException",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_MISSING = frozenset({"NoSuchBucket", "NotFound", "NotFoundException", "ResourceNotFoundException"})


def code_of(error: ClientError) -> str:
    """Return the error's code, such as `ConditionalCheckFailedException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the error's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def translated_aws_errors(subject: str) -> Iterator[None]:
    """Raise our errors for those of the block; `subject` names table, bucket or knowledge base.

    Raises:
        ThrottledError, JobAlreadyRunningError (retriable): nothing was changed.
        UnavailableError (retriable): no answer, or a server's error: the effect may have happened.
        AccessDeniedError, ConfigInvalidError (fatal): the hint names what to grant or to correct.
        FatalError: the service refused the request itself, which is a fault of ours.
    """
    try:
        yield
    except ClientError as error:
        raise translated(error, subject) from error
    except (NoCredentialsError, CredentialRetrievalError) as error:
        raise AccessDeniedError(
            f"{subject}: there are no AWS credentials", hint="log in, or set AWS_PROFILE"
        ) from error
    except ParamValidationError as error:
        raise FatalError(f"{subject}: the request was not valid ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise UnavailableError(f"{subject}: no answer ({type(error).__name__})", hint="try again") from error


def translated(error: ClientError, subject: str) -> KbSyncError:
    """Return our error for one of a service; conditions that did not hold are the caller's to catch first."""
    code, operation = code_of(error), error.operation_name
    said = f"{subject}: {operation} answered {code}"
    if code in _THROTTLES:
        return ThrottledError(said, hint="the next run goes on")
    if code == "ConflictException":
        return JobAlreadyRunningError(said)
    if code in _DENIALS:
        return AccessDeniedError(said, hint=f"allow {operation} on it, or check the credentials")
    if code in _MISSING:
        return ConfigInvalidError(
            f"{said}: it does not exist here", hint="check its name, the account and the region"
        )
    if status_of(error) >= 500:  # noqa: PLR2004 - HTTP's server errors
        return UnavailableError(said, hint="try again")
    return FatalError(said)
