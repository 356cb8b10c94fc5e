"""The rows that one comparison gives in the tables of :func:`trajlab.analysis.gap`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Self

import numpy as np
import pandas as pd

from trajlab.analysis.decomposition import TERMS, decompose
from trajlab.analysis.evaluations import Evaluations, read
from trajlab.analysis.groups import Comparison, Group
from trajlab.analysis.intervals import Difference
from trajlab.analysis.matching import POINTS_PER_DECADE, GapCurve, StepGap, gap_curve, step_gap
from trajlab.analysis.onset import ONSETS, persistence

_HOLE = "neighbouring evaluations more than half a decade apart"
_TERM_COLUMNS = (f"{term}{end}" for term in TERMS for end in ("", "_low", "_high", "_p"))
_NUMBERS = (
    *("overlap_low", "overlap_high", "onset_loss", "onset_step_baseline", "onset_step", "sign"),
    *("persistence", *_TERM_COLUMNS, "delta_se", "delta_df", "common_loss", "common_loss_low"),
    *("matched_first_passage", "matched_last_passage", "last_common_step"),
    *("at_equal_steps", "at_equal_steps_low", "at_equal_steps_high"),
)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the runs it uses, and how much was left out."""

    runs: tuple[Evaluations, ...]
    n_incomplete: int = 0
    n_diverged: int = 0
    n_excluded: int = 0
    pair_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, group: Group | None, task: str, metric: str, settings: Mapping[str, Any]) -> Self:
        """Read a group's runs of `task`."""
        if group is None:
            return cls(())
        splits = settings["split"], settings["selection_split"]
        members = group.with_task(task)
        runs = [read(run, task, metric, *splits) for run in members]
        used = [run.step.size > 0 and not run.diverged for run in runs]
        return cls(
            tuple(compress(runs, used)),
            len(group.incomplete),
            sum(run.diverged for run in runs),
            sum(run.excluded for run in runs),
            tuple(str(run.metadata.get("pair_id", "")) for run in compress(members, used)),
        )

    def paired_with(self, other: Self) -> bool:
        """Tell whether every run has exactly one partner on the other side."""
        own, others = set(self.pair_ids), set(other.pair_ids)
        sizes = {len(own), len(self.runs), len(other.runs)}
        return own == others and "" not in own and len(sizes) == 1 and len(own) > 1

    def by_pair(self) -> tuple[Evaluations, ...]:
        """Return the runs in the order of their `pair_id`."""
        order = sorted(range(len(self.runs)), key=lambda i: self.pair_ids[i])
        return tuple(self.runs[i] for i in order)

    def counts(self, suffix: str = "") -> dict[str, int]:
        """Return what was left out, as columns."""
        names = ("n_incomplete", "n_diverged", "n_excluded")
        return {name + suffix: getattr(self, name) for name in names}


