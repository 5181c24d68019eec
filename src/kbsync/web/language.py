"""The words of the pages in Spanish and English, and dates and numbers as each writes them.

Imports Babel. Invariant: every text stands in texts.toml in every language; a missing one is an error.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files

from babel.core import negotiate_locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_compact_decimal, format_decimal

LANGUAGES = ("es", "en")
NAMES = {"es": "Español", "en": "English"}
_COMPACT_FROM = 1_000_000


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """Return every text of the pages by its key, in every language."""
    return tomllib.loads(files("kbsync.web").joinpath("texts.toml").read_text(encoding="utf-8"))


def chosen_language(wanted: str | None, accepted: str, default: str) -> str:
    """Return the visitor's language: their own choice, else the browser's first that we know, or the default.

    Args:
        wanted: what the visitor chose before; anything that is no language of ours counts as nothing.
        accepted: the Accept-Language header; its order counts, its weights do not.
        default: one of LANGUAGES.
    """
    if wanted in LANGUAGES:
        return str(wanted)
    asked = [part.split(";")[0].strip().replace("-", "_") for part in accepted.split(",")]
    found = negotiate_locale([each for each in asked if each], LANGUAGES, aliases={"ca": "es", "gl": "es"})
    return found or default


class Words:
    """Everything that a template says, in one language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; raise KeyError for a key that texts.toml lacks."""
        return texts()[key][self.language].format(**values)

    def state(self, name: str | None) -> str:
        """Return what people call a state, or a run's outcome; one that is new is shown as it is."""
        entry = texts().get(f"state.{name or 'none'}")
        return entry[self.language] if entry else str(name)

    def number(self, value: float | None) -> str:
        """Return a number with its thousands parted."""
        if value is None:
            return "-"
        if abs(value) >= _COMPACT_FROM:
            return format_compact_decimal(value, locale=self.language, fraction_digits=1)
        return format_decimal(value, locale=self.language)

    def when(self, text: str | None) -> str:
        """Return an ISO moment as a date and time in UTC."""
        if not text:
            return "-"
        moment = datetime.fromisoformat(text).astimezone(UTC)
        return format_datetime(moment, "d MMM y, HH:mm:ss", locale=self.language)

    def span(self, seconds: float | None) -> str:
        """Return a duration as people say it."""
        if seconds is None:
            return "-"
        if seconds < 1:
            return f"{format_decimal(round(seconds, 2), locale=self.language)} s"
        return format_timedelta(
            timedelta(seconds=seconds), locale=self.language, format="short", threshold=1.5
        )
