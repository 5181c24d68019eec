"""A raw item to an `Incident`: lenient about the original's fields, strict about what is a text.

NULL, empty and words that say "nothing" are missing. A number as text follows one rule (canonical.py). A map
or binary where the body needs a text is unreadable (O-30); where only the sidecar would hold it, it is left
out and noted (O-07).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kbsync.errors import UnreadableIncidentError
from kbsync.model import Attributes
from kbsync.pipeline.transform.canonical import number_text
from kbsync.pipeline.transform.clean import clean_line
from kbsync.pipeline.transform.dates import Moment, read_moment
from kbsync.pipeline.transform.rules import TransformRules

SOURCE_ATTRIBUTES = (
    "affected_systems", "category", "cline_work", "created_at", "description", "environment",
    "error_message", "external_id", "language", "priority", "resolution", "resolved_at", "severity",
    "source_system", "source_url", "status", "tags", "title", "updated_at",
)  # fmt: skip
"""Every attribute a document is rendered from, and `updated_at` (DESIGN.md, section 3)."""

LABELS = (
    "category",
    "environment",
    "language",
    "priority",
    "severity",
    "source_system",
    "source_url",
    "status",
)

Note = Callable[[str], None]

_MOST_LEVELS = 32
"""Source: Amazon DynamoDB Developer Guide, "Quotas": nested attribute depth."""

_FILLER = re.compile(
    r"(?:none|null|nil|undefined|nan|n/?a|-{1,3}|no (?:especificad[oa]|disponible|aplica)"
    r"|not (?:specified|available|applicable))\.?",
    re.IGNORECASE,
)
_LONGEST_FILLER = len("no especificado.")
_WORD_SEPARATOR = re.compile(r"[,;\n]")


@dataclass(frozen=True, slots=True)
class CodeChange:
    """One changed file and what was done to it; either may be empty."""

    file: str
    description: str


@dataclass(frozen=True, slots=True)
class ReadDate:
    """A date attribute: its text as written, and the moment where that could be read."""

    text: str = ""
    moment: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What the original design's fields say, after its fallbacks; empty means missing."""

    title: str
    description: str
    error_message: str
    root_cause: str
    resolution: str
    steps: tuple[str, ...]
    code_changes: tuple[CodeChange, ...]
    affected_systems: tuple[str, ...]
    tags: tuple[str, ...]
    external_id: str
    labels: tuple[tuple[str, str], ...]
    created: ReadDate
    resolved: ReadDate


def read_incident(attributes: Attributes, rules: TransformRules, note: Note) -> Incident:
    """Return the incident that the attributes say, noting what was left out.

    Raises:
        UnreadableIncidentError: a text that the body needs is no text; names the attribute and the type.
    """
    solved, work = _solved(attributes), _described(attributes.get("cline_work"), "other")
    if scalar_text(work.get("other")) != "":
        note("cline_work was left out: it is no map")
    solution = _described(work.get("solution"), "description")
    told = _told(attributes, note)
    labels = {name: _label(attributes.get(name), name, note) for name in LABELS}
    labels["resolution_type"] = _label(solved.get("resolution_type"), "resolution.resolution_type", note)
    return Incident(
        title=_text(attributes.get("title"), "title", note),
        description=_text(attributes.get("description"), "description", note),
        error_message=_text(attributes.get("error_message"), "error_message", note),
        root_cause=told.root_cause,
        resolution=told.resolution,
        steps=told.steps,
        code_changes=tuple(_code_changes(solution.get("code_changes"))),
        affected_systems=_words(attributes.get("affected_systems"), "affected_systems", note),
        tags=_words(attributes.get("tags"), "tags", note),
        external_id=_label(attributes.get("external_id"), "external_id", note),
        labels=tuple((name, text) for name, text in labels.items() if text),
        created=_date(attributes.get("created_at"), "created_at", rules, note),
        resolved=read_resolved(attributes, rules, note),
    )


def has_writeup(attributes: Attributes) -> bool:
    """Whether root cause, resolution or steps say anything, wherever a document would take them from.

    Raises:
        UnreadableIncidentError: one of them is no text.
    """
    notes: dict[str, None] = {}
    return any(_told(attributes, notes.setdefault))


class _Told(NamedTuple):
    """What was written of how an incident came about and was solved."""

    root_cause: str
    resolution: str
    steps: tuple[str, ...]


