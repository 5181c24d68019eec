"""Secrets out of foreign text, by a small table of rules: versioned, idempotent, fail closed (O-48).

Only the secret goes; the words around it stay. A rule replaces its group `secret`, or all that it matched.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kbsync.errors import RedactionFailedError

REDACTION_VERSION = "1"

_VALUE = (
    r"(?:[^\s\"'`<>&,;\[\]]|\[(?!REDACTED:)|\]|<(?![/!]|[a-zA-Z][\w-]{0,20}[\s/>])"
    r"|&(?!\w+=|amp;|quot;|lt;|gt;)|[,;](?!\s|\\|$|[\w ]{1,30}=))+"
)
"""An unquoted value: up to white space, a quote, a tag, or what begins the next value."""
_QUOTED = r"\\?\"(?P<double>[^\"\n]{1,4000}?)\\?\"|\\?'(?P<single>[^'\n]{1,4000}?)\\?'"
_WORD_START = r"(?:(?<![^\W_\d])|(?<=[a-z])(?=[A-Z]))"
_ASSIGNED_WORDS = {
    "password": rf"(?:{_WORD_START}(?i:pwd|pass)|(?i:passwo?r?d|passphrase|contrase(?:ñ|n)a|secreto?)"
    r"(?i:[_.-]?(?:access|key|base|value|text|string|token)){0,3})(?:[_-]\w{1,30}|\d{1,4})?",
    "key": r"(?i:(?:api|access|account|auth|private|encryption|storage|shared|subscription)[_ -]?key"
    rf"|(?<!publickey){_WORD_START}(?:token|clave)|(?:access|auth|refresh|id|session|bearer)_?token)\d{{0,4}}",
}
_ASSIGNMENT = r"(?:\\?[\"'])?[ \t]{0,8}(?P<sign>=>|:=|[=:])[ \t]{0,8}"
_NOT_A_SECRET = re.compile(
    r"(?i)\[REDACTED:|<[^<>]*>?\Z|\$[{(]|\{\{|%[\w(]|\$[a-z_]{2,40}\W*\Z|(?:\*{3}|\.{3}|-{3}|_{3}|x{3})"
    r"|(?:null|none|true|false|yes|no|required|undefined|empty|\d{1,3})\W*\Z"
)
_PLAIN_WORD = re.compile(r"[^\W\d_]+[.:)]?")


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """One kind of secret. `accept` has the last word on a match, where the shape alone is not enough.

    A text without any of the `hints` (lower case) holds no match: most texts need no search.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[re.Match[str]], bool] = lambda _: True


def _is_password(match: re.Match[str]) -> bool:
    value = _secret_of(match)
    if _NOT_A_SECRET.match(value):
        return False
    prose = match["sign"] == ":" and match["bare"] is not None and _PLAIN_WORD.fullmatch(value)
    return not (prose and match.string[match.end() : match.end() + 200].partition("\n")[0].strip(" \t\r.,;"))


def _is_key(match: re.Match[str]) -> bool:
    value = _secret_of(match)
    strong = len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))  # noqa: PLR2004
    return strong and not _NOT_A_SECRET.match(value)


def _secret_of(match: re.Match[str]) -> str:
    start, end = _secret_span(match)
    return match.string[start:end]


def _secret_span(match: re.Match[str]) -> tuple[int, int]:
    for group in ("secret", "double", "single", "bare"):
        if match.re.groupindex.get(group) and match[group] is not None:
            return match.span(group)
    return match.span()


def _assigned(rule: str) -> re.Pattern[str]:
    return re.compile(rf"{_ASSIGNED_WORDS[rule]}{_ASSIGNMENT}(?:{_QUOTED}|\\?[\"']?(?P<bare>{_VALUE}))")


RULES: tuple[RedactionRule, ...] = (
    RedactionRule(
        "private-key",
        ("-----begin",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
    ),
    RedactionRule("aws-access-key", ("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    RedactionRule(
        "github-token",
        ("gh", "github_pat_"),
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255})\b"),
    ),
    RedactionRule("gitlab-token", ("glpat-",), re.compile(r"\bglpat-[\w-]{20,64}")),
    RedactionRule(
        "slack-token",
        ("xox", "hooks.slack.com"),
        re.compile(
            r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}|hooks\.slack\.com/services/(?P<secret>[A-Za-z0-9/]{20,120})"
        ),
    ),
    RedactionRule(
        "google-key",
        ("aiza", "ya29.", "gocspx-"),
        re.compile(r"\b(?:AIza[0-9A-Za-z_-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,64})(?![\w-])"),
    ),
    RedactionRule(
        "azure-key",
        ("accountkey", "accesskey", "sig="),
        re.compile(r"(?i)(?:accountkey|sharedaccesskey|\bsig)=(?P<secret>[\w+/%-]{40,200}={0,2})"),
    ),
    RedactionRule(
        "jwt",
        ("eyj",),
        re.compile(r"(?<![\w-])(?:[\w-]{0,40}?\b)??(?P<secret>eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)*+)"),
    ),
    RedactionRule(
        "bearer-token",
        ("bearer", "basic"),
        re.compile(r"(?i)\b(?:bearer|basic)[ \t]+(?P<secret>(?=[^\s\d]{0,200}\d)[\w.~+/=-]{16,})"),
    ),
    RedactionRule(
        "authorization",
        ("authorization",),
        re.compile(
            r"(?i)\bauthorization[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?(?:[a-z]{3,12}[ \t]+)?"
            r"(?P<secret>[\w.~+/=-]{16,})"
        ),
    ),
    RedactionRule(
        "url-password",
        ("://",),
        re.compile(
            r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>\[\]]{0,200}:(?P<secret>[^\s/@\"'<>\[\]]{1,500})@"
        ),
    ),
    RedactionRule("password", ("pass", "pwd", "contrase", "secret"), _assigned("password"), _is_password),
    RedactionRule("key", ("key", "token", "clave"), _assigned("key"), _is_key),
)


def redact(text: str, counts: Counter[str], rules: Sequence[RedactionRule] = RULES) -> str:
    """Return the text with each secret as `[REDACTED:rule]` and count them by rule; a repeat changes nothing.

    Raises:
        RedactionFailedError: a rule could not run, so nothing of this text may be published.
    """
    lowered = text.lower()
    for rule in rules:
        if not any(hint in lowered for hint in rule.hints):
            continue
        try:
            text = _applied(rule, text, counts)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever broke, nothing may be published
            raise RedactionFailedError(f"redaction rule {rule.name} failed: {type(error).__name__}") from None
    return text


def _applied(rule: RedactionRule, text: str, counts: Counter[str]) -> str:
    pieces, done = [], 0
    for match in rule.pattern.finditer(text):
        if rule.accept(match):
            start, end = _secret_span(match)
            pieces += [text[done:start], f"[REDACTED:{rule.name}]"]
            done = end
            counts[rule.name] += 1
    return "".join(pieces) + text[done:] if pieces else text
