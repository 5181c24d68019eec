"""Which checks a set-up needs: the only chooser of the doctor between the embedded home and AWS.

Imports settings and findings; a backend's checks are imported when it was chosen, so that each works without
the packages of the other.
"""

# ruff: noqa: PLC0415 - a backend's modules need packages that the other backend does without

from collections.abc import Iterator

from kbsync.bootstrap import LOCAL_HINT
from kbsync.doctor.finding import Check, Code, Finding, error, examine, well
from kbsync.errors import MissingExtraError
from kbsync.model import Clock
from kbsync.settings import Settings

AWS_HINT = "pip install 'kbsync[aws]'"


def examine_backend(settings: Settings, now: Clock) -> list[Finding]:
    """Look at everything that the chosen backend needs and return what was found; writes nothing.

    `now` is this machine's clock. A missing package is a finding, like everything else that is wrong.
    """
    hint = AWS_HINT if settings.backend == "aws" else LOCAL_HINT
    try:
        checks = [*_checks(settings, now), ("redaction", check_redaction)]
    except MissingExtraError as missing:
        return [error(Code.EXTRA_MISSING, "packages", str(missing), missing.hint)]
    except ImportError as missing:
        package = (missing.name or "").split(".")[0]
        if package in ("", "kbsync"):
            raise
        return [error(Code.EXTRA_MISSING, "packages", f"the package {package} is not installed", hint)]
    return examine(checks)


def check_redaction() -> Iterator[Finding]:
    """Look for what redaction cannot do without."""
    from kbsync.pipeline.transform.redact import REDACTION_VERSION, RULES, lacking
    from kbsync.pipeline.transform.transform import REMEDY

    missing = lacking()
    if missing:
        yield error(Code.REDACTION_MISSING, "redaction", f"{missing}: nothing is published", REMEDY)
    else:
        yield well(Code.REDACTION, "redaction", f"{len(RULES)} rules, version {REDACTION_VERSION}")


def _checks(settings: Settings, now: Clock) -> list[tuple[str, Check]]:
    if settings.backend == "aws":
        from kbsync.doctor.aws_checks import aws_checks

        return aws_checks(settings, now)
    from kbsync.doctor.home_checks import HomeChecks

    return HomeChecks(settings, now).checks()
