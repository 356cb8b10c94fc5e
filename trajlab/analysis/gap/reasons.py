"""Why numbers of a comparison are missing, and what the others stand on: its column `reason`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.analysis.gap.matching import GapCurve
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.interface.options import ComparisonOptions
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.groups import Comparison
from trajlab.analysis.runs.recorded import is_quantity
from trajlab.analysis.runs.sides import LEFT_OUT, Side
from trajlab.analysis.runs.windows import distances

HOLE = "neighbouring evaluations more than half a decade apart"
PERCENT_APART = 20  # times that medians of percent and fractions differ at least


def missing(
    comparison: Comparison, metric: str, runs: Side, baseline: Side, options: ComparisonOptions
) -> str:
    """Say why nothing can be compared; empty if something can.

    Parameters
    ----------
    comparison, metric
        The comparison and the metric that were asked for.
    runs, baseline
        The two sides as they were read.
    options
        What is compared, and at what.
    """
    axis = options.axis
    if axis.is_loss and axis.loss == f"{options.split}/{metric}":
        return f"{axis.name} is the same on both sides where it is equal: compare at another loss"
    if comparison.baseline is None:
        setting = comparison.group.keys["setting"] or "this setting"
        return f"no baseline trains {comparison.task} in {setting}"
    for side, name in ((runs, comparison.group.label), (baseline, comparison.baseline.label)):
        if not side.runs and is_quantity(metric):
            return f"no complete run of {name} recorded {metric} and its {axis.name}"
        if not side.runs:
            text = (
                "no usable run of {}: {incomplete} incomplete, {diverged} diverged, {unevaluated} "
                "never evaluated, {excluded} evaluations without finite values"
            )
            return text.format(name, **{reason: side.left_out[reason] for reason in LEFT_OUT})
    if in_percent(runs, baseline):
        return (
            f"{metric} lies between 0 and 1 on one side and goes up to 100 on the other: percent "
            "against fractions; write both alike"
        )
    return ""


def in_percent(runs: Side, baseline: Side) -> bool:
    """Tell whether one side's scores seem to be fractions and the other's percent.

    Parameters
    ----------
    runs, baseline
        The two sides; scores that are negative, so of a metric of which less is better, are not
        judged.
    """
    scores = [np.concatenate([run.score.ravel() for run in side.runs]) for side in (runs, baseline)]
    low, high = sorted(scores, key=np.median)
    bounded = min(low.min(), high.min()) >= 0 and low.max() <= 1 and high.max() <= 100
    medians = float(np.median(low)), float(np.median(high))
    return bool(bounded and medians[0] > 0 and medians[1] > max(1, PERCENT_APART * medians[0]))


def left_out(runs: Side, baseline: Side, axis: Axis) -> str:
    """Count what is not in a comparison and was not asked to be left out, or was aligned.

    Parameters
    ----------
    runs, baseline
        The two sides.
    axis
        What they are compared at.
    """
    both = runs.left_out + baseline.left_out
    unevaluated, no_logarithm = both["unevaluated"], both["no_logarithm"]
    unplaced, between = both["unplaced"] - no_logarithm, both["between"]
    everywhere = sum(run.step.size for run in (*runs.runs, *baseline.runs))
    nowhere = any(not run.placed.step.size for run in (*runs.runs, *baseline.runs))
    told = {
        f"{unevaluated} runs left out that were never evaluated": unevaluated,
        f"{no_logarithm} of {everywhere} evaluations left out at equal {axis.name}: a loss at or "
        "below 0 has no logarithm (compare at equal steps, --x step)": no_logarithm,
        f"{unplaced} of {everywhere} evaluations left out at equal {axis.name}, which is not known "
        "at their steps": unplaced,
        f"a run has no evaluation with a known {axis.name}; evaluate both together": nowhere,
        f"{axis.name} of {between} evaluations read between the steps at which it was recorded": (
            between
        ),
    }
    return "; ".join(sentence for sentence, true in told.items() if true)


def caveats(row: Mapping[str, Any], matched: GapCurve) -> str:
    """Say why numbers of a row are missing, or what they stand on.

    Parameters
    ----------
    row
        The row so far.
    matched
        The curve at equal loss.
    """
    fewest = min(row["n_runs"], row["n_baseline"])
    told = {
        "one run on a side, so descriptive only: no interval": fewest < 2,
        f"no common range of {Axis.of(row).name}": matched.low > matched.high,
        HOLE: matched.low <= matched.high
        and bool(np.isnan([row["matched"], *matched.gap.estimate]).any()),
        "runs of a side do not differ, so no interval": fewest > 1
        and bool(np.isnan(row["delta_p"])),
        "no selection split with more evaluations than are chosen: selection is 0 by definition": (
            row["selection_split"] == "none" and not is_quantity(row["metric"])
        ),
        f"checkpoints chosen on the {row['split']} split itself": (
            row["selection_split"] == row["split"]
        ),
    }
    return "; ".join(sentence for sentence, true in told.items() if true)


def cadence(runs: Sequence[Evaluations], baseline: Sequence[Evaluations]) -> str:
    """Warn of sides that were evaluated at different distances.

    Parameters
    ----------
    runs, baseline
        The runs of each side.
    """
    own, other = distances(runs, baseline)
    if np.isnan([own, other]).any() or own == other:
        return ""
    return (
        f"evaluated every {own:g} steps against every {other:g}; for Δ both sides are read at the "
        "larger distance"
    )
