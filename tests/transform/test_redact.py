import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsync.errors import RedactionFailedError
from kbsync.pipeline.transform import redact as module
from kbsync.pipeline.transform.redact import redact
from kbsync.pipeline.transform.redaction_rule import RedactionRule, rule_set

GITHUB = "ghp_" + "aB3" * 12
FORTY = "a1B2" * 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use AKIAIOSFODNN7EXAMPLE now", "use [REDACTED:aws-access-key] now"),
        (f"x {GITHUB} y", "x [REDACTED:github-token] y"),
        ("x glpat-abcdefghij0123456789 y", "x [REDACTED:gitlab-token] y"),
        ("x xoxb-1234567890-abc y", "x [REDACTED:slack-token] y"),
        (
            "hooks.slack.com/services/T0000/B0000/abcdefgh12",
            "hooks.slack.com/services/[REDACTED:slack-token]",
        ),
        ("x AIza" + "b" * 35 + " y", "x [REDACTED:google-key] y"),
        (
            f"AccountName=a;AccountKey={FORTY}==;Suffix=b",
            "AccountName=a;AccountKey=[REDACTED:azure-key];Suffix=b",
        ),
        ("x eyJhbGciOiJ9.eyJzdWIiOiIx.c2ln y", "x [REDACTED:jwt] y"),
        ("Bearer abcdef0123456789 end", "Bearer [REDACTED:bearer-token] end"),
        ("Authorization: abcdefghijklmnopqrst", "Authorization: [REDACTED:authorization]"),
        ("postgres://app:hunter2@db/x", "postgres://app:[REDACTED:url-password]@db/x"),
        ("password=hunter2 next", "password=[REDACTED:password] next"),
        ("--db-password=a<b,c next", "--db-password=[REDACTED:password] next"),
        ('{"password": "two words", "user": "x"}', '{"password": "[REDACTED:password]", "user": "x"}'),
        ('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"[REDACTED:password]\\"}'),
        ("pwd: 'it is'", "pwd: '[REDACTED:password]'"),
        ("mysqldump --db-password hunter2 x", "mysqldump --db-password [REDACTED:password-option] x"),
        ("--admin-token hunter2", "--admin-token [REDACTED:password-option]"),
        ("x rk_test_" + "a1B2" * 6 + " y", "x [REDACTED:service-token] y"),
        ("his cell 612 345 678", "his cell [REDACTED:phone]"),
        ("  password: hunter\nnext", "  password: [REDACTED:password]\nnext"),
        ("Contraseña: Abc123 fin", "Contraseña: [REDACTED:password] fin"),
        ("Server=a;Password=x1y2;Database=d", "Server=a;Password=[REDACTED:password];Database=d"),
        ("https://a.test/?password=abc&user=x", "https://a.test/?password=[REDACTED:password]&user=x"),
        ("strSecurePwd = abc", "strSecurePwd = [REDACTED:password]"),
        ("api_key: 0a1b2c3d4e", "api_key: [REDACTED:key]"),
        ("access_token=0a1b2c3d4e", "access_token=[REDACTED:key]"),
        ("a -----BEGIN PRIVATE KEY-----\nMII", "a [REDACTED:private-key]"),
    ],
)
def test_a_secret_goes_and_the_words_around_it_stay(text: Any, expected: Any) -> None:
    counts: Counter[str] = Counter()

    assert redact(text, counts) == expected
    assert sum(counts.values()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "commit 3b7abba1c0ffee3b7abba1c0ffee3b7abba1c0ff",
        "id 7c0e19b2-5d41-4f3a-9c58-0d1f2a3b4c5d, version 15.0.1497.2, error 0x80070005",
        "Culture=neutral, PublicKeyToken=b77a5c561934e089",
        "password: the user must choose a new one",
        "password=${DB_PASSWORD} and password=<SECRET> and password=**** and password = null",
        "Unexpected token: word",
        "DelegationTokenManager$ZKSecretManager: Could not create",
        "customerRef 730418826, build 20250317-04, order 55120937, port 5432, at 2025-03-10 09:30",
        "basic troubleshooting-and-repair",
        "http://host:8080/path/x@y",
    ],
)
def test_what_is_no_secret_stays(text: Any) -> None:
    assert redact(text, Counter()) == text


def test_secrets_are_counted_by_rule() -> None:
    counts: Counter[str] = Counter()

    redact(f"password=a1 password=b2 {GITHUB}", counts)

    assert counts == {"password": 2, "github-token": 1}


def test_a_rule_that_breaks_stops_publishing_and_tells_no_text() -> None:
    def broken(_: re.Match[str]) -> bool:
        raise RuntimeError("hunter2")

    rules = rule_set([RedactionRule("broken", ("hunter",), re.compile("hunter2"), broken)])

    with pytest.raises(RedactionFailedError, match=r"^redaction rule broken failed: RuntimeError$") as caught:
        redact("hunter2", Counter(), rules)
    assert caught.value.__suppress_context__


PIECES = st.sampled_from(
    ["password=", "secret: ", '"', "'", "token=", "a1b2c3d4e5", "://u:", "@h", "[REDACTED:", "]", " ",
    "\n", "Bearer ",
     "AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJ9.", "-----BEGIN PRIVATE KEY-----", "<b>", "&x=", ";",
     "authorization: "]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_redaction_is_idempotent(text: Any) -> None:
    once = redact(text, Counter())

    assert redact(once, Counter()) == once


@given(st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_hints_leave_no_match_out(text: Any) -> None:
    for rule in module.RULES:
        if rule.pattern.search(text):
            assert any(hint in text.lower() for hint in rule.hints)
