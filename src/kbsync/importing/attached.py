"""Records that stand beside the incidents they belong to: gathered first, then put into them.

Imports errors and importing. The one part of an import that grows with its file, so it has a limit.
"""

from kbsync.errors import UsageError
from kbsync.importing.mapping import Attached
from kbsync.importing.paths import scalar, values_at
from kbsync.importing.rows import Row, Rows, is_filled

MOST_CHARACTERS = 64 * 1024 * 1024
"""Of what is held at a time: some hundred thousand journal entries."""


class Attachments:
    """What belongs to the incidents of one file."""

    def __init__(self, rules: tuple[Attached, ...]) -> None:
        self._rules = {rule.kind: rule for rule in rules}
        self._parts: dict[tuple[str, str], list[object]] = {}
        self._incidents: set[tuple[str, str]] = set()

    def gather(self, rows: Rows) -> "Attachments":
        """Keep what belongs to incidents, and which incidents there are.

        Raises:
            UsageError: more than memory should hold.
        """
        characters = 0
        for row in rows:
            if not isinstance(row, Row):
                continue
            if row.kind in self._rules:
                characters += len(str(row.fields))
                self._parts.setdefault(self._parent(row), []).append(dict(row.fields))
            else:
                self._incidents |= {(kind, self._mark(row, rule)) for kind, rule in self._rules.items()}
            if characters > MOST_CHARACTERS:
                raise UsageError(
                    "the file holds too much beside its incidents",
                    hint="export fewer incidents at a time, each with what belongs to it",
                )
        return self

    def reason(self, row: Row) -> tuple[bool, str]:
        """Return whether a record that belongs to an incident finds it, and what to say of it."""
        if self._parent(row) in self._incidents:
            return True, f"{row.kind}, put into its incident"
        return False, f"belongs ({row.kind}) to an incident that is not in this file"

    def knows(self, kind: str) -> bool:
        """Tell whether records of this kind belong to incidents."""
        return kind in self._rules

    def completed(self, row: Row) -> Row:
        """Return an incident's row with everything that belongs to it."""
        fields = row.fields
        for kind, rule in self._rules.items():
            parts = self._parts.get((kind, self._mark(row, rule)), [])
            if parts:
                own = fields.get(rule.into)
                within = own if isinstance(own, list) else [own] if is_filled(own) else []
                fields = {**fields, rule.into: [*within, *parts]}
        return Row(row.number, fields, row.kind, row.names)

    def _parent(self, row: Row) -> tuple[str, str]:
        return row.kind, next(map(scalar, values_at(row, self._rules[row.kind].parent)), "")

    @staticmethod
    def _mark(row: Row, rule: Attached) -> str:
        return next(map(scalar, values_at(row, rule.matches)), "")
