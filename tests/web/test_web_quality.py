"""The page of what `kbsync eval` measured: its numbers, its chart, and an empty home."""

import re
from pathlib import Path

import pytest

from kbsync.pipeline.run import no_progress
from kbsync.quality.golden import golden_questions
from kbsync.quality.measures import MEASURES
from kbsync.quality.report import Plan, evaluate
from web.visiting import Visit, a_visit, words


@pytest.fixture
def measured(tmp_path: Path) -> Visit:
    visit = a_visit(tmp_path)
    engine = visit.home.engine
    for _ in range(2):
        evaluate(engine, Plan("golden", golden_questions(engine, sample=10)), no_progress)
    return visit


def test_page_shows_each_set_of_each_evaluation_with_its_measures(measured: Visit) -> None:
    page = measured.get("/quality")

    assert page.count('<th scope="row">all</th>') == 2
    assert all(name in page for name in MEASURES)
    assert "hashed-ngrams-for-tests" in words(page)
    assert 'aria-current="page"' in page


def test_chart_has_a_line_for_each_set(measured: Visit) -> None:
    chart = measured.get("/quality.svg")

    assert chart.startswith("<svg")
    assert {"title", "symptom", "all"} <= set(re.findall(r">(title|symptom|all)<", chart))


def test_page_and_chart_say_where_nothing_was_measured(tmp_path: Path) -> None:
    visit = a_visit(tmp_path, filled=False)

    assert "Nothing was measured yet" in words(visit.get("/quality"))
    assert "Nothing was measured yet" in words(visit.get("/quality.svg"))
