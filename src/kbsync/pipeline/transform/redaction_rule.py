"""What a redaction rule is, and where in a match the secret stands; pure, imports nothing of ours."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """One kind of secret. `accept` has the last word on a match, where the shape alone is not enough.

    A text without any of the `hints` (lower case) holds no match: most texts need no search.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[re.Match[str]], bool] = lambda _: True


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
