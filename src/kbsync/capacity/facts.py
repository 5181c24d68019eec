"""The numbers that a plan is made from, each with its source; all can be replaced (`--set name=value`).

Imports errors only. Invariant: what AWS documents, what it charges and what nobody documents stand apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from kbsync.errors import UsageError

AS_OF = "2026-11"


@dataclass(frozen=True, slots=True)
class Facts:
    """Quotas, prices and assumptions.

    Source of quotas: Bedrock endpoints and quotas (custom knowledge base); S3 User Guide, "Optimizing
    performance"; DynamoDB Developer Guide, "Partitions"; Lambda quotas. Of prices: public price lists of
    us-east-1, read second-hand: set those of your region. Of assumptions: see each.
    """

    s3_writes_per_second: float = 3_500
    """A prefix; it grows with lasting use."""
    index_writes_per_second: float = 1_000
    """A partition of the ledger's queue index, which one shard is."""
    jobs_per_account: float = 5
    seconds_between_job_starts: float = 10
    document_calls_per_second: float = 5
    documents_per_list: float = 1_000

    s3_write_dollars_per_million: float = 5.0
    """PUT and LIST."""
    s3_read_dollars_per_million: float = 0.4
    s3_dollars_per_gb_month: float = 0.023
    table_write_dollars_per_million: float = 0.625
    table_read_dollars_per_million: float = 0.125
    table_dollars_per_gb_month: float = 0.25
    lambda_dollars_per_gb_second: float = 0.0000133334
    lambda_dollars_per_million: float = 0.20
    embedding_dollars_per_million_tokens: float = 0.02
    metric_dollars_per_month: float = 0.30
    alarm_dollars_per_month: float = 0.10

    drained_per_second: float = 200
    """One worker with about one CPU. Measured here, docs/PERFORMANCE.md: 2 to 5 ms of CPU an incident."""
    ingested_per_second: float = 30
    """Documents a job parses, embeds and stores. AWS documents none: look at your jobs and set it."""
    scanned_per_second: float = 3_000
    """Objects a job lists and compares. AWS documents none."""
    metrics: float = 20
    alarms: float = 20

    def changed(self, changes: Sequence[str]) -> "Facts":
        """Return the facts with some replaced, each as `name=value`; raise UsageError for what is none."""
        known = {field.name for field in fields(self)}
        values = {}
        for change in changes:
            name, _, text = change.partition("=")
            try:
                value = float(text)
            except ValueError:
                value = -1.0
            if name not in known or value <= 0:
                raise UsageError(f"--set {change}: not a known name with a number above 0", hint=_hint(known))
            values[name] = value
        return replace(self, **values)


def _hint(known: set[str]) -> str:
    return f"names are {', '.join(sorted(known))}"
