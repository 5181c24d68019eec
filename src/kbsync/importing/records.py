"""What a line of a file becomes: an incident's attributes, or a reason that quotes nothing of the ticket.

Imports the model alone. Invariant: what is accepted fits into an incidents table, key and nesting included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kbsync.model import Attributes

_MAX_ID_BYTES = 2048
"""Source: DynamoDB Developer Guide, "Service quotas": partition key length."""

_MAX_LEVELS = 32
"""Source: DynamoDB Developer Guide, "Service quotas": nested attribute depth."""

_MAX_DIGITS = 38
_MAX_EXPONENT = 125
"""Source: DynamoDB Developer Guide, "Data types", Number: 38 digits, 1E-130 to 9.99E+125."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line that holds an incident."""

    line: int
    incident_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line that does not; the reason never quotes the line."""

    line: int
    reason: str


Line = Accepted | Rejected


def check(line: int, value: object) -> Line:
    """Accept a decoded line that is an object with an id and a status; `sk` is METADATA where absent."""
    if not isinstance(value, Mapping):
        return Rejected(line, "not an object")
    attributes = {**value, "sk": value.get("sk", "METADATA")}
    incident_id = attributes.get("incident_id")
    if not isinstance(incident_id, str) or not incident_id.strip():
        return Rejected(line, "incident_id is missing, empty or not text")
    problem = _key_problem(incident_id) or _item_problem(attributes)
    return Rejected(line, problem) if problem else Accepted(line, incident_id, attributes)


def _key_problem(incident_id: str) -> str:
    if not is_encodable(incident_id):
        return "incident_id holds half a character (an unpaired surrogate)"
    if len(incident_id.encode()) > _MAX_ID_BYTES:
        return f"incident_id is longer than {_MAX_ID_BYTES} bytes"
    return ""


def _item_problem(attributes: Attributes) -> str:
    status = attributes.get("status")
    if not isinstance(status, str) or not status.strip():
        return "status is missing, empty or not text"
    if attributes["sk"] != "METADATA":
        return "sk is not METADATA, so this is not the incident itself"
    if _is_deeper(attributes, _MAX_LEVELS):
        return f"nested deeper than {_MAX_LEVELS} levels"
    return ""


def _is_deeper(value: object, levels: int) -> bool:
    waiting = [(value, levels)]
    while waiting:
        current, left = waiting.pop()
        # What was read is dicts and lists; asking whether a text is a Mapping costs ten times as much.
        if isinstance(current, (dict, list)):
            if not left:
                return True
            within = current.values() if isinstance(current, dict) else current
            waiting.extend((part, left - 1) for part in within)
    return False


def is_encodable(text: str) -> bool:
    """Tell whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_number(text: str) -> Decimal:
    """Return the number, exactly; raise ValueError for one that no incidents table can hold."""
    number = None
    if len(text) <= _MAX_EXPONENT * 4:
        try:
            number = Decimal(text)
        except ArithmeticError:
            number = None
    if number is None or not number.is_finite():
        raise ValueError("a number is not finite or too long")
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > _MAX_DIGITS or (number and not -_MAX_EXPONENT - 5 <= number.adjusted() <= _MAX_EXPONENT):
        raise ValueError("a number has more than 38 digits or lies outside 1E-130 to 9.99E+125")
    return number
