"""The subject of an alert: what SNS accepts is the rule everywhere. Pure; imports nothing of ours.

Source: Amazon SNS API Reference, "Publish": ASCII without line breaks, under 100 characters, begins with a
visible one; CASES.md O-58.
"""

import re

MAX_SUBJECT_CHARACTERS = 99
_ACCEPTED = re.compile(rf"[!-~][ -~]{{0,{MAX_SUBJECT_CHARACTERS - 1}}}")


def subject_line(text: str) -> str:
    """Return any text as a subject that is accepted."""
    ascii_text = re.sub(r"[^\x20-\x7e]+", " ", text).strip()
    return ascii_text[:MAX_SUBJECT_CHARACTERS] or "kbsync"


def require_subject(subject: str) -> None:
    """Raise ValueError for a subject that SNS would refuse, before anything is sent."""
    if not _ACCEPTED.fullmatch(subject):
        raise ValueError("an alert's subject is one line of 1 to 99 printable ASCII characters")
