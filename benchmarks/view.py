"""What ``trajlab view`` takes with 300 runs: until something is seen, per look, and in memory.

``python -m benchmarks.view`` prints one line; it needs Chromium and the extra ``browser``.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from tests.browser.many import record_many

METHODS = ("uniform", "pcgrad", "famo")
PATIENCE = 600_000  # ms


def measure(folder: Path) -> dict[str, float]:
    """Return seconds and MB of a server of the runs in a folder, and of what a browser sees."""
    command = [sys.executable, "-m", "trajlab", "view", str(folder), "--no-browser"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout
        address, process = server.stdout.readline().strip(), psutil.Process(server.pid)
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page, began = launched.new_page(), time.monotonic()
        page.goto(address)
        paint = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
        )
        page.locator("#progress").wait_for(timeout=PATIENCE)
        runs = time.monotonic() - began
        page.locator("#overview").wait_for(timeout=PATIENCE)
        verdict = time.monotonic() - began
        used = process.cpu_times()
        looks = [_look(page) for _ in range(5)]
        spent = process.cpu_times()
        memory = process.memory_info().rss / 1e6
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
        launched.close()
    return {
        "first paint, s": paint / 1000,
        "runs listed, s": runs,
        "verdict, s": verdict,
        "a look, s": sorted(looks)[2],
        "CPU of a look, s": (spent.user + spent.system - used.user - used.system) / len(looks),
        "memory of the server, MB": memory,
    }


def _look(page: Page) -> float:
    """Return the seconds that the server takes to tell what changed, where nothing did."""
    began = time.monotonic()
    page.evaluate("fetch('state?where=').then((answer) => answer.text())")
    return time.monotonic() - began


def main() -> None:
    """Record runs and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="five runs each")
    with tempfile.TemporaryDirectory() as folder:
        record_many(Path(folder), tasks=2, methods=METHODS, seeds=parser.parse_args().seeds)
        for name, value in measure(Path(folder)).items():
            print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()
