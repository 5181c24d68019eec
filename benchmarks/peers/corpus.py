"""The files that every tool is given, case after case, and what a tool must serve after each.

Each edit, reopening and removal takes another hundredth of the incidents: no case hides in the one before.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.peers.frame import EDIT, incidents, is_wanted

SHARE = 100
_FIRST = datetime(2026, 11, 1, tzinfo=UTC)
_REOPENED_OFFSET, _REMOVED_OFFSET = 50, 75


@dataclass(frozen=True)
class Files:
    """One case's input: all incidents, and those alone that differ from the case before."""

    whole: Path
    changed: Path
    changed_ids: frozenset[str]


class Corpus:
    """Incidents that change from case to case; `updated_at` rises with every change, as a cursor needs it."""

    def __init__(self, documents: Path, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._clock = 0
        self.incidents = list(incidents(documents))[:limit]
        self._versions = {str(each["incident_id"]): 0 for each in self.incidents}
        for incident in self.incidents:
            self._stamp(incident)

    @property
    def expected(self) -> dict[str, int]:
        """Which version of which incident is to be served."""
        wanted = (str(each["incident_id"]) for each in self.incidents if is_wanted(each))
        return {each: self._versions[each] for each in wanted}

    def same(self, name: str) -> Files:
        """Write the incidents as they are."""
        return self._write(name, [])

    def edited(self, version: int) -> Files:
        """Give another hundredth of the incidents one more sentence."""
        chosen = self._share(version)
        for incident in chosen:
            incident["description"] = f"{incident.get('description') or ''} {EDIT} {version}."
            self._versions[str(incident["incident_id"])] = version
            self._stamp(incident)
        return self._write(f"edited-{version}", chosen)

    def reopened(self) -> Files:
        """Reopen a hundredth: the incidents stay in the file, with another status."""
        chosen = self._share(_REOPENED_OFFSET)
        for incident in chosen:
            incident["status"] = "REOPENED"
            self._stamp(incident)
        return self._write("reopened", chosen)

    def removed(self) -> Files:
        """Leave a hundredth out of the file."""
        gone = self._share(_REMOVED_OFFSET)
        ids = frozenset(str(each["incident_id"]) for each in gone)
        self.incidents = [each for each in self.incidents if each["incident_id"] not in ids]
        files = self._write("removed", [])
        return Files(files.whole, files.changed, ids)

    def _share(self, offset: int) -> list[dict[str, Any]]:
        step = min(SHARE, len(self.incidents))
        return [each for each in self.incidents[offset % step :: step] if is_wanted(each)]

    def _stamp(self, incident: dict[str, Any]) -> None:
        self._clock += 1
        incident["updated_at"] = (_FIRST + timedelta(seconds=self._clock)).isoformat()

    def _write(self, name: str, changed: Sequence[dict[str, Any]]) -> Files:
        whole, part = self._folder / f"{name}.jsonl", self._folder / f"{name}-changed.jsonl"
        for path, lines in ((whole, self.incidents), (part, changed)):
            path.write_text("".join(f"{json.dumps(each)}\n" for each in lines), encoding="utf-8")
        return Files(whole, part, frozenset(str(each["incident_id"]) for each in changed))
