"""Names of an incident's own people, names of a list, and IP addresses where they are asked for."""

import time

import pytest

from builders import an_incident
from kbsync.pipeline.transform.rules import TransformRules
from transform.transforming import render, text_of

ADDRESSES = TransformRules(redact_ip_addresses=True)


def described(text: str, rules: TransformRules | None = None, **changes: object) -> str:
    """Return the document of an incident that says this, as one text with its sidecar."""
    incident = an_incident(description=text, **changes)
    return text_of(render(rules=rules, **incident) if rules else render(**incident))


@pytest.mark.parametrize(
    ("said", "text", "expected"),
    [
        ("Ana Ruiz", "Ana Ruiz restarted it", "[REDACTED:name] restarted it"),
        ("Ana Ruiz", "asked ANA  RUIZ, who left", "asked [REDACTED:name], who left"),
        ("Ruiz, Ana", "Ana Ruiz and Ruiz Ana", "[REDACTED:name] and [REDACTED:name]"),
        ("Ana Ruiz (IT) <ana@correo.es>", "by Ana Ruiz.", "by [REDACTED:name]."),
        (["Ana Ruiz", "Leo O'Hara-Díaz"], "Leo O'Hara-Díaz", "[REDACTED:name]"),
    ],
    ids=["whole", "any case", "turned round", "with addition", "of a list"],
)
def test_name_of_the_incidents_own_person_goes(said: object, text: str, expected: str) -> None:
    document = described(text, resolution={"description": "Restarted.", "resolved_by": said})

    assert expected in document


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("system", "the system came back"),
        ("Ana Ruiz", "Juana Ruiz and Ana Ruizescu, Ana alone"),
        ("on call", "on call again"),
        ({"x": "Ana Ruiz"}, "Ana Ruiz"),
        ("A B C D E F", "A B C D E F"),
    ],
    ids=["one word", "part of another", "no capitals", "no text", "too many words"],
)
def test_what_is_no_name_stays(said: object, text: str) -> None:
    document = described(text, resolution={"description": "Restarted.", "resolved_by": said})

    assert text in document


def test_names_of_the_list_go_everywhere_and_change_the_fingerprint_of_the_rules() -> None:
    rules = TransformRules(redact_names=("Proyecto Alba", "Quillfeather"))

    document = described("proyecto alba of Quillfeather", rules, tags=["quillfeather"], title="Quillfeather")

    assert "uillfeather" not in document
    assert "[REDACTED:name] of [REDACTED:name]" in document


@pytest.mark.parametrize(
    "address", ["10.20.30.40", "192.168.1.254", "2001:db8::ff00:42:8329", "fe80::1ff:fe23:4567:890a"]
)
def test_address_goes_where_that_is_asked_for(address: str) -> None:
    text = f"node {address} is down"

    assert "node [REDACTED:ip-address] is down" in described(text, ADDRESSES)
    assert text in described(text)


@pytest.mark.parametrize(
    "text",
    ["bound to 127.0.0.1", "listens on 0.0.0.0", "loopback ::1", "version 10.2.3.4", "v1.2.3.4", "300.1.2.3",
     "at 12:30:45", "00:1a:2b:3c:4d:5e", "1.2.3.4.5", "std::string::npos"],
)  # fmt: skip
def test_what_is_no_address_of_a_machine_stays(text: str) -> None:
    assert text in described(text, ADDRESSES)


@pytest.mark.parametrize(
    "text", ["1." * 50_000, "a:" * 50_000, ":" * 50_000, "Ana " * 25_000, "1.1.1." * 20_000]
)
def test_hostile_text_takes_no_longer_than_it_is_long(text: str) -> None:
    """Processor time of a text ten times as long is not a hundred times as much."""
    rules = TransformRules(redact_ip_addresses=True, redact_names=("Ana Ana Ruiz",))

    def seconds(given: str) -> float:
        started = time.process_time()
        described(given, rules)
        return time.process_time() - started

    assert seconds(text) < 40 * (seconds(text[: len(text) // 10]) + 0.01)
