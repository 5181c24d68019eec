"""Whether an incident wants a document at all: status first, then the operator's rules; pure."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from kbsync.model import Attributes, NoDocument, WithdrawReason, value_at
from kbsync.pipeline.transform.clean import clean_line
from kbsync.pipeline.transform.read import has_writeup, members, scalar_text
from kbsync.pipeline.transform.rules import Rule, TransformRules
from kbsync.queueing import is_closed

NOT_WRITTEN = "neither root cause nor resolution is written"


def refusal(attributes: Attributes, rules: TransformRules) -> NoDocument | None:
    """Return why the incident wants no document, or None where it wants one.

    The status is compared without white space around it and with its letter case; rules ignore letter case
    and invisible letters, and look into lists, maps and comma-separated texts.

    Raises:
        UnreadableIncidentError: a resolution is required, and what stands in its place is no text.
    """
    if not is_closed(attributes, rules.closed_statuses):
        return NoDocument(
            WithdrawReason.NOT_CLOSED, "status is not one of " + ", ".join(rules.closed_statuses)
        )
    for reason, group in (
        (WithdrawReason.CONFIDENTIAL, rules.confidential),
        (WithdrawReason.EXCLUDED, rules.exclude),
    ):
        if matched := first_match(attributes, group):
            return NoDocument(reason, matched)
    if rules.require_resolution and not has_writeup(attributes):
        return NoDocument(WithdrawReason.EXCLUDED, NOT_WRITTEN)
    return None


def first_match(attributes: Attributes, group: Iterable[Rule]) -> str:
    """Return in words the first of these rules that holds, or an empty text."""
    for rule in group:
        if matched := _matched(attributes, rule):
            return f"{rule[0]} is {matched}"
    return ""


def _matched(attributes: Attributes, rule: Rule) -> str:
    path, wanted = rule
    found = set(_comparable_values(value_at(attributes, path)))
    return next((value for value in wanted if _comparable(value) in found), "")


def _comparable_values(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        text = scalar_text(current)
        if text:
            yield from map(_comparable, (text, *text.split(",")))
        elif isinstance(current, Mapping):
            waiting.extend(current.values())
        else:
            waiting.extend(members(current) or ())


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFKC", clean_line(text, lambda _: None)).casefold()
