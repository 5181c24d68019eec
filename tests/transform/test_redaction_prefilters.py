"""Hints, gates and lines spare redaction most of its searches; none may hide what a search would find."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kbsync.pipeline.transform.names import IP_ADDRESS, configured_rules
from kbsync.pipeline.transform.redact import RULE_SET, RULES, redact
from kbsync.pipeline.transform.redaction_rule import (
    LONG_NUMBER,
    RedactionRule,
    RuleSet,
    rule_set,
    secret_span,
)
from kbsync.pipeline.transform.rules import TransformRules
from redaction.labelled import samples

ALL = configured_rules(TransformRules(redact_ip_addresses=True, redact_names=("Ana Ruiz", "Müller")))
TEXTS = [sample.text for sample in samples()]
MIXTURE = st.lists(
    st.sampled_from(TEXTS)
    | st.sampled_from(
        ["\n", "\n", " ", "\t", "password", "pass", "secret_key", "=", ": ", ":=", "=>", "token", "key",
         "\u212aey", "\u017fecret", "clave", "'", '"', '\\"', "<abc", "<", ",", "&", "$", "a1b2c3d4e5",
         "10.1.2.3", "fe80::1", "10:30:45", "+34 612 345 678", "0034612345678", "tel 612 34 56 78",
         "12345678Z", "12.345.678-Z", "X1234567L", "A58818501", "ANA ruiz", "müller",
         "ES91 2100 0418 4502 0005 1332", "4111 1111 1111 1111", "٦١٢٣٤٥٦٧٨", "[REDACTED:key]", "\ud800"]
    )
    | st.text(max_size=3),
    max_size=10,
).map("".join)  # fmt: skip


def plainly_redacted(text: str, rules: RuleSet) -> tuple[str, Counter[str]]:
    """Return what every search of every rule that its hints call finds, and how much."""
    counts: Counter[str] = Counter()
    lowered = text.lower()
    numbers = LONG_NUMBER.search(text)
    called = [
        rule
        for rule in rules.rules
        if any(hint in lowered for hint in rule.hints) or (numbers and not rule.hints)
    ]
    for rule in called:
        pieces, done = [], 0
        for match in rule.pattern.finditer(text):
            if rule.accept(match):
                start, end = secret_span(match)
                pieces += [text[done:start], f"[REDACTED:{rule.name}]"]
                done = end
                counts[rule.name] += 1
        text = "".join(pieces) + text[done:]
    return text, counts


@pytest.mark.parametrize("rules", [RULE_SET, ALL], ids=["default", "with names and addresses"])
def test_the_corpus_is_redacted_the_same_with_and_without_prefilters(rules: Any) -> None:
    counts: list[Counter[str]] = [Counter() for _ in TEXTS]

    redacted = [redact(text, count, rules) for text, count in zip(TEXTS, counts, strict=True)]

    assert list(zip(redacted, counts, strict=True)) == [plainly_redacted(text, rules) for text in TEXTS]


@given(MIXTURE)
def test_any_text_is_redacted_the_same_with_and_without_prefilters(text: Any) -> None:
    counts: Counter[str] = Counter()

    redacted = redact(text, counts, ALL)

    assert (redacted, counts) == plainly_redacted(text, ALL)


@pytest.mark.parametrize("rule", [*RULES, IP_ADDRESS], ids=lambda rule: rule.name)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_rule_matches_holds_its_hint_and_gate_in_one_line_if_it_says_so(rule: Any, data: Any) -> None:
    found = data.draw(st.from_regex(rule.pattern))
    text = f"{found}\nkey: none, password = none\n{found} token=<abc\n"

    matches = list(rule.pattern.finditer(text))

    assert [match.span() for match in rule.matches(text)] == [match.span() for match in matches]
    assert not rule.hints or any(hint in text.lower() for hint in rule.hints)
    assert not rule.in_line or not any("\n" in match[0] for match in matches)


@given(MIXTURE)
def test_many_hints_are_found_like_few(text: Any) -> None:
    lowered = text.lower()
    called = {place for place, rule in enumerate(ALL.rules) if any(hint in lowered for hint in rule.hints)}

    assert ALL.hinted(lowered) == called


def test_few_hints_call_each_rule_that_shares_them() -> None:
    first, second = (RedactionRule(name, ("tok", "key"), re.compile("key|tok")) for name in ("a", "b"))

    rules = rule_set([first, second, RedactionRule("c", ("none",), re.compile("none"))])

    assert rules.called_by("a KEY") == [first, second]
    assert rules.called_by("nothing") == []
