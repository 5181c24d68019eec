"""The capacity simulator against arithmetic by hand, and the laws that any such plan obeys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.capacity.facts import Facts
from kbsync.capacity.load import Load
from kbsync.capacity.simulate import COMFORTABLE, job_seconds, knowledge_bases_needed, simulate
from kbsync.errors import UsageError

FACTS = Facts()
loads = st.builds(
    Load,
    closes_per_hour=st.floats(1, 2_000_000),
    documents=st.floats(0, 200_000_000),
    changes_per_close=st.floats(0, 2),
    knowledge_bases=st.integers(1, 500),
)


def test_seed_load_costs_what_arithmetic_says() -> None:
    """50 closes a month and nothing else: they ask next to nothing; ticks and metrics are the bill."""
    load = Load(closes_per_hour=50 / 730, documents=0, changes_per_close=0)

    plan = simulate(load, FACTS)

    assert plan.requests_per_month["S3 PUT"] == pytest.approx(100)
    assert plan.requests_per_month["Lambda invocations"] == pytest.approx(8_760)
    # 8,760 ticks of 1.5 s and 1 GB.
    assert plan.dollars_per_month["Lambda"] == pytest.approx(8_760 * 1.5 * 0.0000133334 + 0.00176, rel=0.01)
    assert plan.dollars_per_month["CloudWatch"] == pytest.approx(20 * 0.30 + 20 * 0.10)
    assert plan.bottleneck.used < 0.001


def test_million_incidents_cost_what_the_facts_say_for_a_million() -> None:
    """AWS_FACTS, section 11: 2 M puts are $10, embedding 1 M x 800 tokens is $16."""
    load = Load(closes_per_hour=1_000_000 / 730, documents=0, changes_per_close=0, document_tokens=800)

    plan = simulate(load, FACTS)

    assert plan.dollars_per_month["Embedding"] == pytest.approx(16)
    puts = plan.requests_per_month["S3 PUT"] * FACTS.s3_write_dollars_per_million / 1_000_000
    assert puts == pytest.approx(10)
    # 3 ledger writes and 4 of its index, and the incident's 4 KB item twice.
    writes = plan.requests_per_month["ledger write units"] + plan.requests_per_month["incidents write units"]
    assert writes == pytest.approx(1_000_000 * (7 + 8))


def test_small_deployment_is_searchable_within_a_tick_and_a_job() -> None:
    """10,000 documents: 20,000 objects at 3,000 a second are 7 s of scan; the tick is what one waits for."""
    load = Load(closes_per_hour=60, documents=10_000, changes_per_close=0)

    plan = simulate(load, FACTS)

    # A tick brings 5 documents: 5/30 s on top of the scan.
    assert job_seconds(load, FACTS) == pytest.approx(20_000 / 3_000 + 5 / 30)
    assert plan.lag.typical_minutes == pytest.approx(2.5 + (20_000 / 3_000 + 5 / 30) / 60, rel=0.02)
    assert plan.lag.longest_minutes is not None
    assert 5 < plan.lag.longest_minutes < 6
    assert plan.knowledge_bases_needed == 1


def test_jobs_that_follow_each_other_ingest_what_came_during_the_last() -> None:
    """4.5 M documents take 3,000 s to scan; at half the ingestion's speed the job is twice that."""
    load = Load(closes_per_hour=15 * 3_600, documents=4_500_000, changes_per_close=0)

    assert job_seconds(load, FACTS) == pytest.approx(6_000)


def test_load_above_what_a_job_ingests_never_catches_up_and_says_what_to_cut() -> None:
    """40 documents a second against 30: without end; two knowledge bases at 70 % take 42."""
    load = Load(closes_per_hour=40 * 3_600, documents=0, changes_per_close=0)

    plan = simulate(load, FACTS)

    assert plan.lag.typical_minutes is None
    assert plan.bottleneck.name.startswith("ingestion job")
    assert plan.bottleneck.used == pytest.approx(40 / 30)
    assert plan.bottleneck.closes_per_hour == pytest.approx(30 * 3_600)
    assert (plan.knowledge_bases_needed, plan.accounts_needed) == (2, 1)


def test_hundred_million_documents_and_a_million_closes_an_hour_need_many_accounts() -> None:
    """333 changes a second: 16 by ingestion (21 each), 56 by scan (200 M objects, 3.6 M in 20 minutes)."""
    load = Load(closes_per_hour=1_000_000, documents=100_000_000)

    plan = simulate(load, FACTS)
    cut = simulate(replace(load, knowledge_bases=plan.knowledge_bases_needed), FACTS)

    assert (plan.knowledge_bases_needed, plan.accounts_needed) == (56, 12)
    assert plan.lag.longest_minutes is None
    assert cut.lag.longest_minutes is not None
    assert cut.lag.longest_minutes < 65
    assert cut.knowledge_bases_needed == 56
    # Cutting makes no document and no put more or less.
    assert cut.requests_per_month["S3 PUT"] == pytest.approx(plan.requests_per_month["S3 PUT"])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("drained_per_second", "memory"),
        ("index_writes_per_second", "QUEUE_SHARDS"),
        ("s3_writes_per_second", "prefix"),
        ("document_calls_per_second", "more of them"),
        ("scanned_per_second", "lists every object"),
    ],
)
def test_whatever_is_scarce_is_named_first_with_its_remedy(name: str, remedy: str) -> None:
    load = Load(closes_per_hour=3_600, documents=1_000_000)

    plan = simulate(load, FACTS.changed([f"{name}=0.0001", "ingested_per_second=1000000"]))

    assert remedy in plan.bottleneck.remedy
    assert plan.bottleneck.used > 1


def test_no_closes_at_all_fill_nothing() -> None:
    plan = simulate(Load(closes_per_hour=0, documents=1_000), FACTS)

    assert plan.requests_per_month["ingestion jobs"] == 0
    assert all(each.closes_per_hour is None for each in plan.resources)


@given(load=loads)
def test_knowledge_bases_that_are_called_enough_are_enough(load: Load) -> None:
    """With as many as it says, nothing that knowledge bases divide is fuller than comfortable."""
    cut = replace(load, knowledge_bases=knowledge_bases_needed(load, FACTS))

    plan = simulate(cut, FACTS)

    used = {each.name.split(" ")[0]: each.used for each in plan.resources}
    assert used["ingestion"] <= COMFORTABLE + 1e-9
    assert used["publisher"] <= COMFORTABLE + 1e-9
    assert used["scan"] <= 1 + 1e-9
    assert plan.lag.longest_minutes is not None
    assert knowledge_bases_needed(cut, FACTS) == cut.knowledge_bases


@given(load=loads, factor=st.floats(1.01, 10))
def test_more_closes_never_cost_less_or_fill_less(load: Load, factor: float) -> None:
    more = replace(load, closes_per_hour=load.closes_per_hour * factor)

    one, other = simulate(load, FACTS), simulate(more, FACTS)

    assert other.bottleneck.used >= one.bottleneck.used
    for name, requests in one.requests_per_month.items():
        if name not in ("ingestion jobs", "S3 LIST (by ingestion jobs)"):  # longer jobs are fewer
            assert other.requests_per_month[name] >= requests * (1 - 1e-9), name


@pytest.mark.parametrize("change", ["nonsense=3", "metrics", "metrics=many", "metrics=0", "metrics=-1"])
def test_fact_that_is_none_is_refused_with_the_names(change: str) -> None:
    with pytest.raises(UsageError) as caught:
        FACTS.changed([change])

    assert "s3_write_dollars_per_million" in str(caught.value.hint)
