"""What redaction finds of the labelled corpus; a page shows the numbers of the half no rule was tuned on."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from kbsync.pipeline.transform.redact import RULES, redact
from kbsync.pipeline.transform.redaction_rule import rule_set
from redaction.labelled import Sample, samples

PAGE = Path(__file__).parents[2] / "docs" / "REDACTION.md"
SAMPLES = samples()
HELD_BACK = [sample for sample in SAMPLES if sample.held_back]
PERSONAL = ("email", "phone")
_PLACEHOLDER = re.compile(r"\[REDACTED:[a-z-]+\]")


def leaked(sample: Sample) -> list[str]:
    """Return what of the planted values can still be read, also in part."""
    text = redact(sample.text, Counter())
    parts = [piece for value in sample.planted for piece in (value, value[:6], value[-6:])]
    return [piece for piece in parts if piece in _PLACEHOLDER.sub("", text)]


def over_redacted(sample: Sample) -> int:
    """Return how many replacements took something that was not planted."""
    counts: Counter[str] = Counter()
    redact(sample.text, counts)
    surplus = sum(counts.values()) - len(sample.planted) if sample.rule else sum(counts.values())
    return max(0, surplus)


def measured(wanted: list[Sample]) -> tuple[int, int, int]:
    """Return how many samples there are, how many lost every planted value, and surplus replacements."""
    return len(wanted), sum(not leaked(each) for each in wanted), sum(map(over_redacted, wanted))


def test_corpus_has_both_halves_and_every_rule() -> None:
    assert len(SAMPLES) >= 400
    assert {rule.name for rule in RULES} == {sample.rule for sample in SAMPLES if sample.rule}
    assert 0.35 < len(HELD_BACK) / len(SAMPLES) < 0.65


def test_held_back_half_is_found_and_nothing_else() -> None:
    planted = [sample for sample in HELD_BACK if sample.rule and sample.rule not in PERSONAL]
    count, found, _ = measured(planted)
    surplus = sum(map(over_redacted, HELD_BACK))
    taken = sum(1 for sample in HELD_BACK if sample.rule and not leaked(sample))

    assert found / count >= 0.95
    assert taken / (taken + surplus) >= 0.95


def test_tuning_half_is_met_whole() -> None:
    tuning = [sample for sample in SAMPLES if not sample.held_back]

    assert [sample.text for sample in tuning if leaked(sample) or over_redacted(sample)] == []


def test_page_shows_the_numbers_of_the_held_back_half() -> None:
    rows = []
    for name in sorted({rule.name for rule in RULES} | {""}):
        count, found, surplus = measured([sample for sample in HELD_BACK if sample.rule == name])
        shown = f"`{name}`" if name else "texts without secrets"
        if count:
            rows.append(f"| {shown} | {count} | {found if name else '-'} | {surplus} |")

    missing = [row for row in rows if row not in PAGE.read_text(encoding="utf-8")]

    assert missing == []


def test_hints_gates_and_memory_lose_no_find() -> None:
    """What spares a text its search never decides: every rule searched in every text finds the same."""
    thorough = rule_set(replace(rule, hints=("",), gate=None) for rule in RULES)

    differing = [
        sample.text
        for sample in SAMPLES
        for text in (sample.text, sample.text.upper(), f"({sample.text})")
        if redact(text, Counter()) != redact(text, Counter(), thorough)
    ]

    assert differing == []
