"""Every analysis that applies to the given runs, and the verdict on each task."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from trajlab.analysis.conflict.conflict import conflict
from trajlab.analysis.correlate.correlate import correlate
from trajlab.analysis.diagnosis.uncompared import describe, front_baseline, missing
from trajlab.analysis.diagnosis.verdict import verdict
from trajlab.analysis.factors.factors import factors
from trajlab.analysis.front.front import front
from trajlab.analysis.gap.gap import gap
from trajlab.analysis.geometry import geometry
from trajlab.analysis.result import Result
from trajlab.analysis.runs.groups import BASELINE, group
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
    shared: dict[str, Any] = {"confidence": confidence, "seed": seed, "group_by": group_by}
    scores: dict[str, Any] = {"metric": metric, "split": split, "selection_split": selection_split}
    chosen: dict[str, Any] = {"baseline": baseline, "against": against}
    rules: dict[str, Any] = {"interval": interval, "onset": onset}
    skipped = missing(groups, complete, split)
    results: dict[str, Result] = {}
    if "gap" not in skipped:  # what is wrong with its options is told, not passed over
        results["gap"] = gap(runs, **chosen, **scores, **rules, rule=rule, **shared)
    others: dict[str, Callable[[], Result]] = {
        "conflict": lambda: conflict(runs, **shared),
        "factors": lambda: factors(runs, **chosen, **scores, rule=rule, **shared),
        "front": lambda: front(runs, baseline=front_baseline(groups), **scores, **shared),
        "correlate": lambda: correlate(runs, x="mean_cosine", y="final_metric", **scores, **shared),
        "geometry": lambda: geometry(runs, seed=seed, group_by=group_by),
    }
    for name, analyse in others.items():
        if name not in skipped:
            try:
                results[name] = analyse()
            except TrajlabError as error:
                skipped[name] = str(error)
    told = verdict(
        _table(results, "gap", "summary"),
        _table(results, "conflict", "summary"),
        _table(results, "correlate", "correlations"),
        factors=_table(results, "factors", "delta"),
        tasks=_table(results, "conflict", "tasks"),
        front=_table(results, "front", "distance"),
        margin=margin,
        confidence=confidence,
    )
    if "gap" in skipped:
        alone = describe(groups, skipped["gap"], metric, split, selection_split)
        told = pd.concat([alone, told], ignore_index=True)
    settings = {
        "baseline": dict(baseline),
        "against": dict(against or {}),
        **scores,
        "rule": rule,
        **rules,
        "margin": margin,
        **shared,
        "group_by": list(group_by),
    }
    return Diagnosis(settings=settings, verdict=told, results=results, skipped=skipped)


def _table(results: Mapping[str, Result], name: str, table: str) -> pd.DataFrame | None:
    return results[name].tables()[table] if name in results else None
