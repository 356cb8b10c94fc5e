"""The templates of pages and of what notebooks show."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trajlab.report.charts import embed
from trajlab.report.readable import text


@cache
def templates() -> Environment:
    """Return the environment of all of them: text stays text, and nothing may be missing."""
    environment = Environment(
        loader=PackageLoader("trajlab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["text"] = text
    environment.filters["data"] = embed.data
    return environment


def filled(name: str, **values: Any) -> str:
    """Fill in a template."""
    return templates().get_template(name).render(**values)
