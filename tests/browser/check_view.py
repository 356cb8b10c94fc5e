"""The view in a real browser: it grows as a run records, and a stranger sees nothing."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.many import record_many

TRAINER = """
import sys, time
import numpy as np
from trajlab.store import Column, Table, Writer

writer = Writer(sys.argv[1], ["task-00"], metadata={"method": "new"}, provenance={})
loss = Table("evaluations/train", (Column("loss", ("step", "task")),), {"task": ["task-00"]})
writer.declare(loss)
for step in range(1, 1000):
    writer.append("evaluations/train", {"step": step, "loss": np.array([1 / step])})
    writer.flush()
    time.sleep(0.5)
"""
PATIENCE = 60_000  # ms that a look may take on a busy machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record_many(tmp_path, tasks=5, methods=("uniform",), seeds=2)
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "trajlab", "view", str(folder), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server.stdout.readline().strip()
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0


def row(page: Page, name: str) -> str:
    return page.locator("#progress tr", has_text=name).inner_text(timeout=PATIENCE)


def test_a_run_grows_without_reloading_and_its_end_changes_one_row(
    browser: Browser, folder: Path, address: str
) -> None:
    page = browser.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    page.evaluate("window.untouched = true")
    page.locator("#curves .chart").scroll_into_view_if_needed(timeout=PATIENCE)
    page.locator("#curves svg.marks").wait_for(timeout=PATIENCE)
    with subprocess.Popen([sys.executable, "-c", TRAINER, str(folder / "new.h5")]) as trainer:
        first = row(page, "new.h5")
        assert "recording" in first
        expect(page.locator("#progress tr", has_text="new.h5")).not_to_have_text(
            re.compile(re.escape(first)), timeout=PATIENCE
        )
        others = [text for text in _rows(page) if "new.h5" not in text]
        trainer.kill()
    (folder / "uniform-0.h5").write_bytes(b"damaged")
    page.get_by_text("Cannot be read").first.wait_for(timeout=PATIENCE)
    left = [text for text in _rows(page) if "new.h5" not in text]
    assert left == [text for text in others if "uniform-0.h5" not in text]
    assert page.evaluate("window.untouched")


def test_a_second_browser_without_the_token_sees_nothing(browser: Browser, address: str) -> None:
    page = browser.new_page()
    answer = page.goto(address.split("?")[0])
    assert answer.status == 403
    assert "holds the token" in page.content()


def _rows(page: Page) -> list[str]:
    return page.locator("#progress tbody tr").all_inner_texts()
