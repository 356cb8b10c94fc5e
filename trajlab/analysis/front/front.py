"""Do multi-task optimizers reach what tuned weights of a sum cannot? Fronts, and their noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from trajlab.analysis.correlate.units import read_table
from trajlab.analysis.front.pareto import RESAMPLES
from trajlab.analysis.front.rows import run_frame, table_frame
from trajlab.analysis.front.tables import SCALARIZATION, fronts
from trajlab.analysis.options import check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.runs import groups
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class Front(Result):
    """What :func:`front` returns.

    Attributes
    ----------
    points
        One row a configuration, one column an objective: means over the runs that are reported.
    distance
        One row a method: how far its front lies beyond the baseline's.
    hypervolume
        One row a method.
    flips
        One row a pair of methods and weights of a utility: which is better there.
    spread
        One row a method: the best of a sparse grid, against seeds.
    optimism
        One row a method and task: how much choosing by validation flatters it.
    """

    points: pd.DataFrame
    distance: pd.DataFrame
    hypervolume: pd.DataFrame
    flips: pd.DataFrame
    spread: pd.DataFrame
    optimism: pd.DataFrame


def front(
    runs: Iterable[Trajectory] | None = None,
    *,
    table: str | pd.DataFrame | None = None,
    objective: Mapping[str, str] | None = None,
    baseline: Mapping[str, str] = SCALARIZATION,
    fresh: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Front:
    """Pareto fronts of methods, their distance to the baseline's, and what could mislead.

    A method's front are its configurations that no other of its own dominates on the selection
    split. It is measured on fresh seeds: with equal truth the front of 54 runs dominates 72 % of
    points and that of 6 runs 29 %, so a front chosen and measured on the same runs wins by being
    larger. The signed distance is positive beyond the baseline's front and 0 on average for equal
    truth; its interval resamples seeds within configurations.

    Parameters
    ----------
    runs
        Recorded runs; each task is an objective. Or give `table`.
    table
        A CSV file with a header, or in Python a DataFrame, instead of runs: one row a run (or a run
        and `split`), with columns `method`, the objectives, and those of `group_by`.
    objective
        Columns of the table that are objectives, as name=max or name=min; of runs, the tasks that
        are.
    baseline
        Keys and values that select the method of the baseline.
    fresh
        Keys and values that mark runs made after the choice, to measure the chosen configurations.
    metric
        The metric of every task; the first one recorded on `split` if not given.
    split
        The split that is reported.
    selection_split
        The split that checkpoints and configurations are chosen on.
    confidence, seed
        As in :func:`trajlab.analysis.gap`.
    group_by
        Keys that name a configuration: learning rate, weights.

    Returns
    -------
    Front
        Tables `points, distance, hypervolume, flips, spread, optimism`.

    Raises
    ------
    TrajlabError
        If there are both or neither of runs and table, fewer than two objectives, no baseline, or
        the table or a column is wrong.

    References
    ----------
    D. Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?",
    NeurIPS 2022.
    """
    check_confidence(confidence)
    if (runs is None) == (table is None):
        raise TrajlabError("give either runs or a table to make fronts of")
    name = None
    if runs is not None:
        wanted = dict(fresh or {})
        parts: list[list[Trajectory]] = [[], []]
        for run in runs:
            own = {key: str(run.metadata.get(key)) for key in wanted}
            parts[bool(wanted) and own == {k: str(v) for k, v in wanted.items()}].append(run)
        found = [item for part in parts if part for item in groups.group(part, group_by)]
        rows, better = run_frame(found, metric, split, selection_split)
        better = {task: way for task, way in better.items() if not objective or task in objective}
    else:
        given, name = read_table("" if table is None else table)
        rows, better = table_frame(given, objective or {}, split, selection_split)
    if len(better) < 2:
        raise TrajlabError(
            f"a front needs two or more objectives, and there is {', '.join(better) or 'none'}"
        )
    options = {"baseline": dict(baseline), "fresh": dict(fresh or {})}
    tables = fronts(rows, better, **options, confidence=confidence, seed=seed, group_by=group_by)
    settings = {
        "table": name,
        "objective": {name: "max" if way else "min" for name, way in better.items()},
        **options,
        "metric": metric,
        "split": split,
        "selection_split": selection_split,
        "interval": f"bootstrap of seeds within configurations, {RESAMPLES} samples",
        "confidence": confidence,
        "seed": seed,
        "group_by": list(group_by),
    }
    return Front(settings=settings, **tables)
