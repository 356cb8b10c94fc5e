"""Every analysis that applies to the given runs, and the verdict on each task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from trajlab.analysis.conflict import conflict
from trajlab.analysis.correlation import correlate
from trajlab.analysis.evaluations import evaluated
from trajlab.analysis.gap import gap
from trajlab.analysis.groups import BASELINE, Group, group
from trajlab.analysis.result import Result
from trajlab.analysis.verdict import verdict
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Result):
    """What :func:`diagnose` returns.

    Attributes
    ----------
    verdict
        One row a sentence: `task, sentence, numbers`.
    results
        The result of each analysis that applies, by name.
    skipped
        Why each other one does not apply, by name.
    """

    verdict: pd.DataFrame
    results: Mapping[str, Result]
    skipped: Mapping[str, str]


def diagnose(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    rule: Literal["isotonic", "first_passage", "bins"] = "isotonic",
    interval: Literal["t", "2sd", "bootstrap"] = "t",
    onset: Literal["sustained", "first"] = "sustained",
    margin: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Diagnosis:
    """Run every analysis that applies, and say in words what they show for each task.

    Parameters
    ----------
    runs
        Recorded runs.
    baseline, against
        As in :func:`trajlab.analysis.gap`.
    metric
        The metric to compare; every metric recorded on `split` if not given.
    split, selection_split, rule, interval, onset
        As in :func:`trajlab.analysis.gap`.
    margin
        The largest difference that does not matter, in units of the metric; with it, equivalence is
        tested and the number of seeds that would be needed is told.
    confidence, seed, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Diagnosis
        The table `verdict`, the results it is based on, and what did not apply.

    Raises
    ------
    TrajlabError
        If the runs cannot be grouped, none is complete, or several groups have no baseline.
    """
    if margin is not None and margin <= 0:
        raise TrajlabError(f"margin must be positive, not {margin}")
    runs = list(runs)
    groups = group(runs, group_by)
    complete = [run for item in groups for run in item.runs]
    if not complete:
        raise TrajlabError("no run is complete; let one finish, or repair it, and diagnose again")
    skipped = _skipped(groups, complete, split)
    shared: dict[str, Any] = {"confidence": confidence, "seed": seed, "group_by": group_by}
    scores: dict[str, Any] = {"metric": metric, "split": split, "selection_split": selection_split}
    chosen: dict[str, Any] = {"baseline": baseline, "against": against}
    rules: dict[str, Any] = {"rule": rule, "interval": interval, "onset": onset}
    results: dict[str, Result] = {}
    gaps = conflicts = correlations = None
    if "conflict" not in skipped:
        results["conflict"] = found = conflict(runs, **shared)
        conflicts = found.summary
    if "gap" not in skipped:
        results["gap"] = compared = gap(runs, **chosen, **scores, **rules, **shared)
        gaps = compared.summary
    if "correlate" not in skipped:
        axes: dict[str, Any] = {"x": "mean_cosine", "y": "final_metric"}
        results["correlate"] = correlated = correlate(runs, **axes, **scores, **shared)
        correlations = correlated.correlations
    told = verdict(gaps, conflicts, correlations, margin=margin, confidence=confidence)
    if "gap" in skipped:
        told = pd.concat([_not_compared(groups, skipped["gap"]), told], ignore_index=True)
    settings = {
        "baseline": dict(baseline),
        "against": dict(against or {}),
        **scores,
        **rules,
        "margin": margin,
        **shared,
        "group_by": list(group_by),
    }
    return Diagnosis(settings=settings, verdict=told, results=results, skipped=skipped)


def _not_compared(groups: Sequence[Group], reason: str) -> pd.DataFrame:
    """Return one row a group and task that says why nothing is compared."""
    return pd.DataFrame(
        [
            {
                **item.keys,
                "task": task,
                "baseline": "",
                "n_baseline": 0,
                "n_runs": len(item.with_task(task)),
                "metric": "",
                "sentence": f"Not compared: {reason}.",
                "numbers": "",
                "reason": reason,
            }
            for item in groups
            for task in item.tasks
        ]
    )


def _skipped(groups: Sequence[Group], complete: Sequence[Trajectory], split: str) -> dict[str, str]:
    """Say which analyses do not apply to the runs, and why."""
    several = [run for run in complete if len(run.tasks) > 1 and "gradients" in run.tables]
    scored = any(evaluated(run, split) for run in complete)
    skipped = {}
    if not several:
        skipped["conflict"] = "no run recorded the gradients of two or more tasks"
    if len(groups) < 2:
        skipped["gap"] = "the runs are one group, so there is nothing to compare them with"
    elif not scored:
        skipped["gap"] = f"no run was evaluated on the training set and on the {split} split"
    if not several or not scored:
        skipped["correlate"] = "no run has both gradients of several tasks and evaluations"
    return skipped
