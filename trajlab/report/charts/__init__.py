"""Interactive figures: Vega-Lite specifications of results, and what draws them in a page."""

from collections.abc import Callable, Mapping

from trajlab.report.charts.base import Panel
from trajlab.report.charts.conflict import conflict
from trajlab.report.charts.factors import factors
from trajlab.report.charts.front import front
from trajlab.report.charts.gap import gap

# Each takes the result of its analysis and the place of each group's name in the palette.
CHARTS: Mapping[str, Callable[..., list[Panel]]] = {
    "gap": gap,
    "conflict": conflict,
    "factors": factors,
    "front": front,
}
