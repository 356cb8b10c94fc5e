"""What a notebook shows of a result: its table and figure at once, interactive ones on request."""

from typing import Any, get_type_hints

from markupsafe import Markup

from trajlab.analysis import Diagnosis, Result
from trajlab.analysis.diagnosis.families import FAMILIES
from trajlab.errors import TrajlabError
from trajlab.report.catalog import ANALYSES
from trajlab.report.charts import CHARTS
from trajlab.report.figures import draw, svg
from trajlab.report.overview import forests
from trajlab.report.readable import readable
from trajlab.report.sentences import sentences
from trajlab.report.tables import brief, main_table, measured
from trajlab.report.templates import templates

WIDTH = 560  # of an interactive figure, in px: a notebook's cell does not tell its own


def html(result: Result) -> str:
    """Return a result as HTML: overview and verdict of a diagnosis, else table and figure.

    Parameters
    ----------
    result
        What an analysis returned.
    """
    parts: Any = templates().get_template("parts.html").module
    style = templates().get_template("notebook.css").render()
    if isinstance(result, Diagnosis):
        shown = [parts.overview(forests(result)), parts.sentences(sentences(result))]
    else:
        name = name_of(result)
        entry = ANALYSES[name]
        table, reasons = measured(main_table(result.tables(), entry.shown))
        figure = svg(draw(name, result), prefix=f"{name}-{id(result)}")
        shown = [Markup(f'<div class="static">{figure}</div>')]
        shown += [parts.show(readable(brief(table, entry.details)))] if len(table) else []
        shown += [
            Markup('<p class="note">{} without a number: {}.</p>').format(number, reason)
            for reason, number in reasons.items()
        ]
    body = Markup("\n").join(shown)
    return f'<div class="trajlab"><style>{style}</style>{body}</div>'


def show(result: Result) -> None:
    """Display the interactive figures of a result in a notebook.

    Parameters
    ----------
    result
        What an analysis returned; of a diagnosis, the figures of all its results.

    Raises
    ------
    TrajlabError
        Outside a notebook.
    """
    try:
        from IPython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        raise TrajlabError(_ELSEWHERE) from None
    if get_ipython() is None:
        raise TrajlabError(_ELSEWHERE)
    results = result.results if isinstance(result, Diagnosis) else {name_of(result): result}
    publish_display_data({"text/html": html(result), "text/plain": repr(result)})
    for name, each in results.items():
        for panel in CHARTS[name](each, {}) if name in CHARTS else []:
            spec = panel.spec | {"width": WIDTH, "title": panel.title}
            drawn = {"application/vnd.vegalite.v5+json": spec}
            publish_display_data(drawn | {"text/plain": spec["description"]})


def name_of(result: Result) -> str:
    """Return the name of the analysis that gives results of this type."""
    kinds = {get_type_hints(family.analyse)["return"]: name for name, family in FAMILIES.items()}
    return kinds[type(result)]


_ELSEWHERE = (
    "show() draws in a notebook; elsewhere draw a figure with trajlab.plots, or write a page with "
    "`trajlab diagnose`."
)
