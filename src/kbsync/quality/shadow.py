"""A shadow index: an embedded home of the same incidents with one setting changed, to compare with.

May import bootstrap and the pipeline. Invariant: the home that is measured is only read; the shadow is
another folder, and has nothing of it but copies of the vectors of equal texts.
"""

from dataclasses import replace
from pathlib import Path

from kbsync.bootstrap import build_engine, home_exists, lend_vectors
from kbsync.engine import Engine
from kbsync.errors import UsageError
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.run import Progress
from kbsync.pipeline.sync import sync_once
from kbsync.queueing import is_closed
from kbsync.setting_sources import load_settings
from kbsync.settings import Settings, variable

COMPARABLE = (
    "closed_statuses", "confidential", "date_order", "document_language", "embedder", "exclude",
    "metadata_budget_bytes", "person_attributes", "published_fields", "redact_ip_addresses", "redact_names",
    "require_resolution", "timezone", "words_weight",
)  # fmt: skip
"""Settings that change what documents say, which there are, or how the embedded search ranks them."""
_PAGE = 100


class _Silence:
    """Alerts that nobody hears: a shadow's troubles are those of the home, which has told of them."""

    def send(self, subject: str, body: str) -> None:
        """Send nothing."""


def changed_setting(text: str) -> tuple[str, str]:
    """Return the member and the value that `SETTING=VALUE` names.

    Raises:
        UsageError: it is no such text, or a setting that changes nothing of what is found.
    """
    name, sign, value = text.partition("=")
    member = name.strip().lower()
    if not sign or member not in COMPARABLE:
        raise UsageError(
            f"{text!r} cannot be compared",
            hint=f"write SETTING=VALUE with one of {', '.join(map(variable, COMPARABLE))}",
        )
    return member, value.strip()


def shadow_settings(settings: Settings, home: Path, changed: tuple[str, str]) -> Settings:
    """Return the settings of an embedded home in this folder, as the given ones but for the changed one.

    Raises:
        ConfigInvalidError: the value is none of this setting.
    """
    member, value = changed
    of_its_own = {"backend": "local", "home": home, "ingestion": "job", "local_faults": ""}
    return load_settings({**settings.model_dump(exclude={"config"}), **of_its_own, member: value}, {})


def build_shadow(engine: Engine, settings: Settings, shadow: Settings, progress: Progress) -> Engine:
    """Return the shadow's engine with every closed incident searchable in it; an earlier one goes on.

    Reads the whole incidents table once.

    Raises:
        UsageError: the folder is the home that is measured.
    """
    if settings.backend == "local" and shadow.home.resolve() == settings.home.resolve():
        raise UsageError("the shadow index would be the home itself", hint="name another folder")
    fresh = not home_exists(shadow)
    other = replace(build_engine(shadow), alerts=_Silence())
    if fresh:
        lend_vectors(settings, shadow)
    cursor, copied = "", 0
    while True:
        page = engine.incidents.scan(cursor=cursor, limit=_PAGE)
        closed = [
            each.attributes for each in page.items if is_closed(each.attributes, shadow.closed_statuses)
        ]
        upsert_incidents(other, closed)
        cursor, copied = page.cursor, copied + len(closed)
        progress("import", copied, None)
        if not cursor:
            break
    sync_once(other, trigger="eval", progress=progress)
    return other
