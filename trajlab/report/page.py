"""The self-contained page of a diagnosis: no script, and nothing loaded from elsewhere."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trajlab.analysis import Diagnosis, Result
from trajlab.report.catalog import ANALYSES
from trajlab.report.figures import draw, svg
from trajlab.report.inventory import inventory
from trajlab.report.readable import readable, text
from trajlab.report.sentences import left_out, sentences
from trajlab.report.tables import brief, main_table
from trajlab.store import Runs

PAGE_ROWS = 200  # rows of a table on the page

_ORIGIN = ("imported_from", "versions", "platform", "device", "git_commit")
_COMPUTES = ("trajlab", "numpy", "scipy", "pandas", "statsmodels")


def render(diagnosis: Diagnosis, runs: Runs) -> str:
    """Write a diagnosis as one HTML file.

    Parameters
    ----------
    diagnosis
        What :func:`trajlab.analysis.diagnose` returned.
    runs
        The runs it is about.

    Returns
    -------
    str
        The page: verdict, figures, tables, settings, runs and versions.
    """
    environment = Environment(
        loader=PackageLoader("trajlab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["text"] = text
    listed = inventory(runs)
    return environment.get_template("page.html").render(
        verdict=sentences(diagnosis),
        parts=[_part(n, diagnosis.results[n]) for n in ANALYSES if n in diagnosis.results],
        left_out=left_out(diagnosis),
        settings=diagnosis.settings,
        runs=readable(listed["runs"]),
        skipped=readable(listed["skipped"]) if "skipped" in listed else None,
        number=len(runs),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        recorded=_origins(runs),
        computed={name: version(name) for name in _COMPUTES},
    )


def _part(name: str, result: Result) -> dict[str, Any]:
    tables, entry = result.tables(), ANALYSES[name]
    main = main_table(tables, entry.shown)
    return {
        "name": name,
        "help": entry.help,
        "reading": entry.reading,
        "figure": _figure(name, result),
        "main": readable(brief(main, entry.details)),
        "others": {
            other: readable(table) if len(table) <= PAGE_ROWS else len(table)
            for other, table in tables.items()
            if table is not main and len(table)
        },
    }


def _figure(name: str, result: Result) -> Markup | str:
    """Draw the figure, or say why there is none: a fault of one must not cost the page."""
    try:
        return Markup(svg(draw(name, result), prefix=name))
    except Exception as error:
        return f"This figure could not be drawn: {type(error).__name__}: {error}"


def _origins(runs: Runs) -> dict[str, str]:
    """Gather where the runs came from, every different answer once."""
    answers = {name: [run.provenance.get(name) for run in runs] for name in _ORIGIN}
    said = {name: dict.fromkeys(text(a) for a in given if a) for name, given in answers.items()}
    return {name: "; ".join(different) for name, different in said.items() if different}
