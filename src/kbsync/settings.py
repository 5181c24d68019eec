"""One frozen `Settings`: every choice an operator can make, with its default and what it means.

`setting_sources.py` fills it from flags, environment and file. Imports only the types of settings.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kbsync.setting_types import Fields, Folder, Names, OptionalNumber, Rules, Seconds, Upper

SHORTEST_TOKEN = 16
NEEDED_BY_AWS = ("s3_bucket", "kb_id", "data_source_id")
_VARIABLES = {
    "backend": "KBSYNC_BACKEND",
    "home": "KBSYNC_HOME",
    "config": "KBSYNC_CONFIG",
    "local_faults": "KBSYNC_LOCAL_FAULTS",
}


def default_home() -> Path:
    """Return the folder of the embedded backend where nobody names one."""
    return Path("~/.kbsync").expanduser()


class Setting(NamedTuple):
    """One line of `kbsync config`."""

    name: str
    value: str
    origin: str
    meaning: str


class Settings(BaseModel):
    """Every choice an operator can make; built by `load_settings`, or directly in a program."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    backend: Literal["local", "aws"] = Field("local", description="where incidents and documents live")
    home: Folder = Field(default_factory=default_home, description="folder of the embedded backend")
    config: Folder | None = Field(None, description="TOML file; <home>/kbsync.toml when it exists")
    incidents_table: str = Field("incidents", min_length=3, description="DynamoDB table of the incidents")
    kbsync_table: str = Field("kbsync", min_length=3, description="DynamoDB table of kbsync's own ledger")
    s3_bucket: str = Field("", description="bucket of the documents", examples=["my-incident-documents"])
    s3_prefix: str = Field("incidents/", description="what every document key begins with")
    json_records_prefix: str = Field(
        "",
        description="where JSON records for other readers go; empty: none",
        examples=["incident-records/"],
    )
    run_records_prefix: str = Field(
        "runs/", description="where runs leave their pages in the bucket; empty: none"
    )
    s3_kms_key_id: str = Field("", description="KMS key of the documents; empty: the bucket's default")
    kb_id: str = Field("", description="Bedrock knowledge base", examples=["VH6SRH9ZNO"])
    data_source_id: str = Field(
        "", description="data source of the knowledge base that reads the prefix", examples=["ABCDEFGHIJ"]
    )
    kb_type: Literal["custom", "managed"] = Field("custom", description="kind of knowledge base")
    alert_topic_arn: str = Field("", description="SNS topic of alerts; empty: only the log")
    aws_region: str = Field("", description="AWS region; empty: boto3's own choice", examples=["eu-west-1"])
    batch_size: int = Field(
        50, ge=1, le=500, description="incidents worked on at a time (a page, not a limit)"
    )
    publish_concurrency: Annotated[int | None, Field(ge=1, le=64), OptionalNumber] = Field(
        None, description="incidents published at once; empty: 32 on AWS, 1 here", examples=[8]
    )
    publish_bytes: int = Field(
        32_000_000, ge=1_000_000, le=1_000_000_000, description="most bytes of documents in flight at once"
    )
    closed_statuses: Names = Field(("CLOSED",), min_length=1, description="statuses that want a document")
    other_statuses: Names = Field(
        (),
        description="statuses looked through for documents to withdraw, with DISCOVERY=index",
        examples=["OPEN,REOPENED"],
    )
    document_language: Literal["es", "en"] = Field(
        "es", description="headings where an incident names no language"
    )
    timezone: str = Field("UTC", description="zone of dates that name none")
    date_order: Literal["", "MDY", "DMY"] = Field(
        "", description="how to read dates such as 03/04/2025; empty: as text", examples=["DMY"]
    )
    metadata_budget_bytes: int = Field(
        1024, ge=1024, le=10240, description="most bytes of one document's metadata"
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="failures of its own until an incident is quarantined"
    )
    retry_backoff_seconds: float = Field(
        0.0, ge=0, le=86400, description="wait after an incident's first failure"
    )
    lease_seconds: float = Field(
        120.0, ge=60, le=3600, description="how long a silent run keeps others waiting"
    )
    queue_shards: int = Field(1, ge=1, le=32, description="parts of the work queue")
    discovery: Literal["auto", "queue", "index"] = Field(
        "auto", description="how changed incidents are found"
    )
    ingestion: Literal["job", "none"] = Field("job", description="whether a run starts ingestion jobs")
    exclude: Rules = Field(
        (),
        description="closed incidents that get no document, by attribute=value",
        examples=["category=test,severity=low"],
    )
    confidential: Rules = Field(
        (),
        description="incidents that must never have a document, by attribute=value",
        examples=["category=personnel"],
    )
    require_resolution: bool = Field(
        False, description="whether a closed incident needs root cause, resolution or steps for a document"
    )
    published_fields: Fields = Field(
        (),
        description="the only fields of an incident that documents are made of; empty: all",
        examples=["title,description,resolution,category"],
    )
    redact_names: Names = Field(
        (), description="names and words redacted in every text", examples=["Ana Ruiz,Proyecto Alba"]
    )
    person_attributes: Names = Field(
        ("resolution.resolved_by",),
        description="attributes that name people, whose names are redacted in the incident's texts",
        examples=["resolution.resolved_by,assignee"],
    )
    redact_ip_addresses: bool = Field(False, description="whether IP addresses are redacted")
    embedder: Literal["auto", "e5", "use", "hash", "none"] = Field(
        "auto", description="model of the local search"
    )
    words_weight: float = Field(
        0.25, ge=0, le=10, description="how much words count beside meaning in the local search"
    )
    local_faults: str = Field("", description="faults for demos and tests, as JSON", examples=["{}"])
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Upper] = Field(
        "WARNING", description="least level that is logged"
    )
    wait_seconds: Annotated[Seconds | None, OptionalNumber] = Field(
        None, description="longest wait for ingestion in a run; empty: until it ends", examples=[60]
    )

    searchable_within_seconds: Annotated[Seconds, Field(gt=0)] = Field(
        3_900.0, description="objective from closed to searchable"
    )
    probe_sample: Annotated[Annotated[int, Field(ge=0, le=10_000)] | None, OptionalNumber] = Field(
        None,
        description="searchable and withdrawn incidents that a run looks for; empty: 5, embedded 0",
        examples=[20],
    )
    batch_function: str = Field(
        "",
        description="Lambda function that the stream marker asks to run soon; empty: none",
        examples=["incident-kb-batch-sync"],
    )
    serve_token: SecretStr = Field(
        SecretStr(""), description="what visitors of `kbsync serve` must know; needed beyond loopback"
    )

    mcp_token: SecretStr = Field(
        SecretStr(""), description="what agents of `kbsync mcp --http` must send; empty: made anew each time"
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("s3_prefix", "json_records_prefix", "run_records_prefix")
    @classmethod
    def _prefix_is_a_folder(cls, value: str, checked: ValidationInfo) -> str:
        if not value and checked.field_name != "s3_prefix":
            return value
        parts = value.removesuffix("/").split("/")
        if not value.endswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in value:
            raise ValueError("must be a relative folder that ends in /, such as incidents/")
        return value

    @model_validator(mode="after")
    def _runs_are_no_documents(self) -> "Settings":
        runs = self.run_records_prefix
        for other in filter(None, (self.s3_prefix, self.json_records_prefix)):
            if runs and (runs.startswith(other) or other.startswith(runs)):
                raise ValueError(f"RUN_RECORDS_PREFIX must lie outside {other}")
        return self

    @model_validator(mode="after")
    def _aws_is_complete(self) -> "Settings":
        if self.backend == "aws":
            missing = [variable(name) for name in NEEDED_BY_AWS if not getattr(self, name)]
            if missing:
                raise ValueError(f"KBSYNC_BACKEND=aws needs {', '.join(missing)}")
        return self

    @field_validator("serve_token", "mcp_token")
    @classmethod
    def _token_is_long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"must have at least {SHORTEST_TOKEN} characters: others must not guess it")
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("must be a zone name such as UTC or Europe/Madrid") from error
        return value

    @field_validator("local_faults")
    @classmethod
    def _faults_are_json(cls, value: str) -> str:
        if value and not isinstance(json.loads(value), dict):
            raise ValueError("must be a JSON object")
        return value

    @property
    def published_at_once(self) -> int:
        """How many incidents are in hand at once: many hide S3's latency; files are written one by one."""
        return self.publish_concurrency or (32 if self.backend == "aws" else 1)

    @property
    def probed_of_each_kind(self) -> int:
        """How many of each kind a run probes; an embedded home confirms from the index that search reads."""
        if self.probe_sample is not None:
            return self.probe_sample
        return 5 if self.backend == "aws" else 0

    def origin(self, name: str) -> str:
        """Return where a value came from: flag, environment, file or default."""
        return self._origins.get(name, "default")

    def listing(self) -> list[Setting]:
        """Return every setting with its origin and meaning; a secret is shown as stars."""
        return [
            Setting(variable(name), self._shown(name), self.origin(name), field.description or "")
            for name, field in type(self).model_fields.items()
        ]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if isinstance(value, tuple):
            return ",".join("=".join(part) if isinstance(part, tuple) else part for part in value)
        return "" if value is None else str(value)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return _VARIABLES.get(name, name.upper())
