"""What an operator adds to the rules: names of a list, names in the incident's person fields, IP addresses.

Imports the rules. Invariant: a name is taken whole, as a person writes it; a single word never is one, unless
the operator names it.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from kbsync.model import Attributes, value_at
from kbsync.pipeline.transform.read import members, scalar_text
from kbsync.pipeline.transform.redact import RULE_SET, RULES
from kbsync.pipeline.transform.redaction_rule import RedactionRule, RuleSet, rule_set
from kbsync.pipeline.transform.rules import TransformRules

NAME = "name"
_PART = re.compile(r"[\w'\u2019-]+")
_FEWEST_PARTS, _MOST_PARTS, _MOST_CHARACTERS = 2, 5, 100
_MOST_NAMES = 20
"""Of one incident's own; a longer list is no person field."""
_SETS_KEPT = 256
_VERSION_BEFORE = re.compile(r"(?i)(?:(?<![a-z])v|ver|versi[oó]n|release|build)\W{0,4}\Z")


def configured_rules(rules: TransformRules) -> RuleSet:
    """Return the rules with what the settings add; the same object where they add nothing."""
    added = (*((IP_ADDRESS,) if rules.redact_ip_addresses else ()), *_rule_of(rules.redact_names))
    return rule_set((*RULES, *added)) if added else RULE_SET


def own_names(attributes: Attributes, paths: Iterable[str]) -> tuple[RuleSet, ...]:
    """Return the rule for the names in an incident's person fields, or nothing where there is none."""
    found = dict.fromkeys(
        name for path in paths for value in _texts(attributes, path) for name in _names(value)
    )
    return _rules_of(tuple(found)[:_MOST_NAMES])


@lru_cache(maxsize=_SETS_KEPT)
def _rules_of(names: tuple[str, ...]) -> tuple[RuleSet, ...]:
    """Return the names' rule ready to run; kept, because the same few people resolve most incidents."""
    rule = tuple(_rule_of(names))
    return (rule_set(rule, room=0),) if rule else ()


def _rule_of(names: Iterable[str]) -> Iterator[RedactionRule]:
    """Yield one rule for all names: parts in their order, in any case, white space between them."""
    parts = [_PART.findall(name[:_MOST_CHARACTERS]) for name in names]
    parts = sorted(filter(None, parts), key=lambda each: -sum(map(len, each)))
    if parts:
        alternatives = "|".join(r"\s{1,3}".join(map(re.escape, each)) for each in parts)
        hints = tuple({each[0].lower() for each in parts})
        yield RedactionRule(NAME, hints, re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE))


def _names(value: str) -> Iterator[str]:
    """Yield the name in a person field, in both orders where a comma turns it round."""
    said = re.split(r"[(<\[]", value, maxsplit=1)[0].strip()
    parts = _PART.findall(said[:_MOST_CHARACTERS])
    if not _FEWEST_PARTS <= len(parts) <= _MOST_PARTS or not all(part[0].isupper() for part in parts):
        return
    yield " ".join(parts)
    last, comma, first = said.partition(",")
    if comma:
        yield f"{first} {last}"


def _texts(attributes: Attributes, path: str) -> Iterator[str]:
    value = value_at(attributes, path)
    for each in members(value) or (value,):
        text = scalar_text(each)
        if text:
            yield text


def _is_address(match: re.Match[str]) -> bool:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    before = match.string[max(0, match.start() - 12) : match.start()]
    if address.is_loopback or address.is_unspecified or _VERSION_BEFORE.search(before):
        return False
    return not match.group().startswith("0.") and not match.group().endswith(".0.0.0")


IP_ADDRESS = RedactionRule(
    "ip-address",
    (".", "::", ":"),
    re.compile(
        r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:.]))"
    ),
    _is_address,
    re.compile(r"[\d:](?:(?<=\d)\.\d{1,3}\.\d{1,3}\.\d|(?<=:)[0-9a-fA-F]{0,4}:)"),
)
