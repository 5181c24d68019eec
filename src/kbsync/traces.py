"""What a purge must leave no trace of, and who can be asked to forget it. Pure; imports nothing of ours.

Invariant: what is meant is told by ids, keys and patterns; the patterns' text is in memory only.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable


def no_text(_text: str) -> bool:
    """Match nothing."""
    return False


@dataclass(frozen=True)
class Traces:
    """The incidents that are purged, the keys of their objects, and which texts betray them besides."""

    incident_ids: Collection[str]
    keys: Collection[str]
    matches: Callable[[str], bool] = no_text

    def are_in(self, text: str) -> bool:
        """Whether a text names one of them, whole, or holds what was searched for."""
        return bool(self._names.search(text)) or self.matches(text)

    @cached_property
    def _names(self) -> re.Pattern[str]:
        longest_first = sorted({*self.incident_ids, *self.keys}, key=len, reverse=True)
        return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")


@runtime_checkable
class Forgetful(Protocol):
    """An adapter that keeps more than its port shows: freed pages, caches, messages sent to a file."""

    def forget(self, traces: Traces) -> None:
        """Remove what names them or is left of them, beyond recovery from its files; harmless to repeat.

        Raises:
            UnavailableError (retriable): another process has a file open; repeat it.
        """
        ...
