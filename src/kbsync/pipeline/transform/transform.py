"""One stored incident to the document it wants, or to the reason for none: pure, deterministic, fail closed.

clean -> redact -> Markdown -> clean and redact again (what markup hid) -> body, sidecar, fingerprint
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from kbsync.errors import DocumentTooLargeError, MissingExtraError, RedactionFailedError
from kbsync.model import Attributes, Desired, Document, StoredIncident, Symptom
from kbsync.pipeline.transform.body import (
    HEADINGS,
    SECTIONS,
    TEMPLATE_VERSION,
    language_of,
    render_body,
    title_of,
)
from kbsync.pipeline.transform.canonical import digest_of, length_prefixed_digest
from kbsync.pipeline.transform.clean import clean, clean_line, excerpt
from kbsync.pipeline.transform.eligibility import first_match, refusal
from kbsync.pipeline.transform.json_record import render_json_record
from kbsync.pipeline.transform.keys import document_key, json_key
from kbsync.pipeline.transform.markup import to_markdown
from kbsync.pipeline.transform.names import configured_rules, own_names
from kbsync.pipeline.transform.published import only
from kbsync.pipeline.transform.read import (
    SOURCE_ATTRIBUTES,
    CodeChange,
    Incident,
    ReadDate,
    has_writeup,
    read_incident,
    read_resolved,
    read_severity,
)
from kbsync.pipeline.transform.redact import REDACTION_VERSION, lacking, redact
from kbsync.pipeline.transform.redaction_rule import RuleSet
from kbsync.pipeline.transform.rules import TransformRules
from kbsync.pipeline.transform.sidecar import (
    SCHEMA_VERSION,
    render_sidecar,
    resolution_minutes,
    sidecar_attributes,
)

RULES_VERSION = "1"
"""Raised when reading, cleaning or markup changes what a document says."""

REMEDY = "install kbsync anew with its dependencies: pip install --force-reinstall kbsync"

_STEP_BREAK = "\n\x1e\n"
_WORD_BREAK = "; \x1e "
"""Parts steps and words while they are redacted together; cleaning leaves no control character in either."""


class IncidentTransform:
    """The pure decision what one incident wants (ports.Transform); holds rules and nothing else.

    `source_attributes` names every attribute that a document or its eligibility depends on.
    """

    def __init__(self, rules: TransformRules) -> None:
        self._rules = rules
        self.source_attributes = tuple(
            sorted({*SOURCE_ATTRIBUTES, *(path.split(".")[0] for path in _paths(rules))})
        )
        self._rendered_by = (
            f"template={TEMPLATE_VERSION};rules={RULES_VERSION};redaction={REDACTION_VERSION};"
            f"schema={SCHEMA_VERSION};settings={digest_of(asdict(rules))[:12]}"
        )
        self._rule_set = configured_rules(rules)
        self.lacking = lacking()
        """What redaction has not got, in words; where that is anything, nothing is published."""

    @property
    def rendered_by(self) -> str:
        """Versions and a hash of the settings, as one short text: another value means render again."""
        return self._rendered_by

    def document_key(self, incident_id: str) -> str:
        """Return the stable key of an incident's document, derived from its id alone."""
        return document_key(self._rules.prefix, incident_id)

    def json_key(self, incident_id: str) -> str:
        """Return the key of an incident's JSON record, or an empty text where none are written."""
        prefix = self._rules.json_records_prefix
        return json_key(prefix, incident_id) if prefix else ""

    def source_version(self, attributes: Attributes) -> str:
        """Return the hash of the raw values of all that a document or its eligibility depends on.

        `kb_sync_status` is no part of it, and equal numbers and sets are equal in every form.
        """
        return digest_of({name: attributes[name] for name in self.source_attributes if name in attributes})

    @property
    def sections(self) -> Mapping[str, tuple[str, ...]]:
        """The parts of a document by name, each with its heading in every language."""
        return dict(zip(SECTIONS, zip(*(names[1:] for names in HEADINGS.values()), strict=True), strict=True))

    def symptom(self, stored: StoredIncident) -> Symptom:
        """Return title, error message and problem, redacted, whatever the status; empty where confidential.

        Raises:
            UnreadableIncidentError: one of them is no text.
            RedactionFailedError: redaction could not run, so the text may not leave.
        """
        if first_match(stored.attributes, self._rules.confidential):
            return Symptom()
        self._require_redaction()
        notes: dict[str, None] = {}
        publishing = self._publishing(stored, notes.setdefault)
        incident = publishing.publishable(read_incident(stored.attributes, self._rules, notes.setdefault))
        language = dict(incident.labels).get("language", "")
        return Symptom(incident.title, incident.error_message, incident.description, language)

    def closed_at(self, stored: StoredIncident) -> datetime | None:
        """Return the moment of `resolved_at`; None where it names none, or a day without a time."""
        moment = read_resolved(stored.attributes, self._rules, _unnoted).moment
        return moment.at if moment else None

    def severity(self, stored: StoredIncident) -> str:
        """Return the severity as it may be shown; empty where it has none."""
        return self.shown(read_severity(stored.attributes, _unnoted))

    def has_writeup(self, stored: StoredIncident) -> bool:
        """Whether root cause, resolution or steps are written.

        Raises:
            UnreadableIncidentError: one of them is no text.
        """
        return has_writeup(stored.attributes)

    def title(self, stored: StoredIncident) -> str | None:
        """Return the title as it may be shown; None where there is none, or the incident is confidential."""
        title = stored.attributes.get("title")
        if not isinstance(title, str) or first_match(stored.attributes, self._rules.confidential):
            return None
        return self.shown(title)

    def shown(self, text: str) -> str:
        """Return any text of an incident as it may be shown: one line, redacted; a mark where that fails."""
        if self.lacking:
            return "[REDACTED]"
        try:
            return redact(clean_line(text, _unnoted), Counter(), self._rule_set)
        except RedactionFailedError:
            return "[REDACTED]"

    def _publishing(self, stored: StoredIncident, note: Callable[[str], None]) -> "_Publishing":
        names = own_names(stored.attributes, self._rules.person_attributes)
        return _Publishing(self._rules, (self._rule_set, *names), note)

    def _require_redaction(self) -> None:
        if self.lacking:
            raise MissingExtraError(f"nothing is published without redaction: {self.lacking}", hint=REMEDY)

    def desired(self, stored: StoredIncident) -> Desired:
        """Return the document that the incident wants, or the reason why it wants none.

        Raises:
            UnreadableIncidentError: a text that the body needs is no text.
            RedactionFailedError: redaction could not run; nothing of this incident may be published.
            MissingExtraError (fatal): redaction cannot run at all; nothing may be published.
            DocumentTooLargeError: the body is over `max_document_bytes`.
        """
        refused = refusal(stored.attributes, self._rules)
        if refused:
            return refused
        self._require_redaction()
        notes: dict[str, None] = {}
        publishing = self._publishing(stored, notes.setdefault)
        incident = publishing.publishable(read_incident(stored.attributes, self._rules, notes.setdefault))
        language = language_of(dict(incident.labels).get("language", ""), self._rules.document_language)
        title = title_of(incident, language)
        body = render_body(incident, title, language).encode()
        if len(body) > self._rules.max_document_bytes:
            raise DocumentTooLargeError(
                f"the document has {len(body)} bytes, {self._rules.max_document_bytes} are allowed"
            )
        body_hash = hashlib.sha256(body).hexdigest()
        attributes = sidecar_attributes(stored.incident_id, incident, title, body_hash[:12], notes.setdefault)
        sidecar = render_sidecar(attributes, self._rules.metadata_budget_bytes, notes.setdefault)
        key, record_key = self.document_key(stored.incident_id), self.json_key(stored.incident_id)
        record = b""
        if record_key:
            minutes = resolution_minutes(incident, notes.setdefault)
            record = render_json_record(stored.incident_id, incident, minutes)
        printed = (
            key.encode("utf-8"),
            body,
            sidecar,
            *((record_key.encode("utf-8"), record) if record else ()),
        )
        return Document(
            key=key,
            body=body,
            sidecar=sidecar,
            json_key=record_key,
            json_record=record,
            json_hash=hashlib.sha256(record).hexdigest() if record else "",
            fingerprint=length_prefixed_digest(printed),
            body_hash=body_hash,
            sidecar_hash=hashlib.sha256(sidecar).hexdigest(),
            title=title,
            notes=tuple(notes),
            redactions=tuple(sorted(publishing.redactions.items())),
        )


