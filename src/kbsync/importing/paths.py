"""Where a mapping finds a value in a record: names joined by dots, through lists, by a member's value.

`fields.summary`; `labels.name` of every label; `incident_updates[status=resolved|postmortem].body` of those
updates. A column's whole name is tried first, in any letter case. Imports rows alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from kbsync.importing.rows import Row, is_filled

_SPOKEN = ("display_value", "value", "displayName", "name", "summary", "label", "text", "content")
"""Which member of an object stands for it, the first that is there."""

_STEP = re.compile(r"([^.\[\]]+)(?:\[([^.\[\]=]+)=([^\[\]]*)\])?(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path, and what the elements that are followed must say."""

    name: str
    member: str = ""
    wanted: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def parse_path(text: str) -> tuple[Step, ...]:
    """Return the steps of a path.

    Raises:
        ValueError: it is none.
    """
    steps, position = [], 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f"no path: {text}")
        wanted = frozenset(each.strip().casefold() for each in (match[3] or "").split("|"))
        steps.append(Step(match[1].strip(), match[2] or "", wanted if match[2] else frozenset()))
        position = match.end()
    if not steps:
        raise ValueError("an empty path")
    return tuple(steps)


def values_at(row: Row, path: str) -> list[object]:
    """Return the filled values that a path leads to, lists taken apart; empty where there are none."""
    column = path if path in row.fields else row.names.get(path.casefold(), "") if row.names else ""
    if column:
        found = list(_flat([row.fields.get(column)]))
    else:
        steps = parse_path(path)
        if steps[0].name not in row.fields:
            return []
        found = [row.fields]
        for step in steps:
            found = list(_followed(found, step))
    return [value for value in found if is_filled(value)]


def _followed(values: Iterable[object], step: Step) -> Iterator[object]:
    for value in values:
        if isinstance(value, dict) and step.name in value:
            yield from (each for each in _flat([value[step.name]]) if _is_wanted(each, step))


def _is_wanted(value: object, step: Step) -> bool:
    if not step.member:
        return True
    said = value.get(step.member) if isinstance(value, dict) else None
    return isinstance(said, str) and said.strip().casefold() in step.wanted


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def scalar(value: object) -> str:
    """Return the text that stands for a value of an export: of an object its display value or its name."""
    for _ in range(3):
        if not isinstance(value, dict):
            break
        spoken: dict[str, object] = value
        value = next((spoken[name] for name in _SPOKEN if spoken.get(name) not in (None, "")), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float | Decimal) else ""


class Used:
    """The names that a mapping reads, to tell which filled fields of a record it leaves out."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._whole = {path.casefold() for path in paths}
        self._containers = {
            ".".join(step.name for step in steps[:depth])
            for steps in map(parse_path, self._whole)
            for depth in range(1, len(steps))
        }
        self._whole |= {".".join(step.name for step in parse_path(path)) for path in self._whole}

    def left_out(self, fields: Mapping[str, object], before: str = "") -> Iterator[str]:
        """Yield the names of filled fields that no path reads; members of lists are not told apart."""
        for name, value in fields.items():
            path = f"{before}{name}"
            if path.casefold() in self._whole or not is_filled(value):
                continue
            if path.casefold() not in self._containers:
                yield path
            elif isinstance(value, Mapping):
                yield from self.left_out(value, f"{path}.")
