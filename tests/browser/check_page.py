"""The page in a real browser: drawn, readable, accessible, and asking nobody for anything.

Not a part of ``make test``, because it needs Chromium: ``make page-check``. Pictures are left in
the folder of ``TRAJLAB_PICTURES``, to be looked at.
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.many import record_many
from trajlab.analysis import diagnose
from trajlab.report.page import render
from trajlab.store import load

PICTURES = Path(os.environ.get("TRAJLAB_PICTURES", "runs/pictures"))
LARGEST = 3_000_000  # bytes of the page of 20 tasks × 3 methods


@pytest.fixture(scope="module", params=["demo", "many"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "demo":
        return Path(os.environ.get("TRAJLAB_DEMO", "runs/quickstart")).resolve() / "report.html"
    folder = tmp_path_factory.mktemp("many")
    record_many(folder, tasks=20, methods=("uniform", "pcgrad", "famo"))
    runs = load(folder)
    page = folder / "many.html"
    page.write_text(render(diagnose(runs), runs))
    return page


def opened(browser: Browser, file: Path, width: int, scheme: str = "light") -> Page:
    """Open a page, look at all of it once, and fail on anything that its console complains of."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda said: said.type == "error" and pytest.fail(said.text))
    page.on("request", lambda asked: asked.url == file.as_uri() or pytest.fail(asked.url))
    page.on("dialog", lambda dialog: pytest.fail("a name ran as a script"))
    page.goto(file.as_uri())
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg.marks").wait_for()
    page.evaluate("scrollTo(0, 0)")
    return page


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_drawn_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    page = opened(browser, file, width, scheme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = PICTURES / f"{file.stem}-{width}-{scheme}.png"
    page.screenshot(path=picture, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart svg.marks").count() == page.locator(".chart").count() > 0
    assert not page.locator(".static").first.is_visible()


def test_hovering_shows_the_numbers_of_the_table(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1400)
    chart = page.locator("#gap .chart").first
    chart.scroll_into_view_if_needed()
    marks = chart.locator(".mark-symbol path")
    right = marks.evaluate_all("all => all.map((each) => each.getBoundingClientRect().left)")
    marks.nth(int(np.argmax(right))).hover(force=True)  # the end of a curve
    cells = page.locator("#vg-tooltip-element.visible td").all_inner_texts()
    told = dict(zip(cells[::2], cells[1::2], strict=True))
    assert {"series", "train loss", "gap", "low", "high"} == set(told)
    assert all(digits(told[name]) <= 3 for name in ("train loss", "gap", "low", "high"))
    with page.expect_download() as saved:
        page.locator("a[download='gap-summary.csv']").click()
    table = pd.read_csv(saved.value.path())
    ends = table[["common_loss", "matched", "matched_low", "matched_high"]]
    shown = [float(told[name]) for name in ("train loss", "gap", "low", "high")]
    assert np.isclose(ends, shown, rtol=6e-3, atol=0).all(axis=1).any(), (shown, ends)


def digits(number: str) -> int:
    """Count the significant digits of what is written with a point or an exponent."""
    mantissa = number.lstrip("-").partition("e")[0]
    return len(mantissa.replace(".", "").lstrip("0")) if "." in mantissa else 1


def test_unticking_hides_a_series(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1400)
    section = page.locator("#gap")
    marks = section.locator(".chart").first.locator(".mark-symbol path")
    before = marks.count()
    section.locator(".series input").first.uncheck()
    page.wait_for_timeout(300)
    assert 0 < marks.count() < before


def test_a_figure_that_fails_is_told_and_the_static_one_takes_its_place(
    browser: Browser, file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(file.read_text().replace('"field":"gap"', '"field":[]'))
    page = browser.new_page()
    page.goto(broken.as_uri())
    page.locator("#gap").scroll_into_view_if_needed()
    said = page.get_by_text("The interactive figure could not be drawn")
    said.first.wait_for()
    assert said.count() == 1
    assert page.locator("#gap .static").is_visible()
    assert not page.locator("#gap .chart").first.is_visible()


def test_every_link_leads_somewhere(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1400)
    for link in page.locator("a").all():
        address = link.get_attribute("href")
        assert address.startswith("data:") or page.locator(f'[id="{address[1:]}"]').count() == 1
    with page.expect_download() as saved:
        page.locator("a[download='gap-summary.csv']").click()
    assert saved.value.path().read_text().startswith("setting,")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_nothing_serious(
    browser: Browser, file: Path, scheme: str
) -> None:
    found = Axe().run(opened(browser, file, 1400, scheme)).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [(each["id"], each["nodes"][0]["html"][:200]) for each in serious]


def test_it_prints_on_a_few_pages(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 1400)
    printed = page.pdf(format="A4")
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{file.stem}.pdf").write_bytes(printed)
    if file.name == "report.html":
        assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) <= 6


def test_its_size_is_bounded(file: Path) -> None:
    assert np.isfinite(file.stat().st_size)
    assert file.stat().st_size < LARGEST
