"""How the doctor's AWS checks call: every refusal becomes a finding that names the action and the remedy.

Imports botocore, the names of error codes, and findings. Invariant: only calls that read are made through
here, and no answer is taken for a yes that was not given.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from kbsync.aws.aws_errors import code_of, status_of
from kbsync.doctor.finding import Code, Finding, FindingError, error
from kbsync.errors import AccessDeniedError

_CREDENTIAL_REFUSALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIALS = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "KMSAccessDeniedException",
        "UnauthorizedOperation",
    }
)
_ABSENT = frozenset(
    {"404", "NoSuchBucket", "NoSuchKey", "NotFound", "NotFoundException", "ResourceNotFoundException"}
)


@contextmanager
def asking(action: str, subject: str, *, absent: Finding | None = None) -> Iterator[None]:
    """Make the block's one call; `action` is the permission it needs, `absent` the finding where nothing is.

    Raises:
        FindingError: what was refused, and how to allow it; without credentials it ends all checks.
    """
    try:
        yield
    except ClientError as refusal:
        finding = _of_refusal(refusal, action, subject, absent)
        ends_all = finding.code is Code.CREDENTIALS_REFUSED
        raise FindingError(finding, ends_all=ends_all) from refusal
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as missing:
        raise FindingError(credentials_missing(missing), ends_all=True) from missing
    except BotoCoreError as silence:
        remedy = "check the network, a VPC endpoint of this service, AWS_ENDPOINT_URL and AWS_REGION"
        seen = f"no answer to {action} ({type(silence).__name__})"
        # Each further call to it would wait as long for nothing.
        raise FindingError(error(Code.NO_ANSWER, subject, seen, remedy), ends_name=True) from silence


def _of_refusal(refusal: ClientError, action: str, subject: str, absent: Finding | None) -> Finding:
    code = code_of(refusal)
    if code in _ABSENT and absent is not None:
        return absent
    if code in _CREDENTIAL_REFUSALS:
        remedy = "log in anew; where that does not help, see the clock"
        return error(Code.CREDENTIALS_REFUSED, "AWS account", f"AWS refuses the credentials: {code}", remedy)
    if code in _DENIALS:
        return not_allowed(action, subject)
    server_error = 500
    if status_of(refusal) >= server_error or "Throttl" in code or code == "SlowDown":
        return error(Code.NO_ANSWER, subject, f"{action} answered {code}", "run it again in a minute")
    remedy = "check the settings that name it; `kbsync config` shows them"
    return error(Code.CHECK_FAILED, subject, f"{action} answered {code}", remedy)


def not_allowed(action: str, subject: str) -> Finding:
    """Return the finding that a permission is missing, by the action's name."""
    remedy = f"allow {action} on it, in a policy of whoever runs this and of the function's role"
    return error(Code.PERMISSION_MISSING, subject, f"{action} is not allowed", remedy)


def naming(action: str, subject: str, check: Iterable[Finding]) -> Iterator[Finding]:
    """Pass the findings of an adapter's check on; where it was denied, the finding names the action."""
    try:
        yield from check
    except AccessDeniedError as denied:
        raise FindingError(not_allowed(action, subject)) from denied


def credentials_missing(missing: BotoCoreError) -> Finding:
    """Return the finding that nothing can be signed."""
    remedy = "log in (`aws sso login`, `aws configure`), or set AWS_PROFILE to a profile that exists"
    seen = f"there are no AWS credentials to use ({type(missing).__name__})"
    return error(Code.CREDENTIALS_MISSING, "AWS account", seen, remedy)


def region_missing() -> Finding:
    """Return the finding that no region is named anywhere."""
    remedy = "set AWS_REGION, or a region in the AWS profile"
    return error(Code.REGION_MISSING, "AWS account", "no region is named", remedy)


def wrong_region(subject: str, there: str, region: str) -> Finding:
    """Return the finding that something lives in another region than the one that is asked."""
    remedy = f"set AWS_REGION={there}, or name one in {region}; Bedrock reads buckets of its own region only"
    return error(Code.WRONG_REGION, subject, f"it is in {there}, and AWS_REGION says {region}", remedy)
