"""The pages as a browser shows them: headless Chromium over a served home.

Slow: a browser starts, and axe reads every page. Skipped only where no Chromium is installed.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from web.visiting import TOKEN, Visit, a_visit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),  # one is started, in one worker
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
FLAGS = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
HOSTILE = "/incident?id=INC%2F2+%3Cb%3E"
PAGES = (
    "/",
    "/incidents?q=pool+exhausted",
    "/incidents?state=quarantined",
    "/incidents?status=OPEN",
    "/incident?id=INC-1001",
    HOSTILE,
    "/runs",
    "/reconcile",
    "/quality",
    "/nowhere",
)
SERIOUS = ("serious", "critical")


class Served:
    """A visit's application on a free loopback port, in a thread of this process."""

    def __init__(self, visit: Visit) -> None:
        config = uvicorn.Config(visit.client.app, port=0, log_level="error", lifespan="off")
        self._socket = config.bind_socket()
        self._socket.listen(16)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)
        self._socket.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    return a_visit(tmp_path_factory.mktemp("served"), allow_actions=True)


@pytest.fixture(scope="module")
def served(visit: Visit) -> Iterator[str]:
    server = Served(visit)
    yield server.url
    server.stop()


class Watched:
    """A page of the browser, with everything it asked for and complained of."""

    def __init__(self, browser: Browser, language: str, scheme: str = "light") -> None:
        self._context = browser.new_context(locale=language, color_scheme=scheme)
        self.page: Page = self._context.new_page()
        self.asked: set[str] = set()
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_page_loads_from_its_own_host_alone_and_nothing_acts(
    browser: Browser, served: str, language: str
) -> None:
    with Watched(browser, language) as watched:
        for path in PAGES:
            watched.page.goto(served + path)

            assert watched.page.locator("html").get_attribute("lang") == language
            assert watched.page.locator("h1").count() == 1

    assert {url for url in watched.asked if not url.startswith(f"{served}/")} == set()
    assert [each for each in watched.complaints if "404" not in each] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(browser: Browser, served: str, scheme: str) -> None:
    """Light in full; dark where its own colours are: the numbers, states and tables."""
    found = []
    with Watched(browser, "es", scheme) as watched:
        for path in PAGES if scheme == "light" else ("/", HOSTILE):
            watched.page.goto(served + path)
            response = Axe().run(watched.page).response
            found += [
                (path, each["id"], each["nodes"][0]["html"])
                for each in response["violations"]
                if each["impact"] in SERIOUS
            ]

    assert found == []


def test_page_fits_a_phone(browser: Browser, served: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    wide = []
    for path in PAGES:
        page.goto(served + path)
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide.append(path)
    context.close()

    assert wide == []


def test_keyboard_alone_reaches_the_content_and_the_search(browser: Browser, served: str) -> None:
    with Watched(browser, "en") as watched:
        page = watched.page
        page.goto(f"{served}/incidents")
        page.keyboard.press("Tab")

        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("pool exhausted")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=pool+exhausted**")
        assert "Raised the pool size" in page.content()


def test_actions_do_what_their_buttons_say(browser: Browser, served: str, visit: Visit) -> None:
    with Watched(browser, "en") as watched:
        page = watched.page
        page.goto(f"{served}/")
        page.get_by_label("Why").fill("drill")
        page.get_by_role("button", name="Pause all runs").click()
        page.wait_for_url("**said=paused**")
        assert "drill" in page.content()
        page.get_by_role("button", name="Let runs work again").click()
        page.wait_for_url("**said=resumed**")

        page.goto(f"{served}/incident?id=INC-4")
        page.get_by_role("button", name="Try again").click()
        page.wait_for_url("**said=retried**")

    assert visit.home.ledger.records(["INC-4"])["INC-4"].attempts == 0


def test_log_in_opens_the_pages(browser: Browser, tmp_path: Path) -> None:
    locked = Served(a_visit(tmp_path, filled=False, token=TOKEN))
    with Watched(browser, "es") as watched:
        page = watched.page
        page.goto(f"{locked.url}/runs")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Entrar").click()
        page.wait_for_url(f"{locked.url}/")
        page.goto(f"{locked.url}/runs")

        assert page.locator("h1").text_content() == "Ejecuciones"
    locked.stop()
    assert watched.complaints == []
