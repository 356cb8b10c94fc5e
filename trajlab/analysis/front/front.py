"""Do multi-task optimizers reach what tuned weights of a sum cannot? Fronts, and their noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trajlab.analysis.front.budget import Budget
from trajlab.analysis.front.options import FrontOptions
from trajlab.analysis.front.rows import run_frame, table_frame
from trajlab.analysis.front.sentences import of_flips, sentences
from trajlab.analysis.front.tables import SCALARIZATION, fronts
from trajlab.analysis.interface.options import Options
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.sentence import Sentence
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.table import read_table
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

SCALARIZATIONS = ("scalarization", "uniform")  # whose front a diagnosis holds others against


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
        One row a pair of methods and weights of a utility: which is better there. Beyond four
        objectives the weights are sampled on lines from equal weights to each objective alone.
    spread
        One row a method: the best of a sparse grid, against seeds.
    optimism
        One row a method and task: how much choosing by validation flatters it.
    training
        One row a configuration, one column an objective: means on the training set at the end of
        training, over all runs that were chosen from.
    chosen
        One row a chosen configuration and objective: the mean over the runs that are reported, with
        a t interval.
    """

    options: FrontOptions
    points: pd.DataFrame
    distance: pd.DataFrame
    hypervolume: pd.DataFrame
    flips: pd.DataFrame
    spread: pd.DataFrame
    optimism: pd.DataFrame
    training: pd.DataFrame
    chosen: pd.DataFrame

    def sentences(self, _: float | None = None, /) -> Iterator[Sentence]:
        """Yield whether each method's front lies beyond that of the baseline."""
        yield from sentences(self.distance)
        yield from of_flips(self.flips, self.distance, len(self.options.objective or ()))


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
    budget: Budget = "whole",
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
        Recorded runs; each metric of a task is an objective. Or give `table`.
    table
        A CSV file with a header, or in Python a DataFrame, instead of runs: one row a run (or a run
        and `split`), with columns `method`, the objectives, and those of `group_by`.
    objective
        Columns of the table that are objectives, as name=max or name=min; of runs, the tasks that
        are, or the tasks and metrics.
    baseline
        Keys and values that select the method of the baseline.
    fresh
        Keys and values that mark runs made after the choice, to measure the chosen configurations.
    metric
        The metric of every task; every metric recorded on `split` if not given, each an objective.
    split
        The split that is reported.
    selection_split
        The split that checkpoints and configurations are chosen on.
    budget
        What every run may have spent where it is read: its whole training, or as many steps,
        floating-point operations or processor seconds as the run that spent the least. A schedule
        of the learning rate that was made for more does not know of it.
    confidence, seed
        As in :func:`trajlab.analysis.gap`.
    group_by
        Keys that name a configuration: learning rate, weights.

    Returns
    -------
    Front
        Tables `points, distance, hypervolume, flips, spread, optimism, training, chosen`.

    Raises
    ------
    TrajlabError
        If there are both or neither of runs and table, fewer than two objectives, no baseline, or
        the table or a column is wrong; if there is a budget and a table, or a run that did not
        record what it spent.

    References
    ----------
    D. Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?",
    NeurIPS 2022.

    Examples
    --------
    >>> import trajlab
    >>> runs = trajlab.datasets.load("digits-fronts")
    >>> keys, fresh = ["weight", "lr"], {"stage": "fresh"}
    >>> found = trajlab.analysis.front(runs, metric="accuracy", group_by=keys, fresh=fresh)
    >>> found.distance[["method", "signed_distance"]].round(1)
        method  signed_distance
    0  inverse            -12.8
    1   pcgrad             -0.1
    """
    if (runs is None) == (table is None):
        raise TrajlabError("give either runs or a table to make fronts of")
    name = None
    if runs is not None:
        wanted = {key: str(value) for key, value in (fresh or {}).items()}
        parts: list[list[Trajectory]] = [[], []]
        for run in runs:
            marks = {key: str(run.metadata.get(key)) for key in wanted}
            parts[bool(wanted) and marks == wanted].append(run)
        grouped = [group for part in parts if part for group in groups.group(part, group_by)]
        rows, better = run_frame(grouped, metric, split, selection_split, budget)
        better = {task: way for task, way in better.items() if not objective or task in objective}
    else:
        if budget != "whole":
            raise TrajlabError(
                "a table does not tell what its runs had spent; give runs, or leave --budget out"
            )
        given, name = read_table("" if table is None else table)
        rows, better = table_frame(_named(given, baseline), objective or {}, split, selection_split)
    if len(better) < 2:
        raise TrajlabError(
            f"a front needs two or more objectives, and there is {', '.join(better) or 'none'}"
        )
    options = FrontOptions(
        table=name,
        objective={name: "max" if more else "min" for name, more in better.items()},
        baseline=baseline,
        fresh=fresh,
        metric=metric,
        split=split,
        selection_split=selection_split,
        confidence=confidence,
        seed=seed,
        budget=budget,
        group_by=group_by,
    )
    tables = fronts(
        rows,
        better,
        baseline=baseline,
        fresh=fresh,
        confidence=confidence,
        seed=seed,
        group_by=group_by,
    )
    return Front(options=options, **tables)


def _named(table: pd.DataFrame, baseline: Mapping[str, str]) -> pd.DataFrame:
    """Let the column that names the baseline stand in the place of a method that is not there."""
    key = next(iter(baseline), "")
    absent = "method" not in table and len(baseline) == 1 and key in table
    return table.assign(method=table[key].astype(str)) if absent else table


def requires(grouped: Sequence[groups.Group], options: Options) -> str:
    """Return why there is no front: no two methods, one of them a weighted sum."""
    del options
    if settings(grouped)["baseline"]:
        return ""
    return (
        groups.one_task(grouped)
        or f"no two methods train several tasks, one of them {' or '.join(SCALARIZATIONS)}"
    )


def settings(grouped: Sequence[groups.Group]) -> dict[str, Mapping[str, str]]:
    """Return the method whose front a diagnosis holds others against; empty without one."""
    several = [group for group in grouped if any(len(run.tasks) > 1 for run in group.runs)]
    methods = {group.keys["method"] for group in several}
    sums = [name for name in SCALARIZATIONS if name in methods]
    return {"baseline": {"method": sums[0]} if sums and len(methods) > 1 else {}}


FAMILY = Family(front, requires, settings)
