"""What a redaction rule is, and where in a match the secret stands; pure, imports nothing of ours."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LONG_NUMBER = re.compile(r"\d(?:[ .-]?\d){6}")
"""Seven digits with at most one sign between two: no checked number has fewer."""
SHORT, MOST_REMEMBERED = 40, 4_096


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """One kind of secret. `accept` has the last word on a match, where the shape alone is not enough.

    A text without any of the `hints` (lower case; none: without a long number) holds no match, nor does one
    in which `gate` is not found: most texts need no search. A gate is cheap: it begins with letters it names.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[re.Match[str]], bool] = lambda _: True
    gate: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """Rules in their order, with each hint once and the places of the rules that it calls."""

    rules: tuple[RedactionRule, ...]
    hints: tuple[tuple[str, tuple[int, ...]], ...]
    of_numbers: tuple[int, ...]
    """Places of the rules without hints, which look for long numbers."""
    innocent: set[str] = field(default_factory=set)
    """Short texts in which nothing was found: labels are the same in most incidents."""

    def remember(self, text: str) -> None:
        """Keep a short innocent text, as long as there is room; nothing of a secret is kept."""
        if len(text) <= SHORT and len(self.innocent) < MOST_REMEMBERED:
            self.innocent.add(text)


def rule_set(rules: Iterable[RedactionRule]) -> RuleSet:
    """Return rules made ready to run: a text is looked through once for each hint, whatever shares it."""
    rules = tuple(rules)
    hints: dict[str, list[int]] = {}
    for place, rule in enumerate(rules):
        for hint in rule.hints:
            hints.setdefault(hint, []).append(place)
    of_numbers = tuple(place for place, rule in enumerate(rules) if not rule.hints)
    return RuleSet(rules, tuple((hint, tuple(places)) for hint, places in hints.items()), of_numbers)


def secret_of(match: re.Match[str]) -> str:
    """Return the text that the rule would take out."""
    start, end = secret_span(match)
    return match.string[start:end]


def secret_span(match: re.Match[str]) -> tuple[int, int]:
    """Return where the secret stands: the first named group that matched, or all of the match."""
    for group in ("secret", "double", "single", "bare"):
        if match.re.groupindex.get(group) and match[group] is not None:
            return match.span(group)
    return match.span()
