"""The labelled corpus: templates with made-up values, the same at every run, parted into two halves.

A sample's half is the parity of the first byte of the SHA-256 of its template, so no template is in both.
Values are made when the tests run: the repository holds no text that looks like a secret.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import phonenumbers
from stdnum import luhn
from stdnum.es import dni
from stdnum.iso7064 import mod_97_10

CORPUS = Path(__file__).parent / "corpus"
REPEATS = 5
HEX, UPPER = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_FIELD = re.compile(r"\{([A-Z]+)(\d*)\}")


@dataclass(frozen=True)
class Sample:
    """A text, the rule its secrets belong to (empty: none), what must go, and its half."""

    text: str
    rule: str
    planted: tuple[str, ...]
    held_back: bool


def samples() -> list[Sample]:
    return [*_read("planted.txt"), *_read("innocent.txt")]


def _read(name: str) -> Iterator[Sample]:
    for line in (CORPUS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        rule, template = line.split("|", 1) if name == "planted.txt" else ("", line)
        half = hashlib.sha256(template.encode()).digest()[0] % 2
        for number in range(REPEATS):
            yield _sample(rule, template.replace("\\n", "\n"), Random(f"{template}{number}"), bool(half))  # noqa: S311 - made-up values, the same at every run


def _sample(rule: str, template: str, random: Random, held_back: bool) -> Sample:  # noqa: FBT001 - a sample's half
    planted: list[str] = []

    def value(match: re.Match[str]) -> str:
        planted.append(_made_up(match[1], int(match[2] or 0), random))
        return planted[-1]

    text = _FIELD.sub(value, template)
    return Sample(text, rule, tuple(planted) if rule else (), held_back)


def _made_up(kind: str, count: int, random: Random) -> str:
    alphabets = {"HEX": HEX, "HX": HEX, "ALNUM": LETTERS, "UP": UPPER, "N": "0123456789"}
    if kind in alphabets:
        made = "".join(random.choices(alphabets[kind], k=count or 2))
        return made[:-2] + "a1" if kind == "ALNUM" else made
    if kind == "UUID":
        return "-".join("".join(random.choices(HEX, k=size)) for size in (8, 4, 4, 4, 12))
    return _grouped(_MAKERS[kind[:-1]](random)) if kind in ("IBANS", "CARDS") else _MAKERS[kind](random)


def _password(random: Random) -> str:
    word = random.choice(["Verano", "otono", "Tr0ub", "lluvia", "Kestrel", "maple"])
    return f"{word}{random.choice('!_-.#')}{random.randrange(10, 9999)}{random.choice('xQz')}"


def _mail(random: Random) -> str:
    user = random.choice(["ana.ruiz", "jlopez", "m.garcia+alerts", "bob_smith", "p-ortega"])
    domain = random.choice(["correo.es", "correo.com", "mail.empresa.es"])
    return f"{user}{random.randrange(90)}@{domain}"


def _phone(random: Random) -> str:
    number = random.choice(["6", "91", "93"])
    number += "".join(random.choices("123456789", k=9 - len(number)))
    parsed = phonenumbers.parse(number, "ES")
    if not phonenumbers.is_valid_number(parsed):
        return _phone(random)
    return random.choice([f"+34{number}", f"+34 {number[:3]} {number[3:6]} {number[6:]}"])


def _grouped(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def _iban(random: Random) -> str:
    country, size = random.choice([("ES", 20), ("DE", 18), ("FR", 23)])
    account = "".join(random.choices("0123456789", k=size))
    return country + mod_97_10.calc_check_digits(account + country) + account


def _card(random: Random) -> str:
    number = random.choice(["4", "51", "53"])
    number += "".join(random.choices("0123456789", k=15 - len(number)))
    return number + luhn.calc_check_digit(number)


def _dni(random: Random) -> str:
    number = "".join(random.choices("123456789", k=8))
    return number + dni.calc_check_digit(number)


def _nie(random: Random) -> str:
    number = "".join(random.choices("0123456789", k=7))
    first = random.choice("XYZ")
    return first + number + dni.calc_check_digit(str("XYZ".index(first)) + number)


def _cif(random: Random) -> str:
    number = "".join(random.choices("0123456789", k=7))
    odd = sum(sum(divmod(int(digit) * 2, 10)) for digit in number[::2])
    return "B" + number + str(-(odd + sum(map(int, number[1::2]))) % 10)


_MAKERS = {
    "PW": _password, "MAIL": _mail, "TEL": _phone, "IBAN": _iban, "CARD": _card, "DNI": _dni, "NIE": _nie,
    "CIF": _cif,
}  # fmt: skip
