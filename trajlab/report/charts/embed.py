"""The scripts of a page: the charting library, our own few lines, and what may run at all."""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from trajlab.report.charts.base import Panel

_LIBRARY = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


@cache
def scripts() -> tuple[str, ...]:
    """Return the texts of the scripts that a page with interactive figures runs, in order."""
    library = files("trajlab.report") / "vega"
    texts = [(library / name).read_text("utf-8") for name in _LIBRARY]
    own = (files("trajlab.report.charts") / "page.js").read_text("utf-8")
    return (*texts, own)


def policy() -> str:
    """Return the page's Content-Security-Policy: these scripts, its own styles, and nothing else.

    Nothing is loaded from anywhere; text that a run brings along cannot run, even if it should
    escape from its element.
    """
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in scripts())
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data(panel: Panel) -> Markup:
    """Return a panel's specification as JSON that can stand inside an element."""
    written = json.dumps(panel.spec, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(written.replace("<", "\\u003c"))


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
