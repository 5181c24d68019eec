"""The settings that change a document or whether there is one. Imports errors alone; a value, no effects."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from kbsync.errors import ConfigInvalidError

MAX_PREFIX_BYTES = 700
"""With a prefix this long the longest key still fits S3's 1,024 bytes, sidecar suffix included (O-23)."""

Rule = tuple[str, tuple[str, ...]]
"""An attribute path ("category", "resolution.resolution_type") and the values that match, in any case."""


@dataclass(frozen=True, slots=True)
class TransformRules:
    """How incidents become documents; every field is part of `rendered_by`.

    Raises:
        ConfigInvalidError: the time zone, the date order, or the prefix cannot be worked with.
    """

    prefix: str = "incidents/"
    json_records_prefix: str = ""
    """Where the original's JSON records go; empty: none are written. Never below `prefix`."""
    closed_statuses: tuple[str, ...] = ("CLOSED",)
    document_language: str = "es"
    timezone: str = "UTC"
    date_order: str = ""
    """MDY or DMY says how 03/04/2025 is meant; empty: such a date is left unread and noted."""
    metadata_budget_bytes: int = 1024
    exclude: tuple[Rule, ...] = ()
    confidential: tuple[Rule, ...] = ()
    require_resolution: bool = False
    """Whether a closed incident of which neither cause nor solution is written gets no document."""
    published_fields: tuple[str, ...] = ()
    """The only fields that documents are made of; empty: all."""
    redact_names: tuple[str, ...] = ()
    person_attributes: tuple[str, ...] = ("resolution.resolved_by",)
    """Paths of attributes that name people: such a name is redacted in the incident's own texts."""
    redact_ip_addresses: bool = False
    max_document_bytes: int = 50_000_000
    """Source: Amazon Bedrock User Guide, "Set up a data source": 50 MB for one document."""
    max_error_bytes: int = 32_768
    """Of a longer error message, head and tail are kept (O-52)."""

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ConfigInvalidError(
                "timezone is not an IANA name", hint="for example Europe/Madrid"
            ) from error
        if self.date_order not in ("", "MDY", "DMY"):
            raise ConfigInvalidError("date_order is not MDY, DMY or empty")
        if max(len(self.prefix.encode()), len(self.json_records_prefix.encode())) > MAX_PREFIX_BYTES:
            raise ConfigInvalidError(f"prefix is longer than {MAX_PREFIX_BYTES} bytes")
        records = self.json_records_prefix
        if records and (records.startswith(self.prefix) or self.prefix.startswith(records)):
            raise ConfigInvalidError(
                "json_records_prefix overlaps with the documents' prefix, which the knowledge base reads",
                hint="for example incident-records/",
            )
