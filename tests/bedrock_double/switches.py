"""What the double is, and what may go wrong with it: plain attributes that a test sets."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Place:
    """One knowledge base with one S3 data source."""

    bucket: str
    prefix: str = "incidents/"
    kind: str = "VECTOR"
    """VECTOR is a custom knowledge base, MANAGED one whose store AWS runs."""
    store: str = "OPENSEARCH_SERVERLESS"
    """S3_VECTORS takes sidecars of 1,024 bytes only and knows no hybrid search."""
    knowledge_base_id: str = "KBDOUBLE01"
    data_source_id: str = "DSDOUBLE01"


@dataclass(kw_only=True)
class Switches:
    """Faults and delays, all off; counts go down as they happen. The first eight are LocalFaults'."""

    fail_keys: tuple[str, ...] = ()
    ignore_keys: tuple[str, ...] = ()
    job_fails: int = 0
    conflict: int = 0
    delay_polls: int = 0
    statistics_missing: bool = False
    zero_scan: bool = False
    unavailable: int = 0
    throttle: int = 0

    job_seconds: float = 0.0
    """How long a job takes by the clock; 0 means: it goes on with each GetIngestionJob."""
    deletions_stuck: bool = False
    """Removed documents stay DELETING for ever."""
    enforce_rates: bool = False
    """Calls over the documented rates are answered 429."""
    lost_replies: int = 0
    """The next calls have their effect, and the connection is cut before the answer."""
    errors: list[str] = field(default_factory=list)
    """Codes of the errors that the next calls meet, first one first."""
    unknown_status: str = ""
    """The status that every document shows instead of its own: one that a newer service may have."""

    def take(self, name: str) -> bool:
        """Count a fault down; whether it happens now."""
        left = int(getattr(self, name))
        setattr(self, name, max(left - 1, 0))
        return left > 0
