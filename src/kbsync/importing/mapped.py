"""A record of an export to an incident's attributes, as its mapping says. Pure; imports importing alone.

Invariant: every row becomes an accepted or a rejected line or is counted as skipped; the same row always
gives the same attributes, so importing again changes nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kbsync.importing.adf import adf_to_markdown, is_adf
from kbsync.importing.attached import Attachments
from kbsync.importing.csv_table import split_list
from kbsync.importing.mapping import KINDS, ExportMapping, Kind, Source
from kbsync.importing.mapping_report import MappingReport
from kbsync.importing.paths import Used, scalar, values_at
from kbsync.importing.people import comment_text, journal_text, without_people
from kbsync.importing.records import Accepted, Line, Rejected, check
from kbsync.importing.rows import Row, Rows, Shape

_MOST_CHARACTERS = 40_000
"""Of one text: several of them must fit into an item of 400 KB, which counts bytes of UTF-8."""

_MOST_OF_A_LINE = 2000
_CUT = "\n\n[...]\n\n"


@dataclass(frozen=True)
class Reading:
    """What a mapping is applied with, from outside of importing.

    `moment` returns an ISO time for a date, a time zone and an order of day and month, or None;
    `markdown` converts by markup; `closed_status` is what CLOSED is called in this table.
    """

    moment: Callable[[str, str, str], str | None]
    markdown: Mapping[str, Callable[[str], str]]
    closed_status: str


class Mapper:
    """Applies one mapping to the rows of one file, and counts."""

    def __init__(
        self, mapping: ExportMapping, shape: Shape, reading: Reading, attachments: Attachments
    ) -> None:
        self._mapping = mapping
        self._shape = shape
        self._reading = reading
        self._used = Used(mapping.paths())
        self._statuses = {
            word.casefold(): self._reading.closed_status if ours == "CLOSED" else ours
            for ours, words in mapping.status.words.items()
            for word in words
        }
        self._attachments = attachments
        self.report = MappingReport(mapping.system)

    def lines(self, rows: Rows) -> Iterator[Line]:
        """Yield a line for every row that is not skipped."""
        for row in rows:
            self.report.records += 1
            line = row if isinstance(row, Rejected) else self._line(row)
            if isinstance(line, str):
                self.report.skipped[line] += 1
                continue
            if isinstance(line, Accepted):
                self.report.mapped += 1
            else:
                self.report.rejected += 1
            yield line

    def _line(self, row: Row) -> Line | str:
        if self._attachments.knows(row.kind):
            is_placed, reason = self._attachments.reason(row)
            return reason if is_placed else Rejected(row.number, reason)
        if reason := self._skipped(row):
            return reason
        row = self._attachments.completed(row)
        external_id = self._external_id(row)
        if not external_id:
            return Rejected(row.number, f"no id: none of {', '.join(self._mapping.id.from_)} is there")
        status = self._status(row)
        if isinstance(status, Rejected):
            return status
        attributes: dict[str, object] = {
            "incident_id": f"{self._mapping.system}:{external_id}",
            "external_id": external_id,
            "source_system": self._mapping.system,
            "status": status,
        }
        self._fill(row, attributes)
        for name in self._used.left_out(row.fields):
            self.report.drop(name)
        return check(row.number, attributes)

    def _skipped(self, row: Row) -> str:
        if self._shape is Shape.XML and row.kind not in self._mapping.records.xml:
            return f"an element {row.kind[:40]}, no incident"
        return next((why for path, why in self._mapping.skip.items() if values_at(row, path)), "")

    def _external_id(self, row: Row) -> str:
        for path in self._mapping.id.from_:
            for text in map(scalar, values_at(row, path)):
                match = re.search(self._mapping.id.pattern, text) if self._mapping.id.pattern else None
                found = "#".join(filter(None, match.groups() or (match[0],))) if match else text
                if found.strip() and (match or not self._mapping.id.pattern):
                    return found.strip()
        return ""

    def _status(self, row: Row) -> str | Rejected:
        rule = self._mapping.status
        words = (scalar(value).strip() for path in rule.from_ for value in values_at(row, path))
        word = next(filter(None, words), "")
        if word:
            ours = self._statuses.get(word.casefold(), "")
            self.report.saw_status(word, ours)
            return ours or Rejected(
                row.number,
                "its status is in no list of [status.words]: add it to a mapping of your own (--mapping)",
            )
        if rule.closed_by:
            closed = any(values_at(row, path) for path in rule.closed_by)
            return self._reading.closed_status if closed else "OPEN"
        return Rejected(row.number, f"no status: none of {', '.join(rule.from_)} is there")

    def _fill(self, row: Row, attributes: dict[str, object]) -> None:
        people = [scalar(value) for path in self._mapping.people for value in values_at(row, path)]
        for name, source in self._mapping.attributes.items():
            value = self._value(row, name, source, KINDS[name], people)
            if value:
                parent, _, member = name.rpartition(".")
                within = attributes.setdefault(parent, {}) if parent else attributes
                assert isinstance(within, dict)  # noqa: S101 - KINDS has no attribute inside another
                within[member] = value
        for name, source in self._mapping.custom.items():
            if value := self._value(row, name, source, "line", people):
                attributes[name] = value

    def _value(self, row: Row, name: str, source: Source, kind: Kind, people: Iterable[str]) -> object:
        found: list[object] = []
        unread = False
        for path in source.from_:
            made = self._made(row, path, source, kind)
            unread = unread or (kind == "date" and not made and bool(values_at(row, path)))
            if made:
                found += [each for each in made if each not in found]
                self.report.attributes[name, path] += 1
                if not source.join:
                    break
        if unread and not found:
            self.report.unreadable[name] += 1
        if kind == "list":
            return found
        text = ("\n\n" if kind == "text" else " ").join(map(str, found))
        return self._bounded(name, without_people(text, people)) if kind == "text" else text

    def _made(self, row: Row, path: str, source: Source, kind: Kind) -> list[str]:
        values = values_at(row, path)
        values = list(reversed(values)) if source.reverse else values
        match kind:
            case "text":
                return list(filter(None, (self._text(value, source) for value in values)))
            case "date":
                zone, order = self._mapping.timezone, self._mapping.date_order
                moments = (self._reading.moment(scalar(value), zone, order) for value in values)
                return [moment for moment in moments if moment][:1]
            case "list":
                texts = [part for text in map(scalar, values) for part in self._parts(text)]
                return list(dict.fromkeys(source.words.get(text, text) for text in texts))
            case "line":
                texts = [" ".join(scalar(value).split())[:_MOST_OF_A_LINE] for value in values]
                return [source.words.get(text, text) for text in texts if text][:1]

    def _parts(self, text: str) -> list[str]:
        whole = " ".join(text.split())
        return split_list(whole) if self._shape is Shape.CSV else list(filter(None, [whole]))

    def _text(self, value: object, source: Source) -> str:
        if isinstance(value, Mapping) and is_adf(value):
            return adf_to_markdown(value)
        said = scalar(value) or "\n".join(_members(value))
        text = said.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        if source.strip == "journal":
            text = journal_text(text)
        elif source.strip == "comment" and self._shape is Shape.CSV:
            text = comment_text(text)
        return self._reading.markdown[self._mapping.markup_of(self._shape)](text).strip("\n")

    def _bounded(self, name: str, text: str) -> str:
        if len(text) <= _MOST_CHARACTERS:
            return text
        self.report.shortened[name] += 1
        half = (_MOST_CHARACTERS - len(_CUT)) // 2
        return f"{text[:half]}{_CUT}{text[-half:]}"


def _members(value: object) -> Iterator[str]:
    """Yield an object without a name of its own, such as an alert's details, one member a line."""
    if isinstance(value, dict):
        for name, part in value.items():
            if text := scalar(part):
                yield f"- {name}: {text}"
