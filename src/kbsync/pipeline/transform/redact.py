"""Secrets out of foreign text, by a small table of rules: versioned, idempotent, fail closed (O-48).

Only the secret goes; the words around it stay. A rule replaces its group `secret`, or all that it matched.
"""

import re
from collections import Counter
from importlib.util import find_spec

from kbsync.errors import RedactionFailedError
from kbsync.pipeline.transform.identifiers import IDENTIFIER_RULES
from kbsync.pipeline.transform.redaction_rule import (
    RedactionRule,
    RuleSet,
    rule_set,
    secret_of,
    secret_span,
)

REDACTION_VERSION = "5"

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
_ID_SHAPE = re.compile(
    r"[A-Z]{2,10}-\d+|v?\d+(?:\.\d+)+\w*|\d{4}-\d{2}-\d{2}\S*|https?:\S*|\d+\w{1,6}|0x[\da-fA-F]+|.*[/\\].*"
)
"""What follows such words and is no secret: a ticket, a version, a date, an address, a duration, a path."""
_PLAIN_WORD = re.compile(r"[^\W\d_]+[.:)]?")


def _is_password(match: re.Match[str]) -> bool:
    value = secret_of(match)
    if _NOT_A_SECRET.match(value):
        return False
    prose = match["sign"] == ":" and match["bare"] is not None and _PLAIN_WORD.fullmatch(value)
    return not (prose and match.string[match.end() : match.end() + 200].partition("\n")[0].strip(" \t\r.,;"))


def _is_key(match: re.Match[str]) -> bool:
    value = secret_of(match)
    strong = len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))  # noqa: PLR2004
    return strong and not _NOT_A_SECRET.match(value)


def _is_told(match: re.Match[str]) -> bool:
    value = secret_of(match)
    return not (_NOT_A_SECRET.match(value) or _ID_SHAPE.fullmatch(value))


def _assigned(rule: str) -> re.Pattern[str]:
    return re.compile(rf"{_ASSIGNED_WORDS[rule]}{_ASSIGNMENT}(?:{_QUOTED}|\\?[\"']?(?P<bare>{_VALUE}))")


