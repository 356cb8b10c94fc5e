"""Draw the pictures of README and site from the runs that come with trajlab: ``make figures``.

Of the page it takes the head, the verdict's first task and the figure of the gap, in Chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import trajlab
from trajlab.analysis import diagnose, gap
from trajlab.report.page import render

HERE = Path(__file__).parent
HIDDEN = """
section:not(#overview, #verdict, #gap), .task ~ .task, details, .static, #gap .scroll, footer
{ display: none !important; }
"""


def main() -> None:
    """Write both pictures beside this file."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    runs = trajlab.datasets.load("digits-two-tasks")
    axes = trajlab.plots.gap(gap(runs))
    axes.figure.savefig(HERE / "digits-two-tasks-gap.png", dpi=150, bbox_inches="tight")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(render(diagnose(runs), runs))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1080, "height": 900})
        page.goto(file.as_uri())
        page.add_style_tag(content=HIDDEN)
        chart = page.locator("#gap .chart").first
        chart.scroll_into_view_if_needed()
        chart.locator("svg.marks").wait_for()
        box = chart.bounding_box()
        assert box is not None
        size = {"width": 1080, "height": box["y"] + box["height"] + page.evaluate("scrollY")}
        page.screenshot(path=HERE / "page.png", full_page=True, clip={"x": 0, "y": 0, **size})
    Image.open(HERE / "page.png").quantize(128).save(HERE / "page.png", optimize=True)


if __name__ == "__main__":
    main()
