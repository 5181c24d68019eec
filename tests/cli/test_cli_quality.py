"""`kbsync eval` as people and CI call it: measures, gate, history, comparisons, and what it refuses."""

import json
from pathlib import Path

import pytest
from calling import MADE_UP, Cli, write_lines


def questions_file(folder: Path, **changes: object) -> Path:
    path = folder / "mine.jsonl"
    question = {"query": "pool exhausted connections", "relevant_ids": ["INC-1001"], **changes}
    path.write_text(json.dumps(question) + "\n", encoding="utf-8")
    return path


def test_evaluation_shows_each_set_and_keeps_its_result(cli: Cli) -> None:
    cli.synced()

    first = cli.json("eval")
    second = cli.json("eval")

    assert [row["set"] for row in first["rows"]][-1] == "all"
    assert first["rows"][-1]["hit@1"] == {"value": 1.0, "low": pytest.approx(0.51, abs=0.01), "high": 1.0}
    assert (first["earlier"], len(second["earlier"])) == ([], 1)
    assert len(cli.json("eval", "--history")["evaluations"]) == 2


def test_evaluation_on_a_terminal_has_bars_of_what_was_before(cli: Cli) -> None:
    cli.synced()
    cli("eval")

    said = cli("eval").stdout

    assert "██" in said
    assert "1.000 (" in said
    assert "next: `kbsync eval --compare EMBEDDER=none`" in said


def test_history_is_a_table_and_says_where_there_is_none(cli: Cli) -> None:
    cli.synced()

    assert "Nothing was measured yet" in cli("eval", "--history").stdout
    cli("eval")
    assert "golden" in cli("eval", "--history").stdout


def test_gate_ends_with_1_below_the_limit_and_with_0_above(cli: Cli) -> None:
    cli.synced()
    good = questions_file(cli.folder)

    assert cli("eval", "--questions", str(good), "--fail-under", "hit@5=1").exit_code == 0
    bad = questions_file(cli.folder, relevant_ids=["INC-9999"])
    broken = cli("eval", "--questions", str(bad), "--fail-under", "hit@5=.80")
    assert broken.exit_code == 1
    assert "hit@5 is 0.000, under 0.800" in broken.stdout
    assert "not found: INC-9999" in broken.stdout
    assert cli("eval", "--fail-under", "hit@9=.80").exit_code == 2


def test_comparison_asks_a_shadow_and_leaves_the_home_as_it_is(cli: Cli) -> None:
    cli.synced()
    before = sorted(path.name for path in cli.home.rglob("*.md"))
    shadows = cli.folder / "shadows"
    arguments = ("eval", "--compare", "EMBEDDER=none", "--compare", "WORDS_WEIGHT=0")

    view = cli.json(*arguments, "--shadow", str(shadows))

    assert [each["setting"] for each in view["compared"]] == ["EMBEDDER=none", "WORDS_WEIGHT=0"]
    assert [each["search"]["mode"] for each in view["compared"]] == ["lexical", "hybrid"]
    assert {row["set"] for row in view["compared"][0]["rows"]} == {"title", "symptom", "all"}
    assert "difference" in view["compared"][0]["rows"][0]
    assert sorted(path.name for path in cli.home.rglob("*.md")) == before
    assert sorted(path.name for path in shadows.iterdir()) == ["EMBEDDER=none", "WORDS_WEIGHT=0"]
    said = cli(*arguments, "--shadow", str(shadows)).stdout
    assert "with WORDS_WEIGHT=0" in said
    assert "+0.000 (" in said


def test_template_of_another_language_is_compared_on_documents_of_its_own(cli: Cli) -> None:
    cli.synced(MADE_UP)
    shadows = cli.folder / "shadows"

    cli.json("eval", "--compare", "document_language=en", "--shadow", str(shadows))

    [document] = shadows.rglob("INC-1001*.md")
    assert "## Problem\n" in document.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["S3_BUCKET=other", "EMBEDDER", "EMBEDDER=gpt"])
def test_setting_that_cannot_be_compared_is_bad_usage(cli: Cli, text: str) -> None:
    cli.synced()

    assert cli("eval", "--compare", text).exit_code == 2


def test_shadow_in_the_home_itself_is_refused(cli: Cli) -> None:
    cli.synced()
    (cli.folder / "WORDS_WEIGHT=0").symlink_to(cli.home)

    refused = cli("eval", "--compare", "WORDS_WEIGHT=0", "--shadow", str(cli.folder))

    assert refused.exit_code == 2
    assert "the home itself" in refused.stderr


def test_home_that_holds_other_incidents_is_refused_unless_it_is_allowed(cli: Cli) -> None:
    cli.synced()
    some = write_lines(cli.folder / "some.jsonl", MADE_UP[:1])
    all_of_them = write_lines(cli.folder / "all.jsonl", MADE_UP)

    refused = cli("eval", "--documents", str(some))

    assert refused.exit_code == 2
    assert "INC-1002 is searchable here and not in" in refused.stderr
    assert cli("eval", "--documents", str(some), "--allow-others").exit_code == 0
    assert cli("eval", "--documents", str(all_of_them)).exit_code == 0
    assert cli("eval", "--documents", str(cli.folder / "absent")).exit_code == 2


def test_useful_answer_becomes_a_question_of_its_own_set(cli: Cli) -> None:
    cli.synced()

    said = cli("useful", "INC-1001", "--query", "los pedidos no llegan").stdout

    assert "Noted for INC-1001; 1 kept." in said
    assert "useful" in {row["set"] for row in cli.json("eval")["rows"]}
    assert "--query TEXT says what was asked" in cli("useful", "INC-1001").stdout
    assert cli.json("useful", "INC-1001", "--undo")["taken_back"] == 2
    assert "0 words taken back; 0 kept." in cli("useful", "INC-1001", "--undo").stdout
    assert cli("useful", "INC-9999").exit_code == 2