def _paths(rules: TransformRules) -> tuple[str, ...]:
    """Return the paths of all attributes that the settings name."""
    return (*(path for path, _ in rules.exclude + rules.confidential), *rules.person_attributes)


def _unnoted(_: str) -> None:
    """Keep no note: rendering has noted it already."""


class _Publishing:
    """Makes the texts of one incident fit to leave; counts what redaction took out."""

    def __init__(
        self, rules: TransformRules, rule_sets: Iterable[RuleSet], note: Callable[[str], None]
    ) -> None:
        self._rules = rules
        self._rule_sets = tuple(rule_sets)
        self._note = note
        self.redactions: Counter[str] = Counter()

    def publishable(self, incident: Incident) -> Incident:
        incident = only(incident, self._rules.published_fields)
        changes = (
            (self._line(change.file), self._prose(change.description)) for change in incident.code_changes
        )
        return Incident(
            title=self._line(incident.title),
            description=self._prose(incident.description),
            error_message=excerpt(self._plain(incident.error_message), self._rules.max_error_bytes),
            root_cause=self._prose(incident.root_cause),
            resolution=self._prose(incident.resolution),
            steps=self._steps(incident.steps),
            code_changes=tuple(CodeChange(*change) for change in changes if any(change)),
            affected_systems=self._words(incident.affected_systems),
            tags=self._words(incident.tags),
            external_id=incident.external_id,
            labels=tuple((name, text) for name, value in incident.labels if (text := self._line(value))),
            created=self._date(incident.created),
            resolved=self._date(incident.resolved),
        )

    def _redacted(self, text: str) -> str:
        for rules in self._rule_sets:
            text = redact(text, self.redactions, rules)
        return text

    def _plain(self, text: str) -> str:
        return self._redacted(clean(text, self._note)).strip("\n")

    def _line(self, text: str) -> str:
        return self._redacted(clean_line(text, self._note))

    def _prose(self, text: str) -> str:
        plain = self._plain(text)
        markdown = to_markdown(plain, self._note)
        return (plain if markdown == plain else self._plain(markdown)).strip()

    def _words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Redact the words as one line: of a text that was split, one may be named by another."""
        cleaned = _WORD_BREAK.join(clean_line(word, self._note) for word in words)
        return tuple(dict.fromkeys(filter(None, self._redacted(cleaned).split(_WORD_BREAK))))

    def _steps(self, steps: tuple[str, ...]) -> tuple[str, ...]:
        """Redact the steps as one text first: a key may begin in one and end in another."""
        cleaned = _STEP_BREAK.join(clean(step, self._note) for step in steps)
        return tuple(filter(None, map(self._prose, self._redacted(cleaned).split(_STEP_BREAK))))

    def _date(self, date: ReadDate) -> ReadDate:
        return date if date.moment else replace(date, text=self._line(date.text))
