"""Conflict of task gradients over training: who pulls against whom, and how often."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from trajlab.analysis.conflict.tables import group_tables
from trajlab.analysis.options import check_confidence
from trajlab.analysis.result import Result
from trajlab.analysis.runs.groups import group
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory


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
    """

    pairs: pd.DataFrame
    similarity: pd.DataFrame
    summary: pd.DataFrame
    tasks: pd.DataFrame
    overall: pd.DataFrame
    corrected: pd.DataFrame
    across_time: pd.DataFrame


def conflict(
    runs: Iterable[Trajectory],
    *,
    layers: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
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
        Recorded runs; those of groups with one task are passed over.
    layers
        One row a layer too, next to the total over all shared parameters (layer ``all``).
    confidence, seed, group_by
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
    """
    check_confidence(confidence)
    parts = [group_tables(item, layers, confidence) for item in group(runs, group_by)]
    made = {
        field.name: pd.concat(
            [pd.DataFrame(), *(part[field.name] for part in parts if part)], ignore_index=True
        )
        for field in fields(Conflict)
        if field.name != "settings"
    }
    if made["pairs"].empty:
        raise TrajlabError(
            "no complete run recorded the gradients of two or more tasks; record them with "
            "probes.TaskGradients"
        )
    settings = {
        "layers": layers,
        "confidence": confidence,
        "seed": seed,
        "group_by": list(group_by),
    }
    return Conflict(settings=settings, **made)
