"""The site in a real browser: it fits the window, its search finds, and its links lead somewhere.

Run by ``make site-check``. Pictures are left in the folder of ``TRAJLAB_PICTURES``.
"""

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag

import pytest
from lxml import html
from playwright.sync_api import Browser, Page

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PICTURES = Path(os.environ.get("TRAJLAB_PICTURES", "runs/pictures"))
PAGES = ["index", "tutorial", "recording", "built/index", "notebooks/gap", "api/trajlab.Recorder"]
WORDS = ["conflict", "onset", "fisher", "how many seeds", "wandb"]

# of each table: columns, left edge of the first and, when scrolled, right edge of the last, and if
# it is wider than what it stands in; those that a notebook's cell gave are as wide as they are
TABLES = """() => [...document.querySelectorAll('article table')].map(table => {
    const of = table.rows[0].cells, left = of[0].getBoundingClientRect().left
    const given = table.closest('.cell_output')
    const wide = !given && table.offsetWidth > table.parentElement.clientWidth
    table.closest('.cell_output, .table-wrapper')?.scrollTo(1e6, 0)
    return [of.length, left, of[of.length - 1].getBoundingClientRect().right, wide]
})"""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The site as a server gives it: results of a search are read from their pages."""
    handler = partial(SimpleHTTPRequestHandler, directory=SITE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(browser: Browser, page: str, width: int) -> Page:
    """Open a page of the site, and fail on what it asks of the network."""
    file = (SITE / f"{page}.html").as_uri()
    tab = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    tab.on("request", lambda asked: asked.url.startswith("file:") or pytest.fail(asked.url))
    tab.on("pageerror", lambda error: pytest.fail(str(error)))
    tab.goto(file)
    return tab


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("page", PAGES)
def test_page_fits_the_window(browser: Browser, page: str, width: int) -> None:
    tab = opened(browser, page, width)
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = f"site-{page.replace('/', '-')}-{width}.png"
    tab.screenshot(path=PICTURES / name, full_page=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_tables_fit_a_phone_or_scroll_by_themselves(browser: Browser) -> None:
    """One of up to four columns is in sight whole; of a wider one the last column is reached."""
    tab = browser.new_context(viewport={"width": 400, "height": 900}).new_page()
    faults, seen = [], 0
    for file in sorted(SITE.rglob("*.html")):
        tab.goto(file.as_uri())
        for columns, left, right, wide in tab.evaluate(TABLES):
            seen += 1
            if left < 0 or right > 400 or (wide and columns <= 4):
                faults.append(f"{file.relative_to(SITE)}: {columns} columns, {left} to {right}")
    assert seen > 50
    assert faults == []


@pytest.mark.parametrize("word", WORDS)
def test_search_finds(browser: Browser, served: str, word: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{served}/index.html")
    tab.get_by_placeholder("Search").first.fill(word)
    tab.keyboard.press("Enter")
    tab.locator("#search-results li p").first.wait_for()
    tab.screenshot(path=PICTURES / f"site-search-{word.replace(' ', '-')}.png")


def test_every_notebook_shows_its_figures() -> None:
    for file in (SITE / "notebooks").glob("*.html"):
        root = html.parse(file).getroot()
        typed = root.xpath("//div[contains(@class, 'cell_input')]")
        drawn = sum(cell.text_content().count("trajlab.plots.") for cell in typed)
        assert len(root.xpath("//div[contains(@class, 'cell_output')]//img")) >= drawn, file.name


def test_every_link_within_the_site_leads_somewhere() -> None:
    files = {file.resolve(): html.parse(file).getroot() for file in SITE.rglob("*.html")}
    assert len(files) > 50
    anchors = {file: set(root.xpath("//@id")) for file, root in files.items()}
    broken = []
    for file, root in files.items():
        for link in root.xpath("//a/@href | //img/@src | //link/@href | //script/@src"):
            target, anchor = urldefrag(link.partition("?")[0] if "#" not in link else link)
            if ":" in target:
                continue
            led = (file.parent / unquote(target)).resolve() if target else file
            if not led.exists() or (anchor and anchor not in anchors.get(led, {anchor})):
                broken.append(f"{file.relative_to(SITE)}: {link}")
    assert broken == []
