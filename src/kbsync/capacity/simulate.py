"""Simulate a steady load: how full each resource is, how long a close takes to be searchable, what it costs.

    close -> tick -> drain (one worker, one lease) -> job (one a base): scan all, ingest new -> confirm

Pure; imports the load and the facts. Invariant: every figure is a product of a documented number, a price or
a named assumption with what the load says; the counts of requests are those that tests hold the code to.
"""

import math
from dataclasses import asdict, dataclass

from kbsync.capacity.facts import AS_OF, Facts
from kbsync.capacity.load import HOURS_A_MONTH, Load

PUTS = 2
"""Sidecar and document. Source: docs/PERFORMANCE.md; tests/pipeline/test_run_costs.py."""
LEDGER_WRITES = 3
"""Mark, published, indexed."""
INDEX_WRITES = 4
"""In with the mark; out of one queue and into the other; out."""
LEDGER_READS = 2
INCIDENT_READS = 2
"""Before it is rendered and before it says `synced: true`, each of the whole item, strongly consistent."""
COMFORTABLE = 0.7
"""Above this, queues grow long before a resource is full."""
IDLE_TICK_SECONDS = 1.5
_WRITE_UNIT_BYTES, _READ_UNIT_BYTES = 1_024, 4_096
_RECORD_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that can be full; `closes_per_hour` is where it is, None where closes do not fill it."""

    name: str
    used: float
    closes_per_hour: float | None
    remedy: str


@dataclass(frozen=True, slots=True)
class Lag:
    """Minutes from closed to confirmed searchable; None where the load is more than can be worked off."""

    typical_minutes: float | None
    longest_minutes: float | None
    job_minutes: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    as_of: str
    load: Load
    resources: tuple[Resource, ...]
    """Fullest first."""
    lag: Lag
    requests_per_month: dict[str, float]
    dollars_per_month: dict[str, float]
    knowledge_bases_needed: int
    accounts_needed: int

    @property
    def bottleneck(self) -> Resource:
        """What is full first."""
        return self.resources[0]

    def as_view(self) -> dict[str, object]:
        """Return the plan as plain values."""
        return {**asdict(self), "total_dollars_per_month": sum(self.dollars_per_month.values())}


def simulate(load: Load, facts: Facts) -> Plan:
    """Return what a load asks for; says how many knowledge bases would make it comfortable."""
    needed = knowledge_bases_needed(load, facts)
    requests = _requests(load, facts)
    return Plan(
        as_of=AS_OF,
        load=load,
        resources=tuple(sorted(_resources(load, facts), key=lambda each: -each.used)),
        lag=_lag(load, facts),
        requests_per_month=requests,
        dollars_per_month=_dollars(load, facts, requests),
        knowledge_bases_needed=needed,
        accounts_needed=math.ceil(needed / facts.jobs_per_account),
    )


def knowledge_bases_needed(load: Load, facts: Facts) -> int:
    """Return into how many knowledge bases the incidents must be cut so that each job and worker keeps up."""
    rate = load.all_changes_per_second
    by_ingestion = rate / (facts.ingested_per_second * COMFORTABLE)
    by_worker = rate / (facts.drained_per_second * COMFORTABLE)
    by_scan = load.documents * PUTS / facts.scanned_per_second / (_LONGEST_SCAN_MINUTES * 60)
    return max(1, math.ceil(max(by_ingestion, by_worker, by_scan)))


_LONGEST_SCAN_MINUTES = 20
"""Two jobs and a tick stay within the objective of 65 minutes then. Source: DESIGN, section 7."""


def job_seconds(load: Load, facts: Facts) -> float | None:
    """Return how long a job takes where jobs follow one another: it scans all, and ingests what came.

    None where documents come faster than a job takes them.
    """
    share = load.changes_per_second / facts.ingested_per_second
    if share >= 1:
        return None
    scan = load.documents_each * PUTS / facts.scanned_per_second
    between = max(load.tick_minutes * 60, facts.seconds_between_job_starts)
    # A job that is shorter than a tick ingests what the tick brought; a longer one what came during the last.
    short = scan + share * between
    return short if short <= between else scan / (1 - share)


def _resources(load: Load, facts: Facts) -> list[Resource]:
    rate = load.changes_per_second
    per_second = {
        "ingestion job (documents a second)": (
            rate / facts.ingested_per_second,
            "cut the incidents over more knowledge bases, in more accounts past 5 jobs at once",
        ),
        "publisher (one worker, one lease)": (
            rate / facts.drained_per_second,
            "more memory (more CPU); past one CPU, a deployment for each knowledge base",
        ),
        "queue index (one shard's partition)": (
            rate * INDEX_WRITES / facts.index_writes_per_second,
            "raise QUEUE_SHARDS",
        ),
        "S3 puts (one prefix)": (
            rate * PUTS / facts.s3_writes_per_second,
            "S3 splits a prefix under lasting load by itself; else one prefix for each knowledge base",
        ),
        "document states (Bedrock)": (
            rate / (facts.document_calls_per_second * facts.documents_per_list),
            "nothing within a knowledge base; more of them",
        ),
    }
    found = [
        Resource(name, used, load.closes_per_hour / used if used else None, remedy)
        for name, (used, remedy) in per_second.items()
    ]
    scan = load.documents_each * PUTS / facts.scanned_per_second
    found.append(
        Resource(
            "scan of the whole prefix by each job (20 minutes)",
            scan / (_LONGEST_SCAN_MINUTES * 60),
            None,
            "cut the incidents over more knowledge bases: a job lists every object of its prefix",
        )
    )
    return found


def _lag(load: Load, facts: Facts) -> Lag:
    job = job_seconds(load, facts)
    if job is None or load.changes_per_second >= facts.drained_per_second:
        return Lag(None, None, job and job / 60)
    tick = load.tick_minutes * 60
    cycle = max(tick, job)
    drain = load.changes_per_second * cycle / facts.drained_per_second
    look = load.documents_each / facts.documents_per_list / facts.document_calls_per_second
    confirm = min(look, load.changes_per_second * cycle / (10 * facts.document_calls_per_second))
    waits = tick if job <= tick else tick + job  # a job that runs already takes nothing new
    typical = tick / 2 + (0 if job <= tick else job / 2) + drain + job + confirm
    return Lag(typical / 60, (waits + drain + job + confirm) / 60, job / 60)


def _requests(load: Load, facts: Facts) -> dict[str, float]:
    """Return billed requests and units a month."""
    changes, job = load.changes_per_month, job_seconds(load, facts)
    seconds = HOURS_A_MONTH * 3_600
    ticks = seconds / (load.tick_minutes * 60) * load.knowledge_bases
    with_work = 1 - math.exp(-load.changes_per_second * load.tick_minutes * 60)
    jobs = min(ticks * with_work, seconds / job * load.knowledge_bases if job else math.inf)
    status_units = math.ceil(load.incident_bytes / _WRITE_UNIT_BYTES)
    return {
        "S3 PUT": changes * PUTS,
        "S3 LIST (by ingestion jobs)": jobs * load.documents_each * PUTS / 1_000,
        "S3 GET (by ingestion jobs)": changes * PUTS,
        "ledger write units": changes * (LEDGER_WRITES + INDEX_WRITES),
        "ledger read units": changes * LEDGER_READS + ticks,
        # The item is written whole, and again in the status index, which projects all of it.
        "incidents write units": changes * status_units * 2,
        "incidents read units": changes * INCIDENT_READS * math.ceil(load.incident_bytes / _READ_UNIT_BYTES),
        "ingestion jobs": jobs,
        "Lambda invocations": ticks,
        "Lambda seconds": ticks * IDLE_TICK_SECONDS + changes / facts.drained_per_second,
        "embedded tokens": changes * load.document_tokens,
    }


def _dollars(load: Load, facts: Facts, requests: dict[str, float]) -> dict[str, float]:
    million = 1_000_000
    gb = 1_000_000_000
    writes = requests["ledger write units"] + requests["incidents write units"]
    reads = requests["ledger read units"] + requests["incidents read units"]
    s3_writes = requests["S3 PUT"] + requests["S3 LIST (by ingestion jobs)"]
    bytes_each = load.document_bytes + 600
    s3 = s3_writes * facts.s3_write_dollars_per_million
    s3 += requests["S3 GET (by ingestion jobs)"] * facts.s3_read_dollars_per_million
    tables = writes * facts.table_write_dollars_per_million + reads * facts.table_read_dollars_per_million
    lambda_gb_seconds = requests["Lambda seconds"] * load.memory_mb / 1_024
    watching = facts.metrics * facts.metric_dollars_per_month + facts.alarms * facts.alarm_dollars_per_month
    return {
        "S3 requests": s3 / million,
        "S3 storage": load.documents * bytes_each / gb * facts.s3_dollars_per_gb_month,
        "DynamoDB requests": tables / million,
        "DynamoDB storage (ledger)": load.documents * _RECORD_BYTES / gb * facts.table_dollars_per_gb_month,
        "Lambda": lambda_gb_seconds * facts.lambda_dollars_per_gb_second
        + requests["Lambda invocations"] / million * facts.lambda_dollars_per_million,
        "Embedding": requests["embedded tokens"] / million * facts.embedding_dollars_per_million_tokens,
        "CloudWatch": watching * load.knowledge_bases,
    }
