"""Everything that a port's listing has, one page in memory at a time. Imports the ports only."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from kbsync.ports import Page

T = TypeVar("T")


class Listing(Protocol[T]):
    """A listing of a port that is asked page by page."""

    def __call__(self, *, cursor: str) -> Page[T]:
        """Return the page behind a cursor."""
        ...


def each_of(listing: Listing[T]) -> Iterator[T]:
    """Yield everything that a listing has; the next page is asked for when the last one is used up."""
    cursor: str | None = ""
    while cursor is not None:
        page = listing(cursor=cursor)
        yield from page.items
        cursor = page.cursor or None
