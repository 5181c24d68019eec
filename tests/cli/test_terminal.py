"""Incident text on a terminal: nothing in it moves the cursor, and durations read as people say them."""

import io

import pytest
from rich.console import Console

from kbsync.cli.progress import progress_bars
from kbsync.cli.terminal import counted, duration_text, one_line, pairs, plain, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;new window title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\dcs", "dcs"),
        ("a\x00b\x08c\rd\x7fe\x9bf", "abcdef"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("half \ud83d", "half "),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1bcreset", "reset"),
        ("never ended \x1b]0;title", "never ended 0;title"),
        ("Ñandú 漢字 🙂", "Ñandú 漢字 🙂"),
    ],
    ids=[
        "csi",
        "osc bel",
        "osc link",
        "dcs",
        "controls",
        "bidi",
        "surrogate",
        "layout",
        "reset",
        "unfinished",
        "plain",
    ],
)
def test_text_with_terminal_controls_is_shown_without_them(text: str, shown: str) -> None:
    cleaned = plain(text)

    assert "\x1b" not in cleaned
    assert cleaned.strip() == shown.strip()


def test_one_line_joins_lines() -> None:
    assert one_line("a\n  b\tc") == "a b c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (5.55, "5.5 s"),
        (42.4, "42 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172800, "2 d"),
    ],
    ids=str,
)
def test_duration_is_told_in_its_natural_unit(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_noun_follows_its_number() -> None:
    assert [counted(0, "run"), counted(1, "run"), counted(2, "run")] == ["0 runs", "1 run", "2 runs"]


def printed(made: object) -> str:
    out = io.StringIO()
    Console(file=out, width=60).print(made)
    return out.getvalue()


def test_table_takes_markup_as_text() -> None:
    shown = printed(table(["a", "b"], [("[red]x[/red]", 1)]))

    assert "[red]x[/red]" in shown


def test_table_without_rows_shows_its_columns() -> None:
    assert "incident" in printed(table(["incident"], []))


def test_pairs_leave_empty_values_out() -> None:
    shown = printed(pairs({"kept": 0, "left": "", "gone": None}))

    assert "kept" in shown
    assert "left" not in shown
    assert "gone" not in shown


def test_progress_on_a_terminal_shows_counts_and_takes_the_total_of_the_step_before() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)

    with progress_bars(console, shown=True, expected=4) as show:
        show("publish", 2, None)
        show("publish", 6, None)
        show("confirm", 3, None)
        show("index", 9, 5)

    shown = out.getvalue()
    assert "6/6" in shown
    assert "3/6" in shown
    assert "9/9" in shown


def test_progress_that_nobody_watches_writes_nothing() -> None:
    out = io.StringIO()

    with progress_bars(Console(file=out), shown=False) as show:
        show("publish", 1, 2)

    assert out.getvalue() == ""
