"""Incidents as a back-fill reads them: a source in parts, each a row of stretches. Imports the model only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from kbsync.model import Attributes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some incidents of a part, one after another; `position` is where the part goes on behind them."""

    items: tuple[tuple[str, Attributes], ...]
    position: str
    unreadable: int = 0
    """Lines or items between them that are no incident."""


class Source(Protocol):
    """Incidents in parts that are read independently of each other, each from a position in it."""

    name: str
    """What progress is kept under: another name begins anew."""
    parts: int

    def read(self, part: int, position: str) -> Iterator[Stretch]:
        """Yield what is behind a position (empty: all) of one part, in an order that never changes."""
        ...
