"""What leads from a system's export to incidents: a TOML file each, shipped here, or a user's copy of one.

Imports errors and importing. Invariant: a mapping that was loaded can be applied; every fault of a file is
told at once, each with its remedy.
"""

import codecs
import difflib
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from kbsync.errors import UsageError
from kbsync.importing.paths import parse_path
from kbsync.importing.rows import Shape

Kind = Literal["text", "line", "date", "list"]

KINDS: dict[str, Kind] = {
    "affected_systems": "list",
    "category": "line",
    "created_at": "date",
    "description": "text",
    "environment": "line",
    "error_message": "text",
    "language": "line",
    "priority": "line",
    "resolution.description": "text",
    "resolution.resolution_type": "line",
    "resolution.root_cause": "text",
    "resolved_at": "date",
    "severity": "line",
    "source_url": "line",
    "tags": "list",
    "title": "line",
    "updated_at": "date",
}
"""The attributes of an incident that a mapping can fill, and what is made of the values."""


class System(StrEnum):
    """The systems whose exports are understood without a mapping of one's own."""

    SERVICENOW = "servicenow"
    JIRA = "jira"
    PAGERDUTY = "pagerduty"
    GITHUB = "github"
    STATUSPAGE = "statuspage"


def _known_path(text: str) -> str:
    parse_path(text)
    return text


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise ValueError("no encoding that Python knows, such as windows-1252") from error
    return name


def _as_source(value: object) -> object:
    return {"from": value} if isinstance(value, list | str) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


PathText = Annotated[str, AfterValidator(_known_path)]
Paths = Annotated[tuple[PathText, ...], BeforeValidator(_as_list)]
Markup = Literal["text", "markdown", "wiki", "html"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Source(_Part):
    """Where one attribute comes from: the first filled path, or all of them with `join`."""

    from_: Paths = Field(alias="from", min_length=1)
    join: bool = False
    strip: Literal["", "journal", "comment"] = ""
    reverse: bool = False
    words: dict[str, str] = Field(default_factory=dict)


class Identity(_Part):
    """What tells one incident from all others; the groups of `pattern` are joined with `#`."""

    from_: Paths = Field(alias="from", min_length=1)
    pattern: Annotated[str, AfterValidator(_compiled)] = ""


class Status(_Part):
    """Words of the system by our status; without a word, a filled path of `closed_by` means closed."""

    from_: Paths = Field(alias="from", default=())
    closed_by: Paths = ()
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Records(_Part):
    """Names of the JSON lists and of the XML elements that hold incidents."""

    json_: tuple[str, ...] = Field(alias="json", default=())
    xml: tuple[str, ...] = ()


class Attached(_Part):
    """Records that belong to an incident and stand beside it: put into its field `into` as a list."""

    kind: str
    parent: PathText
    matches: PathText
    into: str


class MarkupByShape(_Part):
    """What texts are written in, by the kind of file."""

    csv: Markup = "text"
    json_: Markup = Field(alias="json", default="text")
    xml: Markup = "text"


class ExportMapping(_Part):
    """One system's exports, declared; what each table means stands in the shipped files."""

    system: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8-sig"
    timezone: str = ""
    date_order: Literal["", "MDY", "DMY"] = ""
    people: Paths = ()
    recognise: tuple[Paths, ...] = ()
    records: Records = Records()
    markup: MarkupByShape = MarkupByShape()
    id: Identity
    status: Status
    skip: dict[PathText, str] = Field(default_factory=dict)
    attached: tuple[Attached, ...] = ()
    attributes: dict[str, Annotated[Source, BeforeValidator(_as_source)]] = Field(min_length=1)
    custom: dict[str, Annotated[Source, BeforeValidator(_as_source)]] = Field(default_factory=dict)

    @field_validator("attributes")
    @classmethod
    def _attributes_exist(cls, value: dict[str, Source]) -> dict[str, Source]:
        for name in value:
            if name not in KINDS:
                near = difflib.get_close_matches(name, KINDS, n=1)
                meant = f"did you mean {near[0]}?" if near else "one of your own belongs into [custom]"
                raise ValueError(f"{name} is no attribute of an incident; {meant}")
        return value

    @field_validator("custom")
    @classmethod
    def _custom_names_are_free(cls, value: dict[str, Source]) -> dict[str, Source]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name) or name in _OURS or name in KINDS:
                raise ValueError(f"{name} is taken, or not of a-z, 0-9 and _")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key if value else ""
        except (ValueError, KeyError, OSError) as error:
            raise ValueError("not an IANA name, such as Europe/Madrid") from error

    @field_validator("status")
    @classmethod
    def _status_is_told(cls, value: Status, info: ValidationInfo) -> Status:
        del info
        if bool(value.from_) != bool(value.words) or not (value.from_ or value.closed_by):
            raise ValueError("needs `from` with [status.words], or `closed_by`, or both")
        return value

    def paths(self) -> Iterator[str]:
        """Yield every path that is read."""
        yield from (*self.people, *self.id.from_, *self.status.from_, *self.status.closed_by, *self.skip)
        for source in (*self.attributes.values(), *self.custom.values()):
            yield from source.from_
        for attached in self.attached:
            yield from (attached.matches, attached.into)

    def markup_of(self, shape: Shape) -> Markup:
        """Return what texts of such a file are written in."""
        return {Shape.CSV: self.markup.csv, Shape.XML: self.markup.xml}.get(shape, self.markup.json_)


_OURS = (
    "incident_id",
    "status",
    "sk",
    "kb_sync_status",
    "resolution",
    "cline_work",
    "external_id",
    "source_system",
)


def shipped_text(system: System) -> str:
    """Return the shipped mapping of a system as it is written."""
    return files("kbsync.importing").joinpath("mappings", f"{system}.toml").read_text(encoding="utf-8")


def shipped(system: System) -> ExportMapping:
    """Return the shipped mapping of a system."""
    return _parsed(shipped_text(system), f"the mapping of {system}")


def load_mapping(path: str) -> ExportMapping:
    """Return a user's mapping.

    Raises:
        UsageError: it cannot be read or applied; names every fault.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the mapping {path} cannot be read: {type(error).__name__}",
            hint="`kbsync import --show-mapping jira > FILE` writes one to begin with",
        ) from error
    return _parsed(text, path)


def _parsed(text: str, name: str) -> ExportMapping:
    try:
        return ExportMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is no TOML: {error}", hint="quote names with dots or spaces") from error
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, cast('tuple[object, ...]', fault['loc'])))}: "
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise UsageError(
            f"{name} cannot be used: {'; '.join(faults)}",
            hint="`kbsync import --show-mapping jira` shows a whole one with comments",
        ) from error
