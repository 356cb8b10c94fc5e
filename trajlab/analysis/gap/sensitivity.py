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
from trajlab.analysis.interface.sentence import FEWEST_RUNS, Sentence
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
    return each.head.above(readings.assign(metric=each.metric, reason=""))


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
    found = decompose(*sides, options.rule, number=number, log_loss=higher, **fixed)
    times = "10 times" if axis.is_loss else "a tenth"
    yield _row("common loss", times, found, axis) | {"common_loss": float(axis.value(higher))}
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
                found = decompose(*rest, number=number)
                yield _row("left out", name, found, axis)


def _row(varied: str, value: str, found: Decomposition, axis: Axis) -> dict[str, Any]:
    row: dict[str, Any] = {"varied": varied, "value": value}
    row["common_loss"] = float(axis.value(found.common.log_loss))
    for i, name in enumerate(_SHOWN):
        ends = {"": found.terms.estimate, "_low": found.terms.low, "_high": found.terms.high}
        row |= {name + end: float(values[i]) for end, values in ends.items()}
    return row | {"onset_loss": np.nan}


def of_sensitivity(table: pd.DataFrame, keys: Sequence[str]) -> Iterator[Sentence]:
    """Yield whether other choices agree with those that were made.

    Parameters
    ----------
    table
        ``sensitivity`` of :func:`trajlab.analysis.gap`.
    keys
        Columns that name a group.
    """
    if table.empty:
        return
    for _, part in table.groupby([*keys, "task", "metric"], sort=False):
        rows = records(part[part["varied"] != "grid"])
        if min(rows[0]["n_runs"], rows[0]["n_baseline"]) < FEWEST_RUNS:
            continue
        text, numbers = [], {"n_choices": len(rows)}
        for name, what in (("delta", "Δ"), ("matched", "the gap at equal loss")):
            known = [row for row in rows if np.isfinite(row[name])]
            if not known:
                continue
            least, most = min(row[name] for row in known), max(row[name] for row in known)
            whole = [row for row in known if row["varied"] != "left out"]
            sure = [row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0 for row in whole]
            agree = "agree" if least * most > 0 and len(set(sure)) == 1 else "do not agree"
            excluding = f"{sum(sure)} of {len(sure)} intervals over all runs exclude 0"
            text.append(f"{what} from {least:+.3g} to {most:+.3g}, {excluding}: they {agree}")
            numbers |= {f"{name}_least": least, f"{name}_most": most}
        sentence = f"Over {len(rows)} choices of rule, loss, window and runs: {'; '.join(text)}."
        yield Sentence(rows[0], str(rows[0]["task"]), (sentence, numbers))
