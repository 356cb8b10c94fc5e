"""The rows of correlations, from one row a unit."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from trajlab.analysis.correlate.association import STATISTICS, Association, associate
from trajlab.analysis.correlate.granulation import (
    conditional_information,
    granulated_kendall,
    sign_error,
)
from trajlab.analysis.correlate.options import CorrelateOptions
from trajlab.analysis.correlate.units import PLACE, common
from trajlab.analysis.statistics.multiplicity import ADJUSTMENTS
from trajlab.analysis.tables import Head


def correlate_points(points: pd.DataFrame, options: CorrelateOptions) -> pd.DataFrame:
    """Correlate points, one row a setting, task, metric, group and statistic.

    Parameters
    ----------
    points
        One row a unit, as :func:`trajlab.analysis.correlate.units.average` makes them.
    options
        Options of the analysis.
    """
    rows = []
    for (setting, task, metric, stratum), part in points.groupby(PLACE, sort=False):
        keys = {
            "setting": str(setting),
            "condition": common(part["condition"]),
            "method": common(part["method"]),
        }
        head = Head(keys=keys, task=str(task), n_runs=int(part["n_runs"].sum()))
        for statistic, association in _associations(part, options).items():
            numbers = asdict(association)
            reason = numbers.pop("reason")
            held = options.given or "" if statistic in STATISTICS else ", ".join(options.axes)
            first = {name: numbers[name] for name in ("estimate", "low", "high", "p_value")}
            last = {name: number for name, number in numbers.items() if name not in first}
            rows.append(
                head.row(
                    reason,
                    x=options.x,
                    y=options.y,
                    metric=metric,
                    group=stratum,
                    statistic=statistic,
                    given=held,
                    **first,
                    p_adjusted=np.nan,
                    **{name: last.pop(name) for name in ("n", "smallest_detectable", "smallest_p")},
                    **last,
                    n_excluded=int(part["n_excluded"].sum()),
                )
            )
    frame = pd.DataFrame(rows)
    for _, part in frame.groupby("statistic"):
        frame.loc[part.index, "p_adjusted"] = ADJUSTMENTS[options.adjustment](part["p_value"])
    return frame


def _associations(points: pd.DataFrame, options: CorrelateOptions) -> dict[str, Association]:
    """Return every statistic of the units that have all values; those of a grid where it is one."""
    values = ["x_value", "y_value", *(["given_value"] if options.given else [])]
    known = points.dropna(subset=values)
    x, y, *given = (known[name].to_numpy(float) for name in values)
    seed, size = options.seed, options.test_size
    associations = {
        name: associate(
            *(x, y, name, options.confidence, seed),
            given=given[0] if given else None,
            interval=options.interval,
            margin=options.margin,
        )
        for name in STATISTICS
    }
    if options.axes:
        grid = known[[f"axis {axis}" for axis in options.axes]]
        associations |= {
            "granulated_kendall": granulated_kendall(x, y, grid, seed),
            "sign_error": sign_error(x, y, grid, seed, test_size=size),
            "worst_sign_error": sign_error(x, y, grid, seed, test_size=size, worst=True),
            "conditional_information": conditional_information(x, y, grid, seed),
        }
    return associations
