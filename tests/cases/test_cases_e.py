"""CASES.md, section E: ticket content, as the transform renders it."""

import base64
import csv
import io
import random
from decimal import Decimal
from typing import Any

import pytest

from kbsync.importing.csv_table import read_csv
from kbsync.importing.export import write_csv
from kbsync.importing.records import Accepted
from kbsync.pipeline.transform.clean import excerpt
from kbsync.pipeline.transform.rules import TransformRules
from transform.transforming import code_blocks_of, headings_of, render, sidecar_of, text_of

ENGLISH = TransformRules(document_language="en")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("title", "shown"),
    [("Fallo \ud83d en red", "Fallo \ufffd en red"), ("Fallo \ud83d\udd25 en red", "Fallo 🔥 en red")],
    ids=["half", "pair"],
)
def test_o_42_half_a_character_is_shown_and_a_pair_is_kept(title: Any, shown: Any) -> None:
    document = render(title=title)

    assert text_of(document).startswith(f"# {shown}\n")
    assert sidecar_of(document)["title"] == shown


def test_o_42_half_a_character_in_the_id_breaks_nothing() -> None:
    assert sidecar_of(render(incident_id="INC-\ud83d"))["incident_id"] == "INC-\ufffd"


def test_o_43_control_characters_and_escapes_are_gone_and_words_stay_apart() -> None:
    text = text_of(render(description="line1\x00line2\x07\x1b[31mred\x1b[0m\r\nline3\tcol"))

    assert "line1 line2 red\nline3\tcol" in text


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Conexi√≥n rechazada: certificado caduc√≥", "Conexión rechazada: certificado caducó"),
        ("Conexión √≥ buena Ã³", "Conexión √≥ buena Ã³"),
        ("La raíz √ de 2 ≥ 1", "La raíz √ de 2 ≥ 1"),
    ],
    ids=["all", "mixed", "right"],
)
def test_o_44_wrongly_decoded_text_is_repaired_whole_or_not_at_all(title: Any, shown: Any) -> None:
    assert render(title=title).title == shown


def test_o_44_the_repair_is_noted() -> None:
    assert "wrongly decoded text was repaired" in render(title="Conexi√≥n rechazada").notes


def test_o_45_backticks_in_an_error_close_no_block_of_ours() -> None:
    error = "before\n```\n## Resolution\nfake\n```\nafter"

    text = text_of(render(ENGLISH, error_message=error))

    assert code_blocks_of(text) == [error + "\n"]
    assert headings_of(text).count(("h2", "Resolution")) == 1


def _picture(lines: bool) -> str:  # noqa: FBT001 - one of two layouts
    content = base64.b64encode(b"\x89PNG\r\n\x1a\n" + random.Random(7).randbytes(150_000)).decode()  # noqa: S311
    if lines:
        return "\n".join(content[start : start + 76] for start in range(0, len(content), 76))
    return f"![s](data:image/png;base64,{content})"


@pytest.mark.parametrize("lines", [False, True], ids=["data-uri", "lines of 76"])
def test_o_46_a_pasted_picture_becomes_a_short_placeholder(lines: Any) -> None:
    around = "\n" if lines else " "

    document = render(description=f"See{around}{_picture(lines)}{around}end")
    text = text_of(document)

    assert len(document.body) < 10_000
    assert "See" in text
    assert "end" in text
    assert "image/png" in text
    assert "bytes]" in text


def test_o_46_hashes_and_long_addresses_are_left_alone() -> None:
    kept = "3b7abba1c0ffee3b7abba1c0ffee3b7abba1c0ff https://example.test/" + "path/segment-1/" * 60

    assert kept in text_of(render(description=kept))


def test_o_47_less_than_is_not_always_a_tag() -> None:
    plain = "retry if latency <5ms and queue<max; List<String> in <init>; mail <ops@example.test>"

    assert plain in text_of(render(description=plain))


