"""Conflict of task gradients over training: who pulls against whom, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trajlab.analysis.conflict.options import ConflictOptions
from trajlab.analysis.conflict.rows import has_cosines
from trajlab.analysis.conflict.sentences import sentences
from trajlab.analysis.conflict.tables import group_tables
from trajlab.analysis.interface.options import Options
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.sentence import Sentence
from trajlab.analysis.runs.groups import Group, group, one_task
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

_NOT_RECORDED = "no complete run recorded the gradients of two or more tasks"


@dataclass(frozen=True, kw_only=True)
class Conflict(Result):
    """What :func:`conflict` returns.

    Attributes
    ----------
    pairs
        One row a run, recorded step, layer and pair of tasks.
    similarity
        One row a run, recorded step and task.
    summary
        One row a group, layer and pair of tasks, over training: the cosine of batch gradients
        and, where it was measured, the noise-corrected one beside it.
    tasks
        One row a group and task, over training: cosine to the weighted sum and its excess over
        1/√K, cosine to the others, share of the gradient norm, and, where they were recorded, the
        gradient's noise scale and its cosine to the step that the weights really took.
    overall
        One row a group, over training: directional, magnitude and noise conflict of all tasks.
    corrected
        One row a run, measured step and pair of tasks: the noise-corrected cosine.
    across_time
        One row a group, task and lag: how alike a task's gradient stays, from its sketches.
    examples
        One row a group, number of examples in a gradient, and kind of pair: cosine, share of
        negative cosines and magnitude similarity between examples and between tasks.
    """

    options: ConflictOptions
    pairs: pd.DataFrame
    similarity: pd.DataFrame
    summary: pd.DataFrame
    tasks: pd.DataFrame
    overall: pd.DataFrame
    corrected: pd.DataFrame
    across_time: pd.DataFrame
    examples: pd.DataFrame

    def sentences(self, _: float | None = None, /) -> Iterator[Sentence]:
        """Yield how alike the gradients of each group are, and how much of them each task has."""
        yield from sentences(self.summary, self.tasks, self.options.keys)


def conflict(
    runs: Iterable[Trajectory],
    *,
    layers: bool = False,
    confidence: float = 0.95,
    group_by: Sequence[str] = (),
) -> Conflict:
    """Cosine, magnitude similarity and conflict of each two tasks' gradients over training.

    Two tasks conflict at a step where the cosine of their gradients is negative. The gradients are
    those of the training graph, on the batches of training: such cosines mostly measure the noise
    of the batches. Where `probes.GradientSimilarity` measured it, the noise-corrected cosine stands
    beside them, and only from that one is it read whether two tasks oppose or align.

    Parameters
    ----------
    runs
        Recorded runs; those of groups with one task are passed over. Of runs whose pair cosines
        come from another log, norms and all that they enter are not known.
    layers
        One row a layer too, next to the total over all shared parameters (layer ``all``).
    confidence, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Conflict
        A zero gradient has no direction: its cosines are NaN, and counted in `n_zero`.

    Raises
    ------
    TrajlabError
        If runs cannot be grouped, no run recorded the gradients of two tasks, or runs of a group
        differ in their shared parameters.

    Examples
    --------
    >>> import trajlab
    >>> found = trajlab.analysis.conflict(trajlab.datasets.load("digits-two-tasks")).summary
    >>> found[["condition", "mean_cosine", "share_conflicting"]].round(2)
      condition  mean_cosine  share_conflicting
    0    +noisy         0.14               0.17
    1     +same         0.07               0.40
    """
    options = ConflictOptions(layers=layers, confidence=confidence, group_by=group_by)
    parts = [group_tables(each, options) for each in group(runs, group_by)]
    known = [part for part in parts if part and not part["pairs"].empty]
    if not known:
        raise TrajlabError(f"{_NOT_RECORDED}; record them with probes.TaskGradients")
    tables = {
        # each part goes as it is joined: those of a long run take much memory
        name: pd.concat([part.pop(name) for part in known], ignore_index=True)
        for name in list(known[0])
    }
    return Conflict(options=options, **tables)


def requires(groups: Sequence[Group], options: Options) -> str:
    """Return why there is no conflict: no run recorded the gradients of two tasks."""
    del options
    several = [group for group in groups if len(group.tasks) > 1]
    recorded = any(has_cosines(run) for group in several for run in group.runs)
    return "" if recorded else one_task(groups) or _NOT_RECORDED


FAMILY = Family(conflict, requires)
