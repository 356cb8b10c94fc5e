"""The self-contained page of a diagnosis: nothing is loaded from elsewhere."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pandas as pd
from markupsafe import Markup

from trajlab.analysis import Diagnosis, Result
from trajlab.analysis.interface.tables import group_columns
from trajlab.report import downloads
from trajlab.report.catalog import ANALYSES
from trajlab.report.charts import CHARTS, embed
from trajlab.report.charts.base import Panel
from trajlab.report.charts.curves import curves
from trajlab.report.figures import draw, palette, svg
from trajlab.report.inventory import inventory
from trajlab.report.overview import forests
from trajlab.report.readable import Readable, readable, text
from trajlab.report.sentences import left_out, sentences
from trajlab.report.tables import brief, main_table, measured
from trajlab.report.templates import filled
from trajlab.store import Runs

log = logging.getLogger(__name__)

PAGE_ROWS = 200  # rows of a table on the page

_ORIGIN = ("imported_from", "versions", "platform", "device", "git_commit")
_COMPUTES = ("trajlab", "numpy", "scipy", "pandas", "statsmodels")


def render(diagnosis: Diagnosis, runs: Runs, title: str = "", command: str = "") -> str:
    """Write a diagnosis as one HTML file.

    Parameters
    ----------
    diagnosis
        What :func:`trajlab.analysis.diagnose` returned.
    runs
        The runs it is about.
    title
        Title of the page; by default it names what the runs are of.
    command
        The command that made the page, which it tells; empty where none did.

    Returns
    -------
    str
        The page: verdict, figures, tables, settings, runs and versions.
    """
    listed = inventory(runs)
    keys = diagnosis.options.keys[1:]
    places = palette(runs, diagnosis.settings["group_by"])
    scripts = embed.scripts("page.js")
    return filled(
        "page.html",
        title=title or _title(diagnosis, runs),
        command=command,
        matched=diagnosis.options.axis,
        forests=forests(diagnosis),
        verdict=sentences(diagnosis),
        curves=_interactive(lambda: curves(runs, keys, places)),
        parts=[_part(n, diagnosis.results[n], places) for n in ANALYSES if n in diagnosis.results],
        left_out=left_out(diagnosis),
        settings=diagnosis.settings,
        runs=readable(listed["runs"]),
        skipped=readable(listed["skipped"]) if "skipped" in listed else None,
        download=downloads.link("verdict", diagnosis.verdict),
        number=len(runs),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        recorded=_origins(runs),
        computed={name: version(name) for name in _COMPUTES},
        scripts=scripts,
        policy=embed.policy(scripts),
    )


def without_verdict(sentence: str, runs: Runs, group_by: Sequence[str]) -> str:
    """Return the sections of runs of which nothing can be said yet: why, and their curves."""
    keys = group_columns(group_by)[1:]
    figures = _interactive(lambda: curves(runs, keys, palette(runs, group_by)))
    return filled("told.html", sentence=sentence, curves=figures)


def _title(diagnosis: Diagnosis, runs: Runs) -> str:
    """Name the page after what the runs are of, and what is done with them."""
    settings = dict.fromkeys(str(run.metadata.get("setting") or "") for run in runs)
    done = "the ways of training compared" if "gap" in diagnosis.results else "what the runs show"
    about = ", ".join(filter(None, settings))
    return f"{about}: {done}" if about else done[0].upper() + done[1:]


def _part(name: str, result: Result, places: Mapping[str, int]) -> dict[str, Any]:
    tables, entry = result.tables(), ANALYSES[name]
    main = main_table(tables, entry.shown)
    shown, reasons = measured(main)
    return {
        "name": name,
        "help": entry.help,
        "reading": entry.reading,
        "figure": _figure(name, result, places),
        "charts": _interactive(lambda: CHARTS[name](result, places)) if name in CHARTS else [],
        "main": readable(brief(shown, entry.details)) if len(shown) else None,
        "reasons": reasons,
        "others": {
            other: _table(table)
            for other, table in tables.items()
            if table is not main and len(table)
        },
        "downloads": {
            each: downloads.link(f"{name}-{each}", table)
            for each, table in tables.items()
            if len(table)
        },
    }


def _table(table: pd.DataFrame) -> Readable | int:
    """Return a table to be shown, or of a long one the number of its rows."""
    return readable(table) if len(table) <= PAGE_ROWS else len(table)


def _interactive(chart: Callable[[], list[Panel]]) -> list[Panel] | str:
    """Make the interactive figures, or say why there are none: a fault must not cost the page."""
    try:
        return chart()
    except Exception as error:
        log.warning("an interactive figure could not be made", exc_info=True)
        return f"The interactive figure could not be made: {type(error).__name__}: {error}"


def _figure(name: str, result: Result, places: Mapping[str, int]) -> Markup | str:
    """Draw the figure, or say why there is none: a fault of one must not cost the page."""
    try:
        return Markup(svg(draw(name, result, places), prefix=name))
    except Exception as error:
        return f"This figure could not be drawn: {type(error).__name__}: {error}"


def _origins(runs: Runs) -> dict[str, str]:
    """Gather where the runs came from, every different answer once."""
    answers = {name: [run.provenance.get(name) for run in runs] for name in _ORIGIN}
    said = {name: dict.fromkeys(text(a) for a in given if a) for name, given in answers.items()}
    return {name: "; ".join(different) for name, different in said.items() if different}
