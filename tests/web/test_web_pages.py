"""What each page shows, in both languages, over a filled and an empty home."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOON, an_incident
from kbsync.errors import UnavailableError
from kbsync.pipeline.changes import upsert_incidents
from kbsync.pipeline.pause import pause
from kbsync.pipeline.reconcile import reconcile
from kbsync.run_report import RunReport
from kbsync.web.charts import days_of
from kbsync.web.language import LANGUAGES, Words, chosen_language, texts
from kbsync.web.markdown import html_of
from kbsync.web.outlook import next_run_expected
from web.visiting import Visit, a_visit, words

PAGES = (
    "/",
    "/incidents",
    "/incidents?state=quarantined",
    "/incidents?status=OPEN",
    "/runs",
    "/reconcile",
    "/quality",
)


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return a_visit(tmp_path)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
def test_page_answers_in_the_language_of_the_browser(visit: Visit, path: str, language: str) -> None:
    page = visit.get(path, **{"accept-language": f"{language}-AR,de;q=0.5"})

    assert f'<html lang="{language}">' in page
    assert texts()["nav.incidents"][language] in page


@pytest.mark.parametrize("path", PAGES)
def test_page_of_an_empty_home_answers(tmp_path: Path, path: str) -> None:
    page = a_visit(tmp_path, filled=False).get(path)

    assert "kbsync" in page


def test_page_names_no_other_host_and_no_script(visit: Visit) -> None:
    for path in (*PAGES, "/incident?id=INC-1001", "/runs.svg", "/quality.svg"):
        page = visit.get(path)

        assert not re.search(r"(?:src|href|action|url\()\s*=?\s*[\"'(]?\s*(?:https?:)?//", page), path
        assert "<script" not in page, path


def test_overview_adds_up_to_the_incidents_in_the_table(visit: Visit) -> None:
    page = words(visit.get("/"))

    for said in ("searchable 2 confirmed", "quarantined 1 set aside", "not closed 1 not closed"):
        assert said in page
    assert "incidents 4" in page


def test_overview_of_paused_runs_says_why(visit: Visit) -> None:
    pause(visit.home.engine, reason="moving <the> table")

    assert "moving <the> table" in words(visit.get("/"))


def test_overview_of_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    assert "kbsync import" in a_visit(tmp_path, filled=False).get("/")


def test_table_by_state_shows_reason_and_links_to_the_incident(visit: Visit) -> None:
    page = visit.get("/incidents?state=quarantined")

    assert 'href="/incident?id=INC-4"' in page
    assert "INC-1001" not in page
    assert "description" in words(page)


def test_table_by_status_shows_incidents_without_a_record(visit: Visit) -> None:
    page = words(visit.get("/incidents?status=OPEN"))

    assert "INC-3 Open one no record OPEN" in page


def test_table_pages_to_the_end_and_shows_each_once(tmp_path: Path) -> None:
    visit = a_visit(tmp_path, filled=False)
    upsert_incidents(visit.home.engine, [an_incident(incident_id=f"INC-{n:03}") for n in range(120)])
    path, seen = "/incidents", []
    while path:
        page = visit.get(path)
        seen += re.findall(r'href="/incident\?id=(INC-\d+)"', page)
        onward = re.search(r'href="([^"]+)" rel="next"', page)
        path = onward[1].replace("&amp;", "&") if onward else ""

    assert seen == [f"INC-{n:03}" for n in range(120)]


def test_search_shows_the_solution_and_leaves_out_what_was_reopened(visit: Visit) -> None:
    upsert_incidents(visit.home.engine, [an_incident(incident_id="INC/2 <b>", status="OPEN")])

    page = words(visit.get("/incidents?q=pool+exhausted"))

    assert "Raised the pool size to 40." in page
    assert "INC/2 <b> :" in page


def test_search_with_a_day_that_is_none_says_so(visit: Visit) -> None:
    assert "no day" in words(visit.get("/incidents?q=pool&since=yesterday"))


def test_incident_page_tells_its_story_and_shows_its_document(visit: Visit) -> None:
    page = words(visit.get("/incident?id=INC-1001"))

    assert "Raised the pool size to 40." in page
    assert "incidents/" in page
    assert '"severity"' in page
    assert "published" in page


def test_incident_page_of_a_quarantined_one_says_why(visit: Visit) -> None:
    page = words(visit.get("/incident?id=INC-4"))

    assert "quarantined" in page
    assert "3 / 3" in page


def test_hostile_text_is_shown_as_text(visit: Visit) -> None:
    page = visit.get("/incident?id=INC%2F2+%3Cb%3E")

    assert "alert(1)" in page
    assert "<script" not in page
    assert "<img src=x" not in page
    assert 'href="javascript' not in page


def test_unknown_incident_is_a_page_that_says_so(visit: Visit) -> None:
    answer = visit.client.get("/incident?id=INC-404")

    assert answer.status_code == 404
    assert "INC-404" in answer.text


def test_typed_id_leads_to_its_page(visit: Visit) -> None:
    answer = visit.client.get("/open?id=INC/2 <b>", follow_redirects=False)

    assert answer.status_code == 303
    assert visit.get(answer.headers["location"])


def test_run_page_shows_counts_and_failures(visit: Visit) -> None:
    run_id = visit.home.engine.ledger.runs(limit=1)[0].run_id

    page = words(visit.get(f"/run?id={run_id}"))

    assert run_id in page
    assert "INC-4" in page


def test_unknown_run_and_unknown_address_are_not_found(visit: Visit) -> None:
    assert visit.client.get("/run?id=none").status_code == 404
    assert visit.client.get("/nowhere").status_code == 404
    assert visit.client.get("/static/other.css").status_code == 404


def test_reconcile_page_shows_the_last_complete_one(visit: Visit) -> None:
    visit.home.documents.delete(
        "incidents/INC-1001.md", if_etag=visit.home.documents.head("incidents/INC-1001.md").etag
    )
    reconcile(visit.home.engine)

    page = words(visit.get("/reconcile"))

    assert "missing 1 closed, and no document in the store INC-1001" in page


def test_chosen_language_is_kept_and_wins_over_the_browser(visit: Visit) -> None:
    visit.get("/?lang=es")

    assert '<html lang="es">' in visit.get("/", **{"accept-language": "en"})


def test_error_while_looking_is_a_page_without_a_traceback(
    visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    visit.home.engine.incidents._database.close()

    answer = visit.client.get("/")

    assert answer.status_code in (500, 503)
    assert "Traceback" not in answer.text
    assert [record.getMessage().split()[0] for record in caplog.records] == ["web.failed"]


def test_known_error_says_how_to_mend_it(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise UnavailableError("the disk is full", hint="make room")

    monkeypatch.setattr(type(visit.home.engine.ledger), "runs", lambda *_, **__: refuse())

    answer = visit.client.get("/runs")

    assert (answer.status_code, "make room" in answer.text) == (503, True)


def test_days_count_what_began_in_each() -> None:
    runs = [
        RunReport(run_id="a", started_at=NOON, published=2, metadata_only=1, withdrawn=4),
        RunReport(run_id="b", started_at=NOON, failed=3),
        RunReport(run_id="c", started_at=NOON - timedelta(days=1), published=7),
        RunReport(run_id="d", started_at=NOON - timedelta(days=40), published=9),
    ]

    days = days_of(runs, NOON)

    assert len(days) == 14
    assert [(each.runs, each.published, each.withdrawn, each.failed) for each in days[-2:]] == [
        (1, 7, 0, 0),
        (2, 3, 4, 3),
    ]
    assert not any(each.runs for each in days[:-2])


@pytest.mark.parametrize(
    ("hours_ago", "expected"),
    [((0, 1, 2, 3), 1), ((0, 1), None), ((5, 6, 7), None), ((0.5, 1.5, 2.5, 9), 0.5)],
    ids=["hourly", "too-few", "missed-too-long", "one-gap"],
)
def test_next_run_follows_the_habit(hours_ago: tuple[float, ...], expected: float | None) -> None:
    runs = [RunReport(run_id="r", started_at=NOON - timedelta(hours=ago)) for ago in hours_ago]

    assert next_run_expected(runs, NOON) == (NOON + timedelta(hours=expected) if expected else None)


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ("en", "es", "en"),
        ("fr", "es-MX,en;q=0.4", "es"),
        (None, "de, en;q=0.7", "en"),
        (None, "fr", "es"),
        (None, "", "es"),
        (None, "*;q=0.1, ;;", "es"),
    ],
)
def test_language_is_the_choice_else_the_browsers_else_the_default(
    wanted: str | None, accepted: str, language: str
) -> None:
    assert chosen_language(wanted, accepted, "es") == language


def test_every_text_stands_in_every_language_with_the_same_values() -> None:
    for key, entry in texts().items():
        assert set(entry) == set(LANGUAGES), key
        named = {language: sorted(re.findall(r"{(\w+)}", entry[language])) for language in LANGUAGES}
        assert named["es"] == named["en"], key


def test_every_text_is_used() -> None:
    """A text that no template names any more is litter."""
    root = Path(__file__).parents[2] / "src" / "kbsync" / "web"
    sources = "".join(path.read_text() for path in (*root.glob("*.py"), *root.glob("templates/*.html")))
    stems = ("state.", "meaning.", "count.", "drift.means.", "drift.compared.", "said.", "search.")

    unused = [key for key in texts() if key not in sources and not key.startswith(stems)]

    assert unused == []


def test_numbers_and_spans_are_written_as_each_language_does() -> None:
    es, en = Words("es"), Words("en")

    assert (en.number(12345), es.number(12345), es.number(None)) == ("12,345", "12.345", "-")
    assert (en.span(None), en.span(0.25), es.span(0.25)) == ("-", "0.25 s", "0,25 s")
    assert (es.when(None), en.when("2026-03-10T12:00:00Z")) == ("-", "10 Mar 2026, 12:00:00")
    assert en.number(2_500_000) == "2.5M"


@given(st.text(max_size=300))
def test_no_text_becomes_a_tag_that_acts(text: str) -> None:
    html = str(html_of(text))

    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html))
    assert tags <= {
        "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "code", "pre", "em", "strong", "a", "blockquote",
        "hr", "br", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip


def test_document_links_tell_nobody_and_pictures_are_not_loaded() -> None:
    html = html_of("# A\n\n[x](https://example.org) ![p](https://example.org/p.png) <b>no</b>")

    assert 'rel="noopener noreferrer nofollow"' in html
    assert "<h3>" in html
    assert "<img" not in html
    assert "&lt;b&gt;" in html
