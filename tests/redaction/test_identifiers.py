from collections import Counter
from pathlib import Path

import pytest

from kbsync.pipeline.transform.redact import redact
from transform.transforming import render, text_of


@pytest.mark.parametrize(
    "text",
    [
        "mail ops@example.test or a@example.com",
        "call +99912345678901 now",
        "tel: 00000000",
        "DNI 12345678A",
        "tarjeta 4111111111111112",
        "reference 4111111111111111",
        "IBAN ES9121000418450200051333",
        "B12345674 left the warehouse",
    ],
    ids=["reserved domain", "no such country", "no such number", "wrong letter", "wrong check digit",
         "card without words", "wrong IBAN", "company id without words"],
)  # fmt: skip
def test_a_number_without_check_digit_or_telling_words_stays(text: str) -> None:
    assert redact(text, Counter()) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tarjeta 4111111111111111", "tarjeta [REDACTED:card]"),
        ("typed 4111 1111 1111 1111", "typed [REDACTED:card]"),
        ("to ES91 2100 0418 4502 0005 1332", "to [REDACTED:iban]"),
        ("DNI 12345678Z", "DNI [REDACTED:dni-nie]"),
        ("NIE X1234567L", "NIE [REDACTED:dni-nie]"),
        ("tel. 612 345 678", "tel. [REDACTED:phone]"),
        ("phone: 212-736-5000", "phone: [REDACTED:phone]"),
        ("llamar al 0034 612 345 678", "llamar al [REDACTED:phone]"),
    ],
)
def test_a_checked_number_goes(text: str, expected: str) -> None:
    assert redact(text, Counter()) == expected


def test_a_key_pasted_over_several_steps_goes_whole() -> None:
    key = [
        "-----BEGIN RSA PRIVATE KEY-----",
        "MIIEfirst",
        "MIIEsecond",
        "-----END RSA PRIVATE KEY----- saved",
    ]

    document = render(cline_work={"solution": {"steps": ["Open it", *key, "Restart"]}})

    assert "MIIE" not in text_of(document)
    assert "1. Open it\n2. [REDACTED:private-key] saved\n3. Restart\n" in text_of(document)
    assert dict(document.redactions) == {"private-key": 1}


def test_the_libraries_of_numbers_are_not_loaded_before_a_candidate_is_found() -> None:
    source = (Path(redact.__code__.co_filename).parent / "identifiers.py").read_text(encoding="utf-8")

    assert not [line for line in source.splitlines() if line.startswith(("import phone", "from stdnum"))]
