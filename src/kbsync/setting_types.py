"""Types of settings: how the text of a variable or of a file becomes a value. Imports nothing of ours."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

Rule = tuple[str, str]
"""An incident attribute and the value that makes the rule hold, e.g. `("category", "database")`."""

_A_WEEK = 7 * 86_400.0


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _rules(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, list | tuple):
        return parts
    rules = []
    for part in parts:
        if not isinstance(part, str):
            rules.append(part)
            continue
        name, sign, wanted = part.partition("=")
        if not (sign and name.strip() and wanted.strip()):
            raise ValueError("each rule is written attribute=value")
        rules.append((name.strip(), wanted.strip()))
    return tuple(rules)


def _path(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("must name a folder or file, and is empty")
    return Path(value).expanduser() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _optional_number(value: object) -> object:
    return None if value == "" else value


PUBLISHABLE = (
    "title", "description", "error_message", "root_cause", "resolution", "steps", "code_changes",
    "affected_systems", "tags", "category", "environment", "language", "priority", "severity",
    "source_system", "source_url", "status", "resolution_type", "created_at", "resolved_at",
)  # fmt: skip
"""The fields of an incident that an allow-list can name; ids are always published."""


def _fields(value: object) -> object:
    parts = _split(value)
    if isinstance(parts, list | tuple) and (unknown := sorted({*map(str, parts)} - {*PUBLISHABLE})):
        raise ValueError(f"{', '.join(unknown)} cannot be published; the fields are {', '.join(PUBLISHABLE)}")
    return parts


Fields = Annotated[tuple[str, ...], BeforeValidator(_fields)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Rules = Annotated[tuple[Rule, ...], BeforeValidator(_rules)]
Seconds = Annotated[float, Field(ge=0, le=_A_WEEK)]
Folder = Annotated[Path, BeforeValidator(_path)]
Upper = BeforeValidator(_upper)
OptionalNumber = BeforeValidator(_optional_number)


def by_attribute(rules: tuple[Rule, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return rules as each attribute with all the values that make one hold."""
    grouped: dict[str, tuple[str, ...]] = {}
    for name, value in rules:
        grouped[name] = (*grouped.get(name, ()), value)
    return tuple(grouped.items())