def _told(attributes: Attributes, note: Note) -> _Told:
    solved, work = _solved(attributes), _described(attributes.get("cline_work"), "other")
    analysis = _described(work.get("analysis"), "root_cause")
    solution = _described(work.get("solution"), "description")
    return _Told(
        root_cause=_text(solved.get("root_cause"), "resolution.root_cause", note)
        or _text(analysis.get("root_cause"), "cline_work.analysis.root_cause", note),
        resolution=_text(solved.get("description"), "resolution.description", note)
        or _text(solution.get("description"), "cline_work.solution.description", note),
        steps=_lines(solution.get("steps"), "cline_work.solution.steps"),
    )


def _solved(attributes: Attributes) -> Mapping[str, object]:
    return _described(attributes.get("resolution"), "description")


def read_resolved(attributes: Attributes, rules: TransformRules, note: Note) -> ReadDate:
    """Return the date of closing; what cannot be read is text alone, and noted."""
    value = _present(attributes.get("resolved_at"), _solved(attributes).get("resolved_at"))
    return _date(value, "resolved_at", rules, note)


def read_severity(attributes: Attributes, note: Note) -> str:
    """Return the severity as it was written; empty where it is no text."""
    return _label(attributes.get("severity"), "severity", note)


def scalar_text(value: object) -> str | None:
    """Return a scalar as text, empty for NULL, or None for what is no scalar."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if value.strip() else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | float | int):
        return number_text(value)
    return None


def members(value: object) -> list[object] | None:
    """Return the members of a list, or of a set in order of text (O-12); None for what is neither."""
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, AbstractSet):
        return sorted(value, key=lambda member: scalar_text(member) or repr(member))
    return None


def _elements(value: object) -> list[object]:
    within = members(value)
    return [value] if within is None else within


def _described(value: object, name: str) -> Mapping[str, object]:
    """Return a map as it is; anything else is meant as the member with this name."""
    return value if isinstance(value, (dict, Mapping)) else {name: value}


def _present(first: object, second: object) -> object:
    return second if scalar_text(first) == "" else first


def _text(value: object, path: str, note: Note) -> str:
    text = "\n".join(_lines(value, path))
    if len(said := text.strip()) <= _LONGEST_FILLER and _FILLER.fullmatch(said):
        note(f"{path} was left out: it only says that there is nothing")
        return ""
    return text


def _lines(value: object, path: str) -> tuple[str, ...]:
    """Texts of a list; where the body takes steps, a map is shown as its members in order of name."""
    text = scalar_text(value)
    if text is not None:
        return (text,) if text else ()
    elements = _elements(value)
    if isinstance(value, Mapping) or not all(map(_is_text, elements)):
        raise UnreadableIncidentError(f"{path} is no text: it holds a {type(value).__name__}")
    return tuple(filter(None, map(_nested_text, elements)))


def _is_text(element: object) -> bool:
    return isinstance(element, Mapping) or members(element) is not None or scalar_text(element) is not None


def _nested_text(value: object, levels: int = _MOST_LEVELS) -> str:
    """Text of anything that a list can hold; binary values inside are left out.

    Raises:
        UnreadableIncidentError: nested deeper than an item can be.
    """
    if not levels:
        raise UnreadableIncidentError(f"an attribute is nested deeper than {_MOST_LEVELS} levels")
    if isinstance(value, Mapping):
        shown = ((str(name), _nested_text(value[name], levels - 1)) for name in sorted(value, key=str))
        return "; ".join(f"{name}: {text}" for name, text in shown if text)
    within = members(value)
    if within is None:
        return scalar_text(value) or ""
    return ", ".join(filter(None, (_nested_text(member, levels - 1) for member in within)))


def _code_changes(value: object) -> Iterable[CodeChange]:
    for element in _elements(value):
        if isinstance(element, Mapping):
            file = _nested_text(element.get("file"))
            rest = {name: element[name] for name in element if name not in ("file", "description")}
            told = "; ".join(filter(None, (_nested_text(element.get("description")), _nested_text(rest))))
        else:
            file, told = "", _nested_text(element)
        if file or told:
            yield CodeChange(file, told)


def _label(value: object, path: str, note: Note) -> str:
    text = scalar_text(value)
    if text is None:
        note(f"{path} was left out: it holds a {type(value).__name__}")
    return text or ""


def _words(value: object, path: str, note: Note) -> tuple[str, ...]:
    parts = _WORD_SEPARATOR.split(value) if isinstance(value, str) else _elements(value)
    words = (_label(part, path, note).strip() for part in parts)
    return tuple(dict.fromkeys(filter(None, words)))


def _date(value: object, path: str, rules: TransformRules, note: Note) -> ReadDate:
    text = clean_line(_label(value, path, note), note)
    if not text:
        return ReadDate()
    moment = read_moment(text, ZoneInfo(rules.timezone), rules.date_order)
    if moment is None:
        note(f"{path} is no date that can be read with certainty")
    return ReadDate(text, moment)
