"""Personal and payment identifiers as redaction rules: shapes find candidates, check digits decide.

Imports the rule and, only once a candidate is found, the libraries that know each country's numbers.
Invariant: a number without check digit or telling words beside it is an id and stays (O-49).
"""

import re

from kbsync.pipeline.transform.redaction_rule import LONG_NUMBER, RedactionRule, secret_of

_CARD_WORDS = re.compile(r"(?i)card|tarjeta|visa|mastercard|amex|\bpan\b|cvv|pago|payment|cobro|charge|cargo")
_CARD_GROUPS = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5}")
_CARD_BRANDS = re.compile(r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|6\d{15}")
_CIF_WORDS = re.compile(
    r"(?i)\b(?:c\.?i\.?f|n\.?i\.?f|vat|iva|empresa|compañ[ií]a|company|raz[oó]n social|s\.?[al]\.?u?)\b"
)
_NOT_MAIL_USERS = frozenset({"git", "noreply", "no-reply", "root", "svn", "hg", "ssh"})
_FILE_ENDINGS = frozenset(
    (
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "js",
        "ts",
        "css",
        "py",
        "rb",
        "rs",
        "java",
        "jar",
        "so",
        "dll",
        "exe",
        "log",
        "txt",
        "md",
        "json",
        "xml",
        "yml",
        "yaml",
        "sh",
        "service",
        "timer",
        "socket",
        "mount",
        "target",
        "slice",
        "local",
        "internal",
        "localhost",
        "svc",
        "localdomain",
    )
)
_NOBODYS_DOMAIN = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|test|example|invalid)$")
"""Source: RFC 2606, sections 2 and 3: reserved, so such an address is nobody's."""
_NEAR = 60
"""How many characters before a number its telling word may stand."""


def _is_mail(match: re.Match[str]) -> bool:
    user, _, domain = match.group().lower().partition("@")
    before = match.string[max(0, match.start() - 24) : match.start()].lower()
    return not (
        user in _NOT_MAIL_USERS
        or _NOBODYS_DOMAIN.search(domain)
        or domain.rpartition(".")[2] in _FILE_ENDINGS
        or "message-id" in before
    )


def _is_phone(match: re.Match[str]) -> bool:
    import phonenumbers  # noqa: PLC0415 - 20 ms that a text without candidates need not spend

    text = secret_of(match)
    for region in (None,) if text.lstrip("(").startswith(("+", "00")) else ("ES", "US", "GB", "MX"):
        try:
            number = phonenumbers.parse("+" + text[2:] if text.startswith("00") else text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def _is_iban(match: re.Match[str]) -> bool:
    from stdnum import iban  # noqa: PLC0415 - see _is_phone

    return bool(iban.is_valid(match.group(), check_country=False))


def _is_card(match: re.Match[str]) -> bool:
    from stdnum import luhn  # noqa: PLC0415 - see _is_phone

    text = match.group()
    digits = re.sub(r"\D", "", text)
    if not (_CARD_BRANDS.fullmatch(digits) and luhn.is_valid(digits)):
        return False
    return bool(_CARD_GROUPS.fullmatch(text) or _CARD_WORDS.search(_words_before(match)))


def _is_spanish_person(match: re.Match[str]) -> bool:
    from stdnum.es import dni, nie  # noqa: PLC0415 - see _is_phone

    return bool(dni.is_valid(match.group()) or nie.is_valid(match.group()))


def _is_spanish_company(match: re.Match[str]) -> bool:
    from stdnum.es import cif  # noqa: PLC0415 - see _is_phone

    return bool(
        cif.is_valid(match["secret"]) and (match["country"] or _CIF_WORDS.search(_words_before(match)))
    )


def _words_before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _NEAR) : match.start()].rpartition("\n")[2]


IDENTIFIER_RULES: tuple[RedactionRule, ...] = (
    RedactionRule(
        "email",
        ("@",),
        re.compile(
            r"(?<![\w.+/%-])[\w%+-][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
            r"(?![\w-]|:[/~\w]|\.\w)"
        ),
        _is_mail,
    ),
    RedactionRule(
        "iban",
        (),
        re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b"),
        _is_iban,
        re.compile(r"[A-Z][A-Z]\d{2}[ -]?[A-Z0-9]{4}"),
    ),
    RedactionRule(
        "card",
        (),
        re.compile(r"(?<![\w.+/-])[2-6](?:[ -]?\d){12,18}(?![\w/-]|[.,]\d)"),
        _is_card,
        re.compile(r"[2-6](?:[ -]?\d){12}"),
    ),
    RedactionRule(
        "dni-nie",
        (),
        re.compile(
            r"(?<![\w./-])(?:\d{8}[ -]?|\d{2}\.\d{3}\.\d{3}[ -]?|[XYZ]-?\d{7}-?)[A-HJ-NP-TV-Z](?![\w/-])"
        ),
        _is_spanish_person,
        re.compile(r"\d\d\d[\d.]\d{3}[ -]?[A-HJ-NP-TV-Z]"),
    ),
    RedactionRule(
        "cif",
        (),
        re.compile(r"(?<![\w./-])(?P<country>ES)?(?P<secret>[ABCDEFGHJNPQRSUVW]-?\d{7}[0-9A-J])(?![\w/-])"),
        _is_spanish_company,
        re.compile(r"[A-HJNP-SUVW]-?\d{7}[0-9A-J]"),
    ),
    RedactionRule(
        "phone",
        ("+", "00"),
        re.compile(r"(?<![\w.+/:-])(?:\+|00)[1-9](?:[ ().-]{0,2}\d){7,13}(?![\w/-]|[.:]\d)"),
        _is_phone,
        re.compile(r"(?:\+|00)[1-9](?:[ ().-]{0,2}\d){7}"),
    ),
    RedactionRule(
        "phone",
        ("tel", "tfno", "tlf", "phone", "vil", "mobile", "cell", "fax", "whatsapp", "call", "llam"),
        re.compile(
            r"(?i)\b(?:tel(?:[eé]fono|ephone)?s?|tfno|tlfn?o?|phone|m[oó]vil|mobile|cell|fax|whatsapp|call(?:ed)?"
            r"|llam(?:ar|ado|e|ad))(?: (?:number|no|n[uú]mero|de contacto|al|on|at|me|us|de))?"
            r"(?:\"?\s?[.:=]{1,2})? ?\"?"
            r"(?P<secret>(?:\+?\(?\d{1,4}\)?[ .-]?)?\d(?:[ .-]?\d){6,11})(?![\w/-]|[.:]\d)"
        ),
        _is_phone,
        LONG_NUMBER,
    ),
)
"""Checked numbers before telephones: a card's digits may look like one."""
