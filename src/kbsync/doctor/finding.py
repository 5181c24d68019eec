"""A finding of `kbsync doctor`, and how checks are carried out. Imports errors only.

Invariant: every code stands in docs/doctor.md and never changes its meaning; a check that cannot be carried
out is itself a finding, never a traceback and never silence.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum

from kbsync.errors import AccessDeniedError, KbSyncError, MissingExtraError


class Severity(StrEnum):
    """What a finding asks for: nothing, a look, or a repair before anything can be relied on."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Code(StrEnum):
    """Stable names of what is looked at, and of what can be wrong with it; docs/doctor.md explains each."""

    # Any backend.
    CHECK_FAILED = "check-failed"
    PERMISSION_MISSING = "permission-missing"
    EXTRA_MISSING = "extra-missing"
    CLOCK = "clock"
    CLOCK_SKEW = "clock-skew"
    RUNS = "runs"
    RUN_OLD = "run-old"
    RUN_FAILED = "run-failed"
    QUEUE = "queue"
    QUEUE_OLD = "queue-old"
    PAUSED = "paused"
    WITHDRAWALS_HELD = "withdrawals-held"
    REDACTION = "redaction"
    REDACTION_MISSING = "redaction-missing"
    LEASE = "lease"
    LEASE_STALE = "lease-stale"
    LEASE_STUCK = "lease-stuck"

    # The embedded backend.
    HOME = "home"
    HOME_MISSING = "home-missing"
    HOME_READ_ONLY = "home-read-only"
    DISK_SPACE = "disk-space"
    DISK_FULL = "disk-full"
    DATABASE = "database"
    DATABASE_MISSING = "database-missing"
    DATABASE_BROKEN = "database-broken"
    SCHEMA_OLD = "schema-old"
    SCHEMA_TOO_NEW = "schema-too-new"
    EMBEDDER = "embedder"
    EMBEDDER_MISSING = "embedder-missing"
    EMBEDDER_FOR_TESTS = "embedder-for-tests"
    DOCUMENTS = "documents"
    DOCUMENTS_MISSING = "documents-missing"
    DOCUMENTS_FOREIGN = "documents-foreign"

    # AWS as a whole.
    REGION_MISSING = "region-missing"
    WRONG_REGION = "wrong-region"
    CREDENTIALS_MISSING = "credentials-missing"
    CREDENTIALS_REFUSED = "credentials-refused"
    NO_ANSWER = "no-answer"

    # The incidents table.
    TABLE = "table"
    TABLE_MISSING = "table-missing"
    TABLE_KEYS = "table-keys"
    TABLE_READS = "table-reads"
    STATUS_INDEX = "status-index"
    INDEX_MISSING = "index-missing"
    INDEX_KEYS = "index-keys"
    INDEX_NOT_ACTIVE = "index-not-active"
    INDEX_PROJECTION = "index-projection"
    INDEX_COST = "index-cost"
    STREAM_MISSING = "stream-missing"

    # The ledger table.
    LEDGER = "ledger"
    LEDGER_MISSING = "ledger-missing"
    LEDGER_KEYS = "ledger-keys"
    LEDGER_INDEX = "ledger-index"
    LEDGER_TTL = "ledger-ttl"
    LEDGER_BACKUP = "ledger-backup"

    # The bucket.
    BUCKET = "bucket"
    BUCKET_MISSING = "bucket-missing"
    BUCKET_PUBLIC = "bucket-public"
    BUCKET_ENCRYPTION = "bucket-encryption"
    BUCKET_VERSIONING = "bucket-versioning"
    PREFIX = "prefix"
    LEFTOVER_JSON = "leftover-json"
    FOREIGN_OBJECTS = "foreign-objects"

    # The knowledge base and its data sources.
    KNOWLEDGE_BASE = "knowledge-base"
    KNOWLEDGE_BASE_MISSING = "knowledge-base-missing"
    KNOWLEDGE_BASE_STATUS = "knowledge-base-status"
    KB_TYPE = "kb-type"
    SIDECAR_BUDGET = "sidecar-budget"
    DATA_SOURCE = "data-source"
    DATA_SOURCE_MISSING = "data-source-missing"
    DATA_SOURCE_STATUS = "data-source-status"
    DATA_SOURCE_TYPE = "data-source-type"
    DATA_SOURCE_UNREAD = "data-source-unread"
    WRONG_BUCKET = "wrong-bucket"
    WRONG_PREFIX = "wrong-prefix"
    PREFIX_WIDE = "prefix-wide"
    SEVERAL_PREFIXES = "several-prefixes"
    DATA_SOURCE_OVERLAP = "data-source-overlap"
    QUOTA_DATA_SOURCES = "quota-data-sources"
    CHUNKING = "chunking"
    PARSING_LIMIT = "parsing-limit"
    JOBS = "jobs"
    JOB_FAILED = "job-failed"

    # Alerts.
    ALERTS = "alerts"
    ALERTS_OFF = "alerts-off"
    TOPIC_MISSING = "topic-missing"
    SUBSCRIPTION_MISSING = "subscription-missing"
    SUBSCRIPTION_UNCONFIRMED = "subscription-unconfirmed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was seen, and what to do where it is not well."""

    code: Code
    severity: Severity
    subject: str
    seen: str
    remedy: str = ""


