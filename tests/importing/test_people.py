"""Authors and mentions are taken out of texts."""

import pytest

from kbsync.importing.people import comment_text, journal_text, without_mentions, without_people


def test_journal_is_told_oldest_first_without_its_authors() -> None:
    text = (
        "2026-03-02 11:38:20 - Beth Anglin (Work notes)\nAll fine.\n\n"
        "03/01/2026 10:05:11 AM - Beth\nAnglin (Additional comments)\nPool is full.\n(20 of 20)\n\n"
    )

    assert journal_text(text) == (
        "03/01/2026 10:05:11 AM\n\nPool is full.\n(20 of 20)\n\n2026-03-02 11:38:20\n\nAll fine."
    )


@pytest.mark.parametrize(
    "text", ["no heading", "2026-03-02 11:38:20 - something went wrong", "10:05 - Beth (Work notes)", ""]
)
def test_text_without_journal_headings_stays_as_it_is(text: str) -> None:
    assert journal_text(text) == text


def test_text_before_the_first_heading_is_kept() -> None:
    assert journal_text("before\n2026-03-02 11:38:20 - B (Work notes)\nafter") == (
        "before\n\n2026-03-02 11:38:20\n\nafter"
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("12/Mar/26 4:10 PM;mia;It works; now.", "It works; now."),
        ("2026-03-12 16:10;557058:f58131cb-b67d;Line one\nline two", "Line one\nline two"),
        ("error;code;text", "error;code;text"),
        ("plain", "plain"),
    ],
)
def test_comment_cell_loses_time_and_author(cell: str, text: str) -> None:
    assert comment_text(cell) == text


def test_wiki_mentions_become_a_mark() -> None:
    assert without_mentions("[~mia] and [~accountid:557058:f5]") == "[person] and [person]"


def test_known_people_are_taken_out_as_whole_names_and_as_mentions() -> None:
    names = ["Mia Krystof", "mia", "", "Al"]

    assert without_people("Mia Krystof asked @mia; mia.log and Mia Krystofson stay, x@mia too", names) == (
        "[person] asked [person]; mia.log and Mia Krystofson stay, x@mia too"
    )
    assert without_people("nobody", []) == "nobody"


def test_headings_without_end_take_linear_time() -> None:
    text = "2026-03-02 11:38:20 - " * 20_000

    assert journal_text(text) == text
