"""Who may see a page, and who may act."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import WebSocketDenialResponse

from cli.calling import Cli
from kbsync.cli.listening import is_loopback
from kbsync.web.guard import COOKIE
from web.visiting import OURS, TOKEN, Visit, a_visit

ACTS = ("/retry", "/retry-all", "/withdraw", "/pause", "/resume")
LOOKS = (
    "/",
    "/incidents",
    "/incident?id=INC-1001",
    "/open?id=A",
    "/runs",
    "/run?id=x",
    "/reconcile",
    "/runs.svg",
)


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return a_visit(tmp_path, allow_actions=True)


@pytest.fixture
def locked(tmp_path: Path) -> Visit:
    return a_visit(tmp_path, filled=False, allow_actions=True, token=TOKEN)


@pytest.mark.parametrize("path", LOOKS)
def test_page_without_the_token_does_not_answer(locked: Visit, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"{COOKIE}=wrong"}):
        answer = locked.client.get(path, headers=headers)

        assert answer.status_code == 401
        assert "kbsync" not in answer.text


@pytest.mark.parametrize("path", ACTS)
def test_act_without_the_token_does_not_happen(locked: Visit, path: str) -> None:
    assert locked.client.post(path, headers=OURS, follow_redirects=False).status_code == 401


def test_browser_without_the_token_is_led_to_the_log_in(locked: Visit) -> None:
    answer = locked.client.get("/", headers={"accept": "text/html"}, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "password" in locked.get("/login")


def test_right_token_opens_every_page_until_the_process_ends(locked: Visit, tmp_path: Path) -> None:
    assert locked.post("/login", token="wrong") == 403
    assert locked.post("/login", token=TOKEN) == 303
    cookie = locked.client.cookies[COOKIE]

    assert locked.get("/")
    assert TOKEN not in cookie
    other = a_visit(tmp_path / "other", filled=False, token=TOKEN)
    other.client.cookies.set(COOKIE, cookie)
    assert other.client.get("/").status_code == 401


def test_program_may_send_the_token_as_a_header(locked: Visit) -> None:
    assert locked.get("/", authorization=f"Bearer {TOKEN}")


def test_log_in_where_no_token_is_set_is_refused(visit: Visit) -> None:
    assert visit.post("/login", token="") == 403


def test_foreign_host_name_is_not_answered(visit: Visit) -> None:
    for host in ("kbsync.example.org", "127.0.0.1.example.org", "[::", ""):
        assert visit.client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-origin"},
    ],
)
def test_forged_cross_site_post_is_refused_even_with_the_form_token(
    visit: Visit, headers: dict[str, str]
) -> None:
    form_token = visit.form_token("/")

    answer = visit.client.post("/pause", data={"form_token": form_token}, headers=headers)

    assert answer.status_code == 403
    assert visit.home.engine.ledger.read_value("pause") == ""


@pytest.mark.parametrize("path", ACTS)
def test_post_without_the_form_token_is_refused(visit: Visit, path: str) -> None:
    assert visit.post(path, id="INC-4", form_token="wrong") == 403
    assert visit.home.state("INC-4") == "quarantined"


@pytest.mark.parametrize("path", ACTS)
def test_act_is_refused_where_actions_are_not_allowed(tmp_path: Path, path: str) -> None:
    reading = a_visit(tmp_path)
    from_elsewhere = a_visit(tmp_path / "other", filled=False, allow_actions=True).form_token("/")

    assert reading.post(path, id="INC-4", form_token=from_elsewhere) == 403
    assert 'method="post"' not in reading.get("/incident?id=INC-4")


def test_retry_releases_the_incident(visit: Visit) -> None:
    assert visit.post("/retry", id="INC-4", form_token=visit.form_token("/incident?id=INC-4")) == 303

    record = visit.home.ledger.records(["INC-4"])["INC-4"]
    assert (record.attempts, record.queue) == (0, "publish#0")


def test_retry_all_releases_every_quarantined_one(visit: Visit) -> None:
    assert visit.post("/retry-all", form_token=visit.form_token("/incidents?state=quarantined")) == 303

    assert visit.home.ledger.records(["INC-4"])["INC-4"].attempts == 0


def test_withdraw_reopens_the_incident(visit: Visit) -> None:
    assert visit.post("/withdraw", id="INC-1001", form_token=visit.form_token("/incident?id=INC-1001")) == 303

    assert visit.home.incidents.read(["INC-1001"])["INC-1001"].attributes["status"] == "REOPENED"


def test_act_on_an_unknown_incident_says_so(visit: Visit) -> None:
    form = {"id": "INC-404", "form_token": visit.form_token("/")}

    for path in ("/retry", "/withdraw"):
        answer = visit.client.post(path, data=form, headers=OURS)
        assert (answer.status_code, "INC-404" in answer.text) == (409, True)


def test_pause_and_resume_do_what_their_commands_do(visit: Visit) -> None:
    form_token = visit.form_token("/")

    assert visit.post("/pause", reason="because", form_token=form_token) == 303
    assert json.loads(visit.home.engine.ledger.read_value("pause"))["reason"] == "because"
    assert visit.post("/resume", form_token=form_token) == 303
    assert visit.home.engine.ledger.read_value("pause") == ""


def test_act_that_fails_unexpectedly_shows_a_page(visit: Visit) -> None:
    form = {"id": "INC-1001", "form_token": visit.form_token("/")}
    visit.home.engine.incidents._database.close()

    answer = visit.client.post("/withdraw", data=form, headers=OURS)

    assert answer.status_code in (409, 500, 503)
    assert "Traceback" not in answer.text


def test_every_answer_carries_the_headers_that_browsers_obey(visit: Visit) -> None:
    for path in ("/", "/nowhere", "/static/kbsync.css", "/runs.svg"):
        headers = visit.client.get(path).headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert visit.client.get("/").headers["cache-control"] == "no-store"


def test_other_methods_and_web_sockets_are_not_served(visit: Visit) -> None:
    assert visit.client.put("/", headers=OURS).status_code == 405
    with pytest.raises(WebSocketDenialResponse), visit.client.websocket_connect("/"):
        pass


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - what must be refused
        ("::", False),
        ("a.b", False),
    ],
)
def test_loopback_is_told_from_what_others_reach(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    line = Cli(tmp_path)
    yield line
    line.end()


def test_serve_beyond_loopback_without_a_token_is_refused(cli: Cli) -> None:
    result = cli.begin()("serve", "--host", "0.0.0.0")  # noqa: S104 - what must be refused

    assert result.exit_code == 2
    assert "SERVE_TOKEN" in result.output


def test_short_token_is_refused_and_no_token_is_ever_shown(cli: Cli) -> None:
    short = cli.begin()("status", SERVE_TOKEN="short-secret")

    assert short.exit_code == 2
    assert "short-secret" not in short.output
    shown = cli("config", SERVE_TOKEN=TOKEN).output
    assert TOKEN not in shown
    assert "SERVE_TOKEN" in shown


def test_serve_answers_on_the_address_it_prints(cli: Cli) -> None:
    child = cli.synced().child("serve", "--port", "0", "--json")
    assert child.stdout is not None
    printed = "".join(iter(child.stdout.readline, "}\n"))
    url = re.search(r"http://127\.0\.0\.1:\d+/", printed)
    assert url

    with urllib.request.urlopen(url[0], timeout=30) as answer:  # noqa: S310 - our own loopback address
        assert "kbsync" in answer.read().decode()
    child.send_signal(2)
    assert child.wait(timeout=30) == 0
