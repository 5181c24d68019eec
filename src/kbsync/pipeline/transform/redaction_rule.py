"""What a redaction rule is, and where in a match the secret stands; pure, imports nothing of ours."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ahocorasick_rs import BytesAhoCorasick, Implementation

LONG_NUMBER = re.compile(r"\d(?:[ .-]?\d){6}")
"""Seven digits with at most one sign between two: no checked number has fewer."""
_LONG_ASCII_NUMBER = re.compile(LONG_NUMBER.pattern, re.ASCII)
SHORT, MOST_REMEMBERED = 40, 4_096
_FEW_HINTS = 8
"""So many are looked for one by one in less time than one search for all takes to begin."""


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """One kind of secret. `accept` has the last word on a match, where the shape alone is not enough.

    A text without any of the `hints` (lower case; none: without a long number) holds no match, nor does one
    in which `gate` is not found: most texts need no search. A gate is cheap: it begins with letters it names.
    `in_line`: no match goes beyond its line, and each holds the gate, so other lines are not searched.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[re.Match[str]], bool] = lambda _: True
    gate: re.Pattern[str] | None = None
    in_line: bool = False

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Yield what the pattern finds, in its order; what the gate rules out is not searched."""
        if self.gate is None or (not self.in_line and self.gate.search(text)):
            yield from self.pattern.finditer(text)
        elif self.in_line:
            done = 0
            for hit in self.gate.finditer(text):
                if hit.start() >= done:
                    end = text.find("\n", hit.end())
                    start, done = text.rfind("\n", 0, hit.start()) + 1, end + 1 or len(text)
                    yield from self.pattern.finditer(text, start, done)


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """Rules in their order, with the search for their hints."""

    rules: tuple[RedactionRule, ...]
    hinted: Callable[[str], set[int]]
    """From a text in lower case to the places of the rules whose hints it holds."""
    of_numbers: tuple[int, ...]
    """Places of the rules without hints, which look for long numbers."""
    room: int = MOST_REMEMBERED
    innocent: set[str] = field(default_factory=set)
    """Short texts in which nothing was found, `room` at most: labels are the same in most incidents."""

    def called_by(self, text: str) -> list[RedactionRule]:
        """Return the rules that may find something in the text, in their order."""
        called = self.hinted(text.lower())
        if self.of_numbers and (_LONG_ASCII_NUMBER if text.isascii() else LONG_NUMBER).search(text):
            called.update(self.of_numbers)
        return [self.rules[place] for place in sorted(called)]

    def remember(self, text: str) -> None:
        """Keep a short innocent text, as long as there is room; nothing of a secret is kept."""
        if len(text) <= SHORT and len(self.innocent) < self.room:
            self.innocent.add(text)


def rule_set(rules: Iterable[RedactionRule], room: int = MOST_REMEMBERED) -> RuleSet:
    """Return rules made ready to run: a text is looked through once for all hints, whatever shares them."""
    rules = tuple(rules)
    hints: dict[str, list[int]] = {}
    for place, rule in enumerate(rules):
        for hint in rule.hints:
            hints.setdefault(hint, []).append(place)
    of_numbers = tuple(place for place, rule in enumerate(rules) if not rule.hints)
    return RuleSet(rules, _search_for(hints), of_numbers, room)


def _search_for(hints: Mapping[str, Iterable[int]]) -> Callable[[str], set[int]]:
    """Return the search for all hints at once, as bytes: half a character, too, has some."""
    if len(hints) <= _FEW_HINTS:
        return lambda text: {place for hint, places in hints.items() if hint in text for place in places}
    places = tuple(hints.values())
    automaton = BytesAhoCorasick([hint.encode() for hint in hints], implementation=Implementation.DFA)

    def search(text: str) -> set[int]:
        found = automaton.find_matches_as_indexes(text.encode("utf-8", "surrogatepass"), overlapping=True)
        return {place for hint in {hint for hint, _, _ in found} for place in places[hint]}

    return search


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
