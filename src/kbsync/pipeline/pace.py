"""Pace: how many incidents are in hand at once, and what a refusal does to that. Pure; side_by_side.py obeys.

    window   begins with each refusal; what was in flight before it tells nothing new
    refused  half as many at once from then on, and a step to an outage; others of its window add nothing
    done     a little faster: one more at once for every round without a refusal

With one at a time every incident is a window of its own. Invariant: at least one may always be in hand.
"""

from dataclasses import dataclass

OUTAGE_AFTER_REFUSALS = 5
FIRST_PAUSE_SECONDS = 0.1


@dataclass
class Pace:
    """How fast one run goes at the moment.

    Args:
        most: incidents in hand at once, at most.
        most_bytes: bytes of documents in flight at once, at most, unless one alone is larger.
    """

    most: int
    most_bytes: int
    window: int = 0
    refusals_in_a_row: int = 0
    """Windows in a row of which every answer was a refusal."""
    at_once: float = 0.0

    def __post_init__(self) -> None:
        self.at_once = float(self.most)

    @property
    def is_outage(self) -> bool:
        """Whether the service refuses so steadily that going on is of no use."""
        return self.refusals_in_a_row >= OUTAGE_AFTER_REFUSALS

    @property
    def pause_seconds(self) -> float:
        """How long to wait after a cut: the longer, the more of them came in a row."""
        return float(FIRST_PAUSE_SECONDS * 2**self.refusals_in_a_row)

    def has_room(self, in_hand: int, in_flight_bytes: int, more_bytes: int) -> bool:
        """Whether one more incident of so many bytes may be taken in hand."""
        if not in_hand:
            return True
        return in_hand < int(self.at_once) and in_flight_bytes + more_bytes <= self.most_bytes

    def went_well(self) -> None:
        """Note that one incident was done."""
        self.refusals_in_a_row = 0
        self.at_once = min(float(self.most), self.at_once + 1 / self.at_once)

    def was_refused(self, began_in: int) -> bool:
        """Note a refusal of what was taken in hand in a window; True where it is that window's first."""
        if began_in != self.window:
            return False
        self.window += 1
        self.refusals_in_a_row += 1
        self.at_once = max(1.0, self.at_once / 2)
        return True