def compare(
    comparison: Comparison, metric: str, settings: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the rows of `curve` and `steps` and the row of `summary` for one comparison."""
    runs = Side.of(comparison.group, comparison.task, metric, settings)
    baseline = Side.of(comparison.baseline, comparison.task, metric, settings)
    head = {
        **comparison.row,
        "n_baseline": len(baseline.runs),
        "n_runs": len(runs.runs),
        "metric": metric,
        "split": settings["split"],
    }
    row = {
        **head,
        "rule": settings["rule"],
        "interval": settings["interval"],
        "onset_rule": settings["onset"],
        **dict.fromkeys(_NUMBERS, np.nan),
        "selection_split": "none",
        "pairs": False,
        "scope": f"conditional on this {settings['split']} set",
        **runs.counts(),
        **baseline.counts("_baseline"),
        "reason": _missing(comparison, runs, baseline),
    }
    matched = stepwise = None
    if not row["reason"]:
        pairs = runs.paired_with(baseline)
        sides = (runs.by_pair(), baseline.by_pair()) if pairs else (runs.runs, baseline.runs)
        options = settings["interval"], settings["confidence"]
        drawn: dict[str, Any] = {"pairs": pairs, "seed": settings["seed"]}
        matched = gap_curve(*sides, settings["rule"], *options, **drawn)
        stepwise = step_gap(*sides, *options, **drawn)
        row["pairs"] = pairs
        row |= _onset_columns(matched, settings["onset"], *sides)
        row |= _term_columns(*sides, settings, pairs=pairs)
        row |= _last_step(stepwise)
        row["reason"] = "; ".join(filter(None, [_caveats(row, matched), _cadence(*sides)]))
    curve = pd.DataFrame({**head, **_curve_columns(matched)})
    return curve, pd.DataFrame({**head, **_step_columns(stepwise)}), row


def _step_columns(stepwise: StepGap | None) -> dict[str, Any]:
    if stepwise is None:
        return dict.fromkeys(("step", "gap", "low", "high", "significant"), np.empty(0))
    gap = stepwise.gap
    return {
        "step": stepwise.step,
        "gap": gap.estimate,
        "low": gap.low,
        "high": gap.high,
        "significant": gap.significant,
    }


def _last_step(stepwise: StepGap) -> dict[str, float]:
    if not stepwise.step.size:
        return {}
    gap = stepwise.gap
    return {
        "last_common_step": float(stepwise.step[-1]),
        "at_equal_steps": float(gap.estimate[-1]),
        "at_equal_steps_low": float(gap.low[-1]),
        "at_equal_steps_high": float(gap.high[-1]),
    }


def _cadence(runs: Sequence[Evaluations], baseline: Sequence[Evaluations]) -> str:
    """Warn of sides that were evaluated at different distances."""
    every = [
        float(np.median(np.concatenate([np.diff(run.step) for run in side])))
        for side in (runs, baseline)
        if any(run.step.size > 1 for run in side)
    ]
    if len(set(every)) < 2:
        return ""
    return f"evaluated every {every[0]:g} steps against every {every[1]:g}"


def _curve_columns(matched: GapCurve | None) -> dict[str, Any]:
    if matched is None:
        empty = np.empty(0)
        missing = Difference(empty, empty, empty, empty, empty)
        matched = GapCurve(empty, missing, np.nan, np.nan, (empty, empty))
    return {
        "train_loss": 10**matched.log_loss,
        "gap": matched.gap.estimate,
        "low": matched.gap.low,
        "high": matched.gap.high,
        "significant": matched.gap.significant,
        "band_low": matched.band[0],
        "band_high": matched.band[1],
        "reason": np.where(np.isnan(matched.gap.estimate), _HOLE, ""),
    }


def _term_columns(
    runs: Sequence[Evaluations],
    baseline: Sequence[Evaluations],
    settings: Mapping[str, Any],
    *,
    pairs: bool,
) -> dict[str, Any]:
    parts = decompose(runs, baseline, settings["rule"], settings["confidence"], pairs=pairs)
    columns: dict[str, Any] = {
        "common_loss": parts.common_loss,
        "common_loss_low": parts.common_loss_low,
        "selection_split": settings["selection_split"] if parts.selected else "none",
        "matched_first_passage": parts.first,
        "matched_last_passage": parts.last,
    }
    found = parts.terms
    for i, term in enumerate(TERMS):
        columns[term], columns[f"{term}_p"] = found.estimate[i], found.p_value[i]
        columns[f"{term}_low"], columns[f"{term}_high"] = found.low[i], found.high[i]
    return {**columns, "delta_se": found.error[0], "delta_df": found.freedom[0]}


def _onset_columns(
    matched: GapCurve, rule: str, runs: Sequence[Evaluations], baseline: Sequence[Evaluations]
) -> dict[str, float]:
    if matched.low > matched.high:
        return {}
    columns = {"overlap_low": 10**matched.low, "overlap_high": 10**matched.high}
    gap, significant = matched.gap.estimate, matched.gap.significant
    start = ONSETS[rule](gap, significant)
    if start is None:
        return columns
    loss = float(10 ** matched.log_loss[start])
    return {
        **columns,
        "onset_loss": loss,
        "onset_step_baseline": float(np.median([run.step_at(loss) for run in baseline])),
        "onset_step": float(np.median([run.step_at(loss) for run in runs])),
        "sign": float(np.sign(gap[start])),
        "persistence": persistence(gap, significant, start),
    }


def _missing(comparison: Comparison, runs: Side, baseline: Side) -> str:
    """Say why nothing can be compared; empty if something can."""
    if comparison.baseline is None:
        setting = comparison.group.keys["setting"] or "this setting"
        return f"no baseline trains {comparison.task} in {setting}"
    for side, name in ((runs, comparison.group.label), (baseline, comparison.baseline.label)):
        if not side.runs:
            return (
                f"no usable run of {name}: {side.n_incomplete} incomplete, {side.n_diverged} "
                f"diverged, {side.n_excluded} evaluations without finite values"
            )
    return ""


def _caveats(row: Mapping[str, Any], matched: GapCurve) -> str:
    """Say why numbers of a row are missing, or what they stand on."""
    fewest = min(row["n_runs"], row["n_baseline"])
    told = {
        "one run on a side, so descriptive only: no interval": fewest < 2,
        "no common range of training loss": matched.low > matched.high,
        "the common range of training loss holds no point of the grid": (
            matched.low <= matched.high and not matched.log_loss.size
        ),
        "the common loss lies below a run's curve, whose last block is read there": (
            row["overlap_low"] > row["common_loss"] * 10 ** (1 / POINTS_PER_DECADE)
        ),
        _HOLE: matched.low <= matched.high
        and bool(np.isnan([row["matched"], *matched.gap.estimate]).any()),
        "no selection split with more than ten evaluations, so selection is 0 by definition": (
            row["selection_split"] == "none"
        ),
        f"checkpoints chosen on the {row['split']} split itself": (
            row["selection_split"] == row["split"]
        ),
    }
    return "; ".join(sentence for sentence, true in told.items() if true)
