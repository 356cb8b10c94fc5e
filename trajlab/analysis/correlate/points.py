"""The rows of correlations, from one row a unit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from trajlab.analysis.correlate.association import Association, associate
from trajlab.analysis.correlate.coupled import environments, sign_error
from trajlab.analysis.correlate.granulation import granulated_kendall
from trajlab.analysis.correlate.information import conditional_information, conditioning_sets
from trajlab.analysis.correlate.options import CorrelateOptions
from trajlab.analysis.correlate.scores import STATISTICS
from trajlab.analysis.correlate.units import PLACE, VALUES, common
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.statistics.multiplicity import ADJUSTMENTS
from trajlab.lazy import pd

INFORMATION = "conditional_information"


def correlate_points(
    points: pd.DataFrame, singly: pd.DataFrame, options: CorrelateOptions
) -> pd.DataFrame:
    """Correlate points, one row a setting, task, metric, group and statistic.

    Parameters
    ----------
    points
        One row a unit, as :func:`trajlab.analysis.correlate.units.average` makes them.
    singly
        The same, one row a run: what the sign error takes.
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
        one_by_one = part_of(singly, setting, task, metric, stratum)
        for (statistic, held), association in _associations(part, one_by_one, options).items():
            numbers = asdict(association)
            reason = numbers.pop("reason")
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


def part_of(frame: pd.DataFrame, *place: Any) -> pd.DataFrame:
    """Return the rows of a setting, task and group that have all values.

    Parameters
    ----------
    frame
        As :func:`trajlab.analysis.correlate.units.average` makes it.
    place
        Values of `PLACE`.
    """
    in_place = (frame[PLACE] == list(place)).all(axis=1)
    return frame[in_place & frame[[name for name in VALUES if name in frame]].notna().all(axis=1)]


def environment_frame(singly: pd.DataFrame, options: CorrelateOptions) -> pd.DataFrame:
    """Return the sign error of every environment, one row each.

    Parameters
    ----------
    singly
        One row a run.
    options
        Options of the analysis, with `axes`.
    """
    made = []
    for place, part in singly.groupby(PLACE, sort=False):
        known = part_of(part, *place)
        keys = {name: common(part[name]) for name in ("setting", "condition", "method")}
        head = Head(keys=keys, task=str(part["task"].iloc[0]), n_runs=len(known))
        x, y = (known[name].to_numpy(float) for name in VALUES[:2])
        pairs = environments(x, y, _grid(known, options), test_size=options.test_size)
        made.append(head.above(pairs.assign(metric=str(place[2]), group=str(place[3]))))
    return pd.concat(made, ignore_index=True)


def _grid(part: pd.DataFrame, options: CorrelateOptions) -> pd.DataFrame:
    """Return the hyper-parameters by their own names."""
    return part[[f"axis {axis}" for axis in options.axes]].set_axis(list(options.axes), axis=1)


def _associations(
    points: pd.DataFrame, singly: pd.DataFrame, options: CorrelateOptions
) -> dict[tuple[str, str], Association]:
    """Return every statistic and what it holds fixed, of the units that have all values."""
    values = [name for name in VALUES if name in points]
    known = points.dropna(subset=values)
    x, y = (known[name].to_numpy(float) for name in VALUES[:2])
    given = known["given_value"].to_numpy() if options.given else None
    seed, size = options.seed, options.test_size
    associations = {
        (name, options.given or ""): associate(
            *(x, y, name, options.confidence, seed),
            given=given,
            interval=options.interval,
            margin=options.margin,
        )
        for name in STATISTICS
    }
    if not options.axes:
        return associations
    grid, every = _grid(known, options), ", ".join(options.axes)
    one = singly["x_value"].to_numpy(float), singly["y_value"].to_numpy(float)
    runs = *one, _grid(singly, options), seed
    associations |= {
        ("granulated_kendall", every): granulated_kendall(x, y, grid, seed),
        ("sign_error", every): sign_error(*runs, test_size=size),
        ("worst_sign_error", every): sign_error(*runs, test_size=size, worst=True),
        (INFORMATION, every): conditional_information(x, y, grid, seed),
    }
    return associations | {
        (f"{INFORMATION}_given", ", ".join(held)): conditional_information(
            x, y, grid, seed, given=held
        )
        for held in conditioning_sets(grid)
    }
