"""`kbsync writeups` as people and programs see it."""

from calling import MADE_UP, Cli

from builders import an_incident

BARE = [an_incident(incident_id=f"BARE-{number}", resolution=None) for number in range(3)]


def test_list_has_counts_by_source_and_says_how_to_go_on(cli: Cli) -> None:
    cli.begin([*MADE_UP, *BARE])

    said = cli("writeups", "--limit", "2").stdout

    assert "3 of 5 closed incidents lack a write-up." in said
    assert "servicenow" in said
    assert "BARE-1" in said
    assert "BARE-2" not in said
    assert "--offset 2 shows more" in said
    assert "REQUIRE_RESOLUTION=true withholds them" in said
    assert "withholds them: none has a document" in cli("writeups", REQUIRE_RESOLUTION="true").stdout


def test_program_gets_the_page_it_asks_for(cli: Cli) -> None:
    cli.begin([*MADE_UP, *BARE])

    view = cli.json("writeups", "--by", "category", "--offset", "2")

    assert [each["incident_id"] for each in view["incidents"]] == ["BARE-2"]
    assert view["groups"] == [{"value": "database", "closed": 5, "without": 3}]


def test_table_in_which_all_is_written_up_says_so(cli: Cli) -> None:
    cli.begin([MADE_UP[0], an_incident(incident_id="BROKEN", resolution={"description": {"not": "a text"}})])

    said = cli("writeups").stdout

    assert "0 of 2 closed incidents lack a write-up." in said
    assert "1 incident cannot be read" in said
