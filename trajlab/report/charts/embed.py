"""The scripts of a page: the charting library, our own few lines, and what may run at all."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from trajlab.report.charts.base import Panel

_LIBRARY = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


@cache
def scripts(*names: str) -> tuple[str, ...]:
    """Return the texts of the scripts that a page runs, in order: the library, and our own.

    Parameters
    ----------
    *own
        Names of files in the folder ``scripts``.
    """
    folder = files("trajlab.report")
    library = [(folder / "vega" / name).read_text("utf-8") for name in _LIBRARY]
    return (*library, *((folder / "scripts" / name).read_text("utf-8") for name in names))


def policy(allowed: Sequence[str], connect: str = "'none'") -> str:
    """Return a Content-Security-Policy: these scripts, the page's own styles, and nothing else.

    Nothing is loaded from anywhere; text that a run brings along cannot run, even if it should
    escape from its element.

    Parameters
    ----------
    allowed
        Texts of the scripts.
    connect
        Where they may ask for data.
    """
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in allowed)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def data(panel: Panel) -> Markup:
    """Return a panel's specification as JSON that can stand inside an element."""
    written = json.dumps(panel.spec, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(written.replace("<", "\\u003c"))


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
