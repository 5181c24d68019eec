"""Foreign text to text that every store, terminal and reader takes: pure, linear in its length."""

import re
from collections.abc import Callable

_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")
_ESCAPE = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x9b[0-?]{0,64}[@-~]"
    r"|\x1b\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)|\x1b[ -/]{0,4}[0-~]"
)
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ue000\ue001\ufffe\uffff"
"""U+E000 and U+E001 are private and shield placeholders while markup is converted (markup.py)."""
_SEPARATING_CONTROL = re.compile(rf"(?<=\S)[{_CONTROL}]+(?=\S)")
_ANY_CONTROL = re.compile(rf"[{_CONTROL}]+")
_JOINED_SCRIPTS = "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff"
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_NEVER_SEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(
    f"[{_NEVER_SEEN}]"
    f"|(?<![{_EMOJI}0-9#*])\ufe0f"
    f"|(?<![{_JOINED_SCRIPTS}])\u200c|\u200c(?![{_JOINED_SCRIPTS}])"
    f"|(?<![{_JOINED_SCRIPTS}{_EMOJI}\ufe0f])\u200d|\u200d(?![{_JOINED_SCRIPTS}{_EMOJI}])"
)
_AT_TIMES_INVISIBLE = re.compile(f"[{_NEVER_SEEN}\ufe0f\u200c\u200d]")
"""Every character that `_INVISIBLE` can take out: most texts hold none, and one pass tells."""
_PERHAPS_MOJIBAKE = re.compile("[^\x00-\x7f](?:[^\x00-\x7f]|(?<=[\x80-\x9f\u00c2\u00c3\u0152\u0153]))")
"""Without it ftfy finds nothing, at twenty times the cost: its signs of wrong decoding are two neighbours
that are no ASCII, or one of these characters. A test holds this against the installed ftfy.
"""
_DATA_URI = re.compile(
    r"data:([\w.+-]{1,60}/[\w.+-]{1,60})?(?:;[\w.+=-]{1,60}){0,4};base64,([A-Za-z0-9+/=_-]{64,})"
)
_BASE64_LINES = re.compile(
    r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{60,120}[ \t]*\n[ \t]*){8,}[A-Za-z0-9+/]*={0,2}"
)
_BASE64_SECOND_LINE = re.compile(r"\n[ \t]*[A-Za-z0-9+/]{60}")
"""Without it there are no `_BASE64_LINES`."""
_BASE64_RUN = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{2000,}={0,2}")
_SHORTEST_RUN = 2000
_BASE64_MIN_LETTERS = 4
_SHORTEST_LINES = 480
_MAGIC = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("JVBERi", "application/pdf"),
)
_MOJIBAKE_LIMIT = 200_000
_WHOLE_REPAIR_STEPS = frozenset(("encode", "decode"))

NOTE_MOJIBAKE = "wrongly decoded text was repaired"
NOTE_INVISIBLE = "invisible characters were removed"
NOTE_BASE64 = "base64 content was replaced by a placeholder"
NOTE_SURROGATE = "broken characters were replaced"


def clean(text: str, note: Callable[[str], None]) -> str:
    """Return the text without broken, control and invisible characters and pictures; tell what was done.

    Cases O-42 (half characters), O-43 (controls), O-44 (decoding), O-46 (pictures), O-53 (invisible letters).
    """
    if text.isascii() and text.isprintable():
        return text if _holds_no_picture(text) else _without_pictures(text, note)
    if not text.isascii():
        text = _repaired(_with_whole_characters(text, note), note)
    text = _without_controls(text)
    if not text.isascii() and _AT_TIMES_INVISIBLE.search(text):
        text, removed = _INVISIBLE.subn("", text)
        if removed:
            note(NOTE_INVISIBLE)
    return text if _holds_no_picture(text) else _without_pictures(text, note)


def clean_line(text: str, note: Callable[[str], None]) -> str:
    """Return cleaned text as one line with single spaces."""
    return " ".join(clean(text, note).split())


def _without_controls(text: str) -> str:
    """Return the text without control characters but line feed and tab; what can be printed has none."""
    if text.isprintable() or text.replace("\n", "").replace("\t", "").isprintable():
        return text
    text = _LINE_END.sub("\n", text)
    text = _ESCAPE.sub("", text)
    return _ANY_CONTROL.sub("", _SEPARATING_CONTROL.sub(" ", text))


def _with_whole_characters(text: str, note: Callable[[str], None]) -> str:
    if not _SURROGATE.search(text):
        return text
    note(NOTE_SURROGATE)
    return whole_characters(text)


def whole_characters(text: str) -> str:
    """Return the text with joined surrogate pairs, and U+FFFD for each half that has lost its other one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _repaired(text: str, note: Callable[[str], None]) -> str:
    if len(text) > _MOJIBAKE_LIMIT or not _PERHAPS_MOJIBAKE.search(text):
        return text
    from ftfy import fix_encoding_and_explain  # noqa: PLC0415 - a tenth of a start-up, for the first such text

    found = fix_encoding_and_explain(text)
    steps = {step.action for step in found.explanation or ()}
    if not steps or not steps <= _WHOLE_REPAIR_STEPS:
        return text
    note(NOTE_MOJIBAKE)
    return found.text


def _holds_no_picture(text: str) -> bool:
    return len(text) < _SHORTEST_LINES and ";base64," not in text


def _without_pictures(text: str, note: Callable[[str], None]) -> str:
    pictures = 0

    def placeholder(match: re.Match[str]) -> str:
        nonlocal pictures
        content = match[match.lastindex or 0]
        if len(set(content)) < _BASE64_MIN_LETTERS:
            return match[0]
        pictures += 1
        kind = match[1] if match.lastindex else _sniffed(content)
        return f"[{kind or 'base64'} {len(content) * 3 // 4} bytes]"

    if ";base64," in text:
        text = _DATA_URI.sub(placeholder, text)
    if _BASE64_SECOND_LINE.search(text):
        text = _BASE64_LINES.sub(placeholder, text)
    if _has_long_word(text):
        text = _BASE64_RUN.sub(placeholder, text)
    if pictures:
        note(NOTE_BASE64)
    return text


def _has_long_word(text: str) -> bool:
    """Whether a `_BASE64_RUN` is possible: it would fill one part of half its length, without a space."""
    half = _SHORTEST_RUN // 2
    return any(text.find(" ", start, start + half) < 0 for start in range(0, len(text) - half + 1, half))


def _sniffed(content: str) -> str:
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), "base64")


def excerpt(text: str, limit_bytes: int) -> str:
    """Return the text within a limit of UTF-8 bytes: head, a note of how much was left out, and tail (O-52).

    Cuts between characters. Where the note has no room, the head alone is kept.
    """
    content = whole_characters(text).encode()
    if len(content) <= limit_bytes:
        return content.decode()
    mark = f"\n[… {len(content)} bytes …]\n"
    room = limit_bytes - len(mark.encode())
    if room < len(mark):
        return content[: max(0, limit_bytes)].decode("utf-8", "ignore")
    tail = content[len(content) - room // 2 :].decode("utf-8", "ignore")
    head = content[: room - len(tail.encode())].decode("utf-8", "ignore")
    left_out = len(content) - len(head.encode()) - len(tail.encode())
    return f"{head}\n[… {left_out} bytes …]\n{tail}"
