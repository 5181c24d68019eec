"""What a search asks for, and the one place where its filters are put together. Pure.

Imports errors only. Invariant: whatever narrows a search goes through `retrieval_filter`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kbsync.errors import UsageError

MOST_HITS = 100
"""Source: Bedrock API Reference, KnowledgeBaseVectorSearchConfiguration, numberOfResults."""

Filter = Mapping[str, object]

_CONDITION = re.compile(r"([^=<>!]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_OPERATORS = {
    "=": "equals",
    "!=": "notEquals",
    ">": "greaterThan",
    ">=": "greaterThanOrEquals",
    "<": "lessThan",
    "<=": "lessThanOrEquals",
}
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_DAYS_AGO = re.compile(r"(\d{1,4})d")


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which incidents are wanted; empty means any. Days are `2025-01-31`, or `90d` for 90 days ago."""

    system: str = ""
    severity: str = ""
    category: str = ""
    environment: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a text, or `like` an incident; `offset` counts the hits that were shown before."""

    query: str = ""
    limit: int = 5
    conditions: tuple[str, ...] = ()
    narrowing: Narrowing = Narrowing()
    like: str = ""
    offset: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_HITS:
            raise UsageError(f"the limit is {self.limit}", hint=f"give a number from 1 to {MOST_HITS}")
        if not 0 <= self.offset <= MOST_HITS - self.limit:
            raise UsageError(
                f"the offset is {self.offset}", hint=f"offset and limit together are at most {MOST_HITS}"
            )
        if self.like and self.query.strip():
            raise UsageError("there is a query and an incident to be like", hint="give one of the two")


def retrieval_filter(question: Question, now: datetime) -> Filter | None:
    """Return everything that narrows this search as one filter, all of which must hold; None for nothing.

    Raises:
        UsageError: a condition that is none, a range over what is no number, or a day that is none.
    """
    return all_of([*map(_condition, question.conditions), *_narrowed(question.narrowing, now)])


def all_of(parts: Sequence[Filter]) -> Filter | None:
    """Return the filter that holds where all of these do; None for none."""
    if len(parts) > 1:
        return {"andAll": list(parts)}
    return parts[0] if parts else None


def _narrowed(narrowing: Narrowing, now: datetime) -> list[Filter]:
    texts = {
        "source_system": narrowing.system,
        "severity": narrowing.severity,
        "category": narrowing.category,
        "environment": narrowing.environment,
    }
    days = {"greaterThanOrEquals": narrowing.since, "lessThanOrEquals": narrowing.until}
    return [
        *(_in_any_case(name, text.strip()) for name, text in texts.items() if text.strip()),
        *(
            {operator: {"key": "resolved_date", "value": _day(text.strip(), now)}}
            for operator, text in days.items()
            if text.strip()
        ),
    ]


def _in_any_case(name: str, text: str) -> Filter:
    """Return a filter for the text as people may have written it: filters compare letter by letter."""
    spellings = list(dict.fromkeys((text, text.lower(), text.upper(), text.capitalize())))
    parts = [{"equals": {"key": name, "value": spelling}} for spelling in spellings]
    return {"orAll": parts} if len(parts) > 1 else parts[0]


def _day(text: str, now: datetime) -> int:
    """Return a day as documents hold it: 20250131."""
    if ago := _DAYS_AGO.fullmatch(text):
        return int((now - timedelta(days=int(ago[1]))).strftime("%Y%m%d"))
    if written := _DAY.fullmatch(text):
        try:
            return int(datetime.fromisoformat("-".join(written.groups())).strftime("%Y%m%d"))
        except ValueError:
            pass
    raise UsageError(f"{text!r} is no day", hint="write 2025-01-31, or 90d for ninety days ago")


def _condition(text: str) -> Filter:
    match = _CONDITION.fullmatch(text)
    if not match or not match[1].strip() or not match[3].strip():
        raise UsageError(
            "a filter is written name=value", hint="for example severity=high or resolved_date>=20250101"
        )
    name, operator, value = match[1].strip(), _OPERATORS[match[2]], match[3].strip()
    number = (float(value) if "." in value else int(value)) if _NUMBER.fullmatch(value) else None
    if match[2] not in ("=", "!="):
        if number is None:
            raise UsageError(f"{match[2]} compares numbers", hint="dates are numbers such as 20250131")
        return {operator: {"key": name, "value": number}}
    as_text = {operator: {"key": name, "value": value}}
    if number is None:
        return as_text
    # Only the attribute knows whether its digits are a number or a text, so both are asked for.
    return {"andAll" if match[2] == "!=" else "orAll": [as_text, {operator: {"key": name, "value": number}}]}
