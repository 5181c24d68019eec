"""Purge, the search: which incidents hold a text, now or in an earlier version of a document. Reads only.

Knows the ports. Invariant: no text that was searched for, or found, leaves it; memory holds ids alone.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.model import SyncRecord
from kbsync.paging import each_of
from kbsync.pipeline.purge import Order, keys_of

REGULAR = "re:"
PAGE = 200


@dataclass(frozen=True)
class Patterns:
    """What is searched for: plain texts and regular expressions; their hash names them."""

    plain: tuple[str, ...]
    regular: tuple[re.Pattern[str], ...]
    sha256: str

    def matches(self, text: str) -> bool:
        """Whether one of them is in a text, letter by letter."""
        return any(each in text for each in self.plain) or any(each.search(text) for each in self.regular)


@dataclass(frozen=True, slots=True)
class Matches:
    """Whose texts match, and keys of matching objects that belong to no incident we know of."""

    order: Order
    stray_keys: tuple[str, ...]


def read_patterns(lines: Iterable[str]) -> Patterns:
    """Return the patterns of a file: each line a plain text, or a regular expression after `re:`.

    Raises:
        UsageError: there is none, or a line is no regular expression; the message names its number alone.
    """
    texts = [line.rstrip("\r\n") for line in lines]
    plain, regular = [], []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        if not text.startswith(REGULAR):
            plain.append(text)
            continue
        try:
            regular.append(re.compile(text.removeprefix(REGULAR)))
        except re.error as error:
            raise UsageError(f"line {number} is no regular expression: {error.msg}") from error
    if not (plain or regular):
        raise UsageError("the pattern file is empty", hint="write one text a line, or re: and an expression")
    digest = hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return Patterns(tuple(plain), tuple(regular), digest)


def find_matches(engine: Engine, patterns: Patterns) -> Matches:
    """Return whose item, document (in any version still kept) or record holds one of the patterns.

    Reads the whole table, every version of every object, and the whole ledger, page by page.
    """
    ids = dict.fromkeys(_in_table(engine, patterns.matches))
    keys = set(_in_store(engine, patterns.matches))
    stray = set(keys)
    for record in each_of(partial(engine.ledger.list_records, state=None, limit=PAGE)):
        its_keys = keys_of(engine, record.incident_id, record)
        stray.difference_update(its_keys)
        if keys.intersection(its_keys) or patterns.matches(_texts_of(record)):
            ids.setdefault(record.incident_id)
    for each in ids:  # closed, and never looked at by a run: no record, perhaps an object
        stray.difference_update(keys_of(engine, each, None))
    order = Order(
        incident_ids=tuple(ids),
        matches=patterns.matches,
        patterns=len(patterns.plain) + len(patterns.regular),
        patterns_sha256=patterns.sha256,
    )
    return Matches(order, tuple(sorted(stray)))


def _in_table(engine: Engine, matches: Callable[[str], bool]) -> Iterator[str]:
    for stored in each_of(partial(engine.incidents.scan, limit=PAGE)):
        if any(map(matches, _texts_in(stored.attributes))):
            yield stored.incident_id


def _in_store(engine: Engine, matches: Callable[[str], bool]) -> Iterator[str]:
    for version in each_of(partial(engine.documents.versions, begins="", limit=PAGE)):
        if version.is_marker:
            continue
        content = b""
        with suppress(KeyError):  # removed since it was listed
            content = engine.documents.version(version)
        if matches(content.decode("utf-8", "replace")):
            yield version.key


def _texts_of(record: SyncRecord) -> str:
    return "\n".join((record.reason, *record.notes, *(step.reason for step in record.transitions)))


def _texts_in(value: object) -> Iterator[str]:
    """Yield every text of an item, names included, whatever it is nested in."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, Mapping):
            waiting.extend(current.keys())
            waiting.extend(current.values())
        elif isinstance(current, list | tuple | set | frozenset):
            waiting.extend(current)
        elif isinstance(current, bytes):
            yield current.decode("utf-8", "replace")