SECRET_RULES: tuple[RedactionRule, ...] = (
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
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
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
        gate=re.compile(r"://[^\s/:@]{0,200}:[^\s/@]{1,500}@"),
    ),
    RedactionRule(
        "service-token",
        (
            "sk_live_",
            "rk_live_",
            "sk_test_",
            "rk_test_",
            "whsec_",
            "npm_",
            "pypi-",
            "sg.",
            "hf_",
            "sk-",
            "dop_v1_",
            "shpat_",
            "dckr_pat_",
            "atatt3",
            "hvs.",
            "nrak-",
            "key-",
            "glsa_",
            "xapp-",
        ),
        re.compile(
            r"(?<![\w-])(?:(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,99}|whsec_[A-Za-z0-9+/=]{24,80}|npm_[A-Za-z0-9]{36}"
            r"|pypi-[\w-]{50,250}|SG\.[\w-]{16,32}\.[\w-]{16,64}|hf_[A-Za-z0-9]{30,40}"
            r"|sk-(?:proj-|ant-[a-z0-9]{2,8}-)?[A-Za-z0-9_-]{32,200}|dop_v1_[a-f0-9]{64}|shpat_[a-fA-F0-9]{32}"
            r"|dckr_pat_[\w-]{20,60}|ATATT3[\w=-]{40,250}|hvs\.[\w-]{24,120}|NRAK-[A-Z0-9]{27}|key-[0-9a-f]{32}"
            r"|glsa_\w{32,64}|xapp-[\w-]{20,200})(?![\w-])"
        ),
    ),
    RedactionRule(
        "bot-token", (":aa",), re.compile(r"(?<![\w/-])(?:bot)?(?P<secret>\d{8,10}:AA[\w-]{32,36})(?![\w-])")
    ),
    RedactionRule(
        "xml-password",
        ("</",),
        re.compile(
            r"(?i)<(?P<tag>(?:[a-z]{1,12}:)?(?:\w{0,20}(?:password|passwd|secret|contrase[ñn]a)|pwd|api_?key))"
            r"(?:\s[^<>\n]{0,200})?>(?P<secret>(?!\s*[\[$*{])[^<>\n]{1,200})</(?P=tag)>"
        ),
    ),
    RedactionRule(
        "password-option",
        ("--pass", "--pwd", "--token", "--secret", "--api-key", "--db-", "--admin-", "curl", "sshpass"),
        re.compile(
            r"(?:--(?:db-|admin-)?(?:password|passwd|pwd|token|secret|api-key)[ \t]{1,4}(?![-<$*\[])"
            r"|\bcurl\b[^\n]{0,120}?[ \t](?:-u|--user)[ \t]{0,4}[\"']?[\w.@-]{1,60}:"
            r"|\bsshpass[ \t]{1,4}-p[ \t]{0,4})"
            r"[\"']?(?P<secret>[^\s\"'<>\[\]$*]{3,200})"
        ),
    ),
    RedactionRule(
        "told-password",
        ("pass", "contrase", "clave", "pwd"),
        re.compile(
            r"(?i)\b(?:password|passwd|passphrase|contrase[ñn]a|clave|pwd)\b"
            r"(?:[ \t]+[\w.@-]{1,30}){0,4}?[ \t]+(?:is|was|es|era|to|por|a|como|as|con|with)"
            r"[ \t]*:?[ \t]+[\"'`«]?(?P<secret>(?=[^\s\"'`»]{0,60}\d)(?=[^\s\"'`»]{0,60}[^\W\d_])"
            r"[^\s\"'`»<>\[\]]{6,60}?)(?=[\"'`»,;)]|[.!?]?(?:\s|$))"
        ),
        _is_told,
    ),
    RedactionRule(
        "session-cookie",
        ("cookie",),
        re.compile(
            r"(?i)\b(?:set-)?cookie[ \t]{0,4}[:=][^\n]{0,120}?"
            r"\b(?:\w{0,8}(?:sess(?:ion)?(?:_?id)?|sid|auth|token))="
            r"(?P<secret>[\w.~+/%-]{12,500})"
        ),
    ),
    RedactionRule(
        "password",
        ("pass", "pwd", "contrase", "secret"),
        _assigned("password"),
        _is_password,
        re.compile(r"[pPcCsS\u017f](?i:ass|wd|ontrase|ecret)[\w.\\\"' \t-]{0,80}?[=:]"),
        in_line=True,
    ),
    RedactionRule(
        "key",
        ("key", "token", "clave"),
        _assigned("key"),
        _is_key,
        re.compile(r"[kK\u212atTcC](?i:ey|oken|lave)\d{0,4}(?:\\?[\"'])?[ \t]{0,8}[=:]"),
        in_line=True,
    ),
)

RULES: tuple[RedactionRule, ...] = SECRET_RULES + IDENTIFIER_RULES
RULE_SET = rule_set(RULES)


NEEDED = ("phonenumbers", "stdnum")
"""The libraries that decide on candidates; they are imported when one is found."""


def lacking(rules: RuleSet = RULE_SET) -> str:
    """Return in words what redaction cannot do without and has not got; empty where it can run."""
    if not rules.rules:
        return "the table of rules is empty"
    absent = [name for name in NEEDED if find_spec(name) is None]
    return f"{' and '.join(absent)} cannot be found" if absent else ""


def redact(text: str, counts: Counter[str], rules: RuleSet = RULE_SET) -> str:
    """Return the text with each secret as `[REDACTED:rule]` and count them by rule; a repeat changes nothing.

    Raises:
        RedactionFailedError: a rule could not run, so nothing of this text may be published.
    """
    if text in rules.innocent:
        return text
    given = text
    for rule in rules.called_by(text):
        try:
            text = _applied(rule, text, counts)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever broke, nothing may be published
            raise RedactionFailedError(f"redaction rule {rule.name} failed: {type(error).__name__}") from None
    if text is given:
        rules.remember(text)
    return text


def _applied(rule: RedactionRule, text: str, counts: Counter[str]) -> str:
    pieces, done = [], 0
    for match in rule.matches(text):
        if rule.accept(match):
            start, end = secret_span(match)
            pieces += [text[done:start], f"[REDACTED:{rule.name}]"]
            done = end
            counts[rule.name] += 1
    return "".join(pieces) + text[done:] if pieces else text