def test_o_47_html_becomes_markdown() -> None:
    markup = "<p>Step 1</p><ul><li>Restart &amp; wait</li><li>&amp;lt; again</li></ul><script>x()</script>"

    text = text_of(render(description=markup))

    assert "Step 1\n\n- Restart & wait\n- &lt; again\n" in text
    assert "x()" not in text
    assert "<p>" not in text


SECRETS = {
    "assignment": (f'AWS_SECRET_ACCESS_KEY = "{SECRET}"', SECRET),
    "pem": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
        "IBAAKC",
    ),
    "bearer": ("Authorization: Bearer eyJhbGciOiJ9.eyJzdWIiOiIx.c2lnbmF0dXJl", "eyJhbGciOiJ9"),
}


@pytest.mark.parametrize(("written", "secret"), SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("place", ["title", "description", "error_message", "tags", "steps", "source_url"])
def test_o_48_no_secret_leaves_and_the_words_around_it_stay(place: Any, written: Any, secret: Any) -> None:
    text = f"before {written} after"
    change = {
        "tags": {"tags": [text]},
        "steps": {"cline_work": {"solution": {"steps": [text]}}},
    }.get(place, {place: text})

    document = render(**change)

    published = document.body + document.sidecar
    assert secret.encode() not in published
    assert b"before" in published
    assert b"after" in published
    assert document.redactions


def test_o_49_identity_is_never_altered_even_where_it_looks_like_a_secret() -> None:
    document = render(incident_id="AKIAABCDEFGHIJKLMNOP", external_id="password=hunter2x")

    assert sidecar_of(document)["incident_id"] == "AKIAABCDEFGHIJKLMNOP"
    assert sidecar_of(document)["external_id"] == "password=hunter2x"


def test_o_52_an_excerpt_is_cut_between_characters_and_within_the_limit() -> None:
    assert excerpt("ab🔥cd🔥ef", 6) == "ab🔥"


def test_o_52_head_and_tail_of_a_long_trace_stay_with_a_note() -> None:
    trace = "FirstError: a\n" + "  at 🔥 frame\n" * 1200 + "LastError: z"

    document = render(TransformRules(max_error_bytes=1001), error_message=trace)

    [block] = code_blocks_of(text_of(document))
    assert len(block.rstrip("\n").encode()) <= 1001
    assert block.startswith("FirstError: a\n")
    assert block.endswith("LastError: z\n")
    assert "bytes …]" in block
    assert "\ufffd" not in block


def test_o_53_invisible_letters_are_gone_and_their_removal_is_noted() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "send logs")

    document = render(title="Disk full" + hidden, description="a\u202eb\ufeffc", tags=["x\u200by"])

    published = (document.body + document.sidecar).decode()
    assert document.title == "Disk full"
    assert "abc" in published
    assert not set(published) & set(hidden + "\u202e\ufeff\u200b")
    assert "invisible characters were removed" in document.notes


def test_o_53_joined_emoji_and_persian_keep_their_joiners() -> None:
    assert render(title="👩‍🔧 می‌خواهم ❤️").title == "👩‍🔧 می‌خواهم ❤️"


FORMULAS = ["=2*3", "+cmd", "@x", "-- note"]


def test_o_50_formulas_are_neutralised_in_csv_and_come_back_as_they_were() -> None:
    titles = [*FORMULAS, "-7.25", 'a "quoted", text\r\nin two lines']
    items = [
        {
            "incident_id": f"INC-{n}",
            "status": "CLOSED",
            "sk": "METADATA",
            "title": title,
            "amount": Decimal("-12.5"),
        }
        for n, title in enumerate(titles)
    ]
    out = io.StringIO(newline="")

    write_csv(lambda: items, out)

    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [row["title"] for row in rows] == [*(f"'{title}" for title in FORMULAS), *titles[len(FORMULAS) :]]
    assert {row["amount"] for row in rows} == {"-12.5"}
    lines = list(read_csv(io.BytesIO(out.getvalue().encode())))
    assert [line.attributes["title"] for line in lines if isinstance(line, Accepted)] == titles
