"""How much a comparison depends on the choices it was made with: each changed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.gap.compared import Compared
from trajlab.analysis.gap.decomposition import Decomposition, decompose
from trajlab.analysis.gap.matching import POINTS_PER_DECADE, gap_curve
from trajlab.analysis.gap.onset import ONSETS
from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.sentence import FEWEST_RUNS, Row, Sentence, Statement
from trajlab.analysis.interface.tables import records
from trajlab.analysis.runs.curve import RULES
from trajlab.analysis.runs.evaluations import WINDOWS
from trajlab.analysis.runs.sides import Side
from trajlab.lazy import pd

_SHOWN = ("delta", "matched")


def sensitivity_frame(each: Compared, options: GapOptions) -> pd.DataFrame:
    """Return one row a choice: rule, common loss, grid, window, and each run left out.

    Parameters
    ----------
    each
        A comparison whose sides both have runs.
    options
        What the comparison was made with.

    Returns
    -------
    DataFrame
        `varied, value, common_loss, delta, matched` with their intervals, and `onset_loss` where
        the grid varies.
    """
    readings = pd.DataFrame(_rows(each.runs, each.baseline, options))
    return each.head.above(readings.assign(metric=each.metric, **options.axis.columns, reason=""))


def of_sensitivity(part: pd.DataFrame) -> Iterator[Sentence]:
    """Yield whether other choices agree with those that were made; nothing of too few runs.

    Parameters
    ----------
    part
        Rows of one comparison and metric in ``sensitivity`` of :func:`trajlab.analysis.gap`.
    """
    rows = records(part[part["varied"] != "grid"])
    few = min(rows[0]["n_runs"], rows[0]["n_baseline"]) < FEWEST_RUNS
    if few or np.isnan(rows[0]["delta_low"]):  # descriptive
        return
    names = {"delta": "Δ", "matched": f"the gap at equal {Axis.of(rows[0]).short}"}
    told = [_agreement(rows, name, what) for name, what in names.items()]
    text = (
        f"Read in {len(rows)} ways (by each rule, at another {Axis.of(rows[0]).short}, by each "
        f"window, and without each run): {'; '.join(text for text, _ in told if text)}. The "
        "intervals are single ones, not adjusted."
    )
    numbers = {key: value for _, values in told for key, value in values.items()}
    yield Sentence(rows[0], str(rows[0]["task"]), (text, {"n_ways": len(rows), **numbers}))


def _agreement(rows: Sequence[Row], name: str, what: str) -> Statement:
    """Say whether all ways to read a number have it above 0, below it, or not told from it.

    Ways that leave out a run have fewer of them, so that only the sign of their number counts.
    """
    known = [row for row in rows if np.isfinite(row[name])]
    if not known:
        return "", {}
    ends = min(known, key=lambda row: row[name]), max(known, key=lambda row: row[name])
    numbers = {f"{name}_least": ends[0][name], f"{name}_most": ends[1][name]}
    whole = [row for row in known if row["varied"] != "left out"]
    sure = [bool(row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0) for row in whole]
    numbers |= {f"{name}_sure": sum(sure), f"{name}_ways_with_all_runs": len(sure)}
    span = f"from {ends[0][name]:+.3g} ({_way(ends[0])}) to {ends[1][name]:+.3g} ({_way(ends[1])})"
    if not whole:
        return f"{what} has a value only without a run, {span}", numbers
    if not any(sure):
        return f"no interval over all runs excludes 0 for {what}, {span}", numbers
    if all(sure) and numbers[f"{name}_least"] * numbers[f"{name}_most"] > 0:
        side = "above" if numbers[f"{name}_least"] > 0 else "below"
        return f"they agree that {what} is {side} 0, {span}", numbers
    return (
        f"they do not agree on {what}, {span}; {sum(sure)} of {len(sure)} intervals over all runs "
        "exclude 0",
        numbers,
    )


def _way(row: Row) -> str:
    """Name what is changed."""
    return {
        "nothing": "as chosen",
        "rule": f"rule {row['value']}",
        "common loss": f"at {row['value']} what all share",
        "window": f"window {row['value']}",
        "left out": f"without {row['value']}",
    }[str(row["varied"])]


def _rows(runs: Side, baseline: Side, options: GapOptions) -> Iterator[dict[str, Any]]:
    sides, pairs = (runs.runs, baseline.runs), runs.paired_with(baseline)
    number = WINDOWS[options.window]
    fixed: dict[str, Any] = {"confidence": options.confidence, "pairs": pairs}
    made = decompose(*sides, options.rule, number=number, **fixed)
    axis = options.axis
    yield _row("nothing", "", made, axis)
    for rule in RULES:
        if rule != options.rule:
            yield _row("rule", rule, decompose(*sides, rule, number=number, **fixed), axis)
    higher = made.common.log_loss + 1
    parts = decompose(*sides, options.rule, number=number, log_loss=higher, **fixed)
    times = "10 times" if axis.is_loss else "a tenth"
    yield _row("common loss", times, parts, axis) | {"common_loss": float(axis.value(higher))}
    for window, other in WINDOWS.items():
        if window != options.window:
            yield _row(
                "window", window, decompose(*sides, options.rule, number=other, **fixed), axis
            )
    for density in (POINTS_PER_DECADE // 2, POINTS_PER_DECADE, 2 * POINTS_PER_DECADE):
        curve = gap_curve(
            *sides, options.rule, options.interval, seed=options.seed, density=density, **fixed
        )
        start = ONSETS[options.onset](curve.gap.estimate, curve.gap.significant)
        onset = np.nan if start is None else float(axis.value(curve.log_loss[start]))
        yield _row("grid", f"{density} points a decade", made, axis) | {"onset_loss": onset}
    for side, of in enumerate((runs, baseline)):
        for place, name in enumerate(of.names):
            left = [
                [run for i, run in enumerate(group) if (j, i) != (side, place)]
                for j, group in enumerate(sides)
            ]
            if all(left):
                rest = left[0], left[1], options.rule, options.confidence
                parts = decompose(*rest, number=number)
                yield _row("left out", name, parts, axis)


def _row(varied: str, value: str, found: Decomposition, axis: Axis) -> dict[str, Any]:
    row: dict[str, Any] = {"varied": varied, "value": value}
    row["common_loss"] = float(axis.value(found.common.log_loss))
    for i, name in enumerate(_SHOWN):
        ends = {"": found.terms.estimate, "_low": found.terms.low, "_high": found.terms.high}
        row |= {name + end: float(values[i]) for end, values in ends.items()}
    return row | {"onset_loss": np.nan}
