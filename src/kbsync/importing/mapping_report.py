"""What a mapping made of an export: counts only, and names of fields, never a value of a ticket.

Imports nothing of ours. Invariant: records = mapped + rejected + skipped.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

_MOST_NAMES = 500
_LONGEST_NAME = 80
_STATUS_WORD = re.compile(r"[\w /()-]{1,40}")
OTHER_NAMES = "(others)"


@dataclass
class MappingReport:
    """Counts of records by what became of them and of their fields."""

    system: str
    records: int = 0
    mapped: int = 0
    rejected: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    attributes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By attribute and by the path that filled it."""
    dropped: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    shortened: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the system's word and ours, which is empty where the mapping has none."""

    def drop(self, name: str) -> None:
        """Count a filled field that the mapping leaves out."""
        shown = name[:_LONGEST_NAME]
        self.dropped[shown if shown in self.dropped or len(self.dropped) < _MOST_NAMES else OTHER_NAMES] += 1

    def saw_status(self, word: str, ours: str) -> None:
        """Count a status; what does not look like one is not repeated."""
        shown = word if _STATUS_WORD.fullmatch(word) else OTHER_NAMES
        known = (shown, ours) in self.statuses or len(self.statuses) < _MOST_NAMES
        self.statuses[shown if known else OTHER_NAMES, ours] += 1

    def view(self) -> dict[str, object]:
        """Return the report for people and programs, the most frequent first."""
        by_attribute: dict[str, dict[str, int]] = {}
        for (name, path), count in self.attributes.items():
            by_attribute.setdefault(name, {})[path] = count
        return {
            "system": self.system,
            "records": self.records,
            "mapped": self.mapped,
            "rejected": self.rejected,
            "skipped": [{"reason": name, "records": count} for name, count in _ordered(self.skipped)],
            "attributes": [
                {"attribute": name, "records": sum(paths.values()), "from": paths}
                for name, paths in sorted(by_attribute.items())
            ],
            "dropped": [{"field": name, "records": count} for name, count in _ordered(self.dropped)],
            "unreadable": [
                {"attribute": name, "records": count} for name, count in _ordered(self.unreadable)
            ],
            "shortened": [{"attribute": name, "records": count} for name, count in _ordered(self.shortened)],
            "statuses": [
                {"word": word, "status": ours, "records": count}
                for (word, ours), count in sorted(self.statuses.items(), key=lambda each: (-each[1], each[0]))
            ],
        }


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
