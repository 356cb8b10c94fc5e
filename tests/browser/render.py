"""Open a page in headless Chromium and fail unless it is drawn.

Not a part of ``make test``, because it needs a browser: ``make page-check``. The picture is left
beside the page, to be looked at.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (1100, 4000)
OFFLINE = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--hide-scrollbars",
]


def browse(browser: str, page: Path, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *OFFLINE, f"--user-data-dir={profile}", *options, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def faults(page: Path, browser: str) -> list[str]:
    """Say what is wrong with the page as the browser shows it."""
    picture = page.with_suffix(".png")
    picture.unlink(missing_ok=True)
    size = ",".join(map(str, SIZE))
    browse(browser, page, f"--window-size={size}", f"--screenshot={picture}")
    seen = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    tree = browse(browser, page, "--dump-dom")
    checks = {
        "the picture is nearly empty": (seen < 200).any(axis=1).mean() > 0.01,
        "no colour: the figures are missing": np.ptp(seen.astype(int), axis=1).max() > 60,
        "there is no verdict": '<div class="task">' in tree,
        "there is no figure": "<svg" in tree,
        "it refers to another place": not re.search(r'(src|href)="(?!#)', tree),
    }
    return [fault for fault, passed in checks.items() if not passed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="path of Chromium")
    given = parser.parse_args()
    if not given.browser:
        sys.exit("Chromium is missing: apt-get install chromium, or give --browser")
    found = faults(given.page.resolve(), given.browser)
    print(f"{given.page}: {'; '.join(found) or 'drawn'}; see {given.page.with_suffix('.png')}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