def well(code: Code, subject: str, seen: str, remedy: str = "") -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(code, Severity.OK, subject, seen, remedy)


def warning(code: Code, subject: str, seen: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(code, Severity.WARNING, subject, seen, remedy)


def error(code: Code, subject: str, seen: str, remedy: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(code, Severity.ERROR, subject, seen, remedy)


class FindingError(Exception):
    """A check cannot go on; nor can others of its name (`ends_name`), or any at all (`ends_all`)."""

    def __init__(self, finding: Finding, *, ends_name: bool = False, ends_all: bool = False) -> None:
        super().__init__(finding.seen)
        self.finding = finding
        self.ends_name = ends_name
        self.ends_all = ends_all


Check = Callable[[], Iterable[Finding]]


def examine(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """Carry out named checks, in order, and return their findings, the same one once.

    An error of ours ends its check and becomes a finding that carries its hint.
    """
    found: dict[Finding, None] = {}
    ended_names: set[str] = set()
    for name, check in checks:
        if name in ended_names:
            continue
        try:
            for each in check():
                found[each] = None
        except FindingError as ended:
            found[ended.finding] = None
            ended_names |= {name} if ended.ends_name else set()
            if ended.ends_all:
                break
        except KbSyncError as failed:
            found[_finding_of(failed, name)] = None
    return list(found)


def _finding_of(failed: KbSyncError, subject: str) -> Finding:
    code = Code.CHECK_FAILED
    if isinstance(failed, AccessDeniedError):
        code = Code.PERMISSION_MISSING
    elif isinstance(failed, MissingExtraError):
        code = Code.EXTRA_MISSING
    return error(code, subject, str(failed), failed.hint or "run it again; if it stays, report it")


def findings_view(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as plain values, worst first, with their counts."""
    order = [Severity.ERROR, Severity.WARNING, Severity.OK]
    ordered = sorted(findings, key=lambda each: order.index(each.severity))
    counts = {severity: sum(each.severity is severity for each in findings) for severity in order}
    return {
        "ok": not counts[Severity.ERROR],
        "errors": counts[Severity.ERROR],
        "warnings": counts[Severity.WARNING],
        "findings": [
            {**asdict(each), "code": str(each.code), "severity": str(each.severity)} for each in ordered
        ],
    }


SKEW_WARNING = timedelta(seconds=30)
SKEW_ERROR = timedelta(minutes=5)
"""Leases are judged by each machine's own clock with an allowance of 60 s; AWS refuses requests signed more
than 5 minutes off. Source: AWS Signature Version 4, "Timestamp"; DESIGN.md, section 5."""


def clock_finding(ahead: timedelta, against: str) -> Finding:
    """Judge how far this machine's clock is ahead of another (negative: behind)."""
    off = abs(ahead)
    if off < SKEW_WARNING:
        return well(Code.CLOCK, "clock", f"in step with {against} ({off.total_seconds():.0f} s apart)")
    side = "ahead of" if ahead > timedelta(0) else "behind"
    make = error if off > SKEW_ERROR else warning
    return make(
        Code.CLOCK_SKEW,
        "clock",
        f"this machine's clock is {off.total_seconds():.0f} s {side} {against}",
        "set the clock by NTP (timedatectl set-ntp true); leases and signatures depend on it",
    )
