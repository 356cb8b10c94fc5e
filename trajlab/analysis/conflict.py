"""Conflict of task gradients over training: who pulls against whom, and how often."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trajlab.analysis import multitask, similarity
from trajlab.analysis.corrected import corrected_frame, summarise_corrected
from trajlab.analysis.groups import Group, group
from trajlab.analysis.intervals import FloatArray, mean_interval
from trajlab.analysis.options import check_confidence
from trajlab.analysis.result import Result
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_PAIR = ["task_a", "task_b", "layer"]
_ZERO = "zero gradient"
_MISSING = "not recorded"


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
        One row a group and task, over training: cosine to the update and its excess over 1/√K,
        cosine to the others, and share of the gradient norm.
    overall
        One row a group, over training: directional and magnitude conflict of all tasks.
    corrected
        One row a run, measured step and pair of tasks: the noise-corrected cosine.
    """

    pairs: pd.DataFrame
    similarity: pd.DataFrame
    summary: pd.DataFrame
    tasks: pd.DataFrame
    overall: pd.DataFrame
    corrected: pd.DataFrame


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
    confidence
        Coverage of the t interval of the mean cosine over runs.
    seed
        Written down with the result; no random numbers are drawn.
    group_by
        Metadata keys that tell groups of runs apart, next to setting, condition and method.

    Returns
    -------
    Conflict
        Tables `pairs`, `similarity`, `summary`, `tasks`, `overall` and `corrected`. A zero
        gradient has no direction: its cosines are NaN, and counted in `n_zero`.

    Raises
    ------
    TrajlabError
        If runs cannot be grouped, no run recorded the gradients of two tasks, or runs of a group
        differ in their shared parameters.
    """
    check_confidence(confidence)
    frames = [_frames(item, layers, confidence) for item in group(runs, group_by)]
    tables = [pd.concat(parts, ignore_index=True) for parts in zip(*frames, strict=True)]
    pairs, similarities, summary, tasks, overall, corrected = tables
    if pairs.empty:
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
    return Conflict(
        settings=settings,
        pairs=pairs,
        similarity=similarities,
        summary=summary,
        tasks=tasks,
        overall=overall,
        corrected=corrected,
    )


def pair_frame(gram: FloatArray, tasks: Sequence[str], layers: Sequence[str]) -> pd.DataFrame:
    """Return one row a step, layer and pair of tasks, from Gram matrices alone.

    Parameters
    ----------
    gram
        (step, layer, task, other_task) inner products of the tasks' gradients.
    tasks, layers
        Their names.

    Returns
    -------
    DataFrame
        `row` (position on the step axis), `task_a`, `task_b`, `layer`, `cosine`,
        `magnitude_similarity`, `conflicting` and `reason`.
    """
    first, second = np.triu_indices(len(tasks), k=1)
    pair_of = (..., first, second)
    cosine = similarity.cosine(gram)[pair_of]
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    zero = (squares[..., first] == 0) | (squares[..., second] == 0)
    row, layer, pair = (index.ravel() for index in np.indices(cosine.shape))
    return pd.DataFrame(
        {
            "row": row,
            "task_a": np.asarray(tasks, object)[first][pair],
            "task_b": np.asarray(tasks, object)[second][pair],
            "layer": np.asarray(layers, object)[layer],
            "cosine": cosine.ravel(),
            "magnitude_similarity": similarity.magnitude_similarity(gram)[pair_of].ravel(),
            "conflicting": (cosine < 0).ravel(),
            "reason": np.select([zero, np.isnan(cosine)], [_ZERO, _MISSING], "").ravel(),
        }
    )


def similarity_frame(gram: FloatArray, weights: FloatArray, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a step and task: cosine to the update and to the other tasks' part of it.

    Beside them the excess over 1/√K, which orthogonal gradients of equal norm have, the share of
    the gradient norm, and the conflict of all tasks together, equal for all tasks of a step.

    Parameters
    ----------
    gram
        (step, task, other_task) inner products over all shared parameters.
    weights
        (step, task) weights of the tasks in the update.
    tasks
        Their names.
    """
    to_update = similarity.cosine_to_update(gram, weights)
    to_others = similarity.cosine_to_others(gram, weights)
    row, task = (index.ravel() for index in np.indices(to_update.shape))
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    no_sum = np.isnan(to_update) | np.isnan(to_others)
    causes = {_ZERO: squares == 0, _MISSING: ~np.isfinite(squares), "zero sum": no_sum}
    reasons = np.select(list(causes.values()), list(causes), "")
    return pd.DataFrame(
        {
            "row": row,
            "task": np.asarray(tasks, object)[task],
            "cosine_to_update": to_update.ravel(),
            "excess": to_update.ravel() - len(tasks) ** -0.5,
            "cosine_to_others": to_others.ravel(),
            "norm_share": multitask.norm_share(gram).ravel(),
            "directional": np.repeat(multitask.directional(gram), len(tasks)),
            "magnitude": np.repeat(multitask.magnitude(gram), len(tasks)),
            "reason": reasons.ravel(),
        }
    )


def summarise(pairs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return one row a pair of tasks and layer: the mean over training, then over runs.

    Parameters
    ----------
    pairs
        Rows of :func:`pair_frame` with the column `run`.
    confidence
        Coverage of the t interval over runs of `mean_cosine`: `low` to `high`.
    """
    rows = []
    for names, part in pairs.groupby(_PAIR, sort=False):
        known = part[part["cosine"].notna()]
        runs = known.groupby("run", sort=False)[["cosine", "conflicting"]].mean()
        mean = mean_interval(runs["cosine"].to_numpy(), confidence)
        times = multitask.over_training(part, (), ("cosine",), confidence).iloc[0]
        rows.append(
            {
                **dict(zip(_PAIR, names, strict=True)),
                "mean_cosine": float(mean.estimate),
                "share_conflicting": float(runs["conflicting"].mean()),
                "low": float(mean.low),
                "high": float(mean.high),
                "cosine_early": times["cosine_early"],
                "cosine_late": times["cosine_late"],
                "n_runs": len(runs),
                "n_zero": int((part["reason"] == _ZERO).sum()),
                "n_missing": int((part["reason"] == _MISSING).sum()),
                "reason": "" if len(runs) > 1 else "fewer than two runs: no interval",
            }
        )
    return pd.DataFrame(rows)


def _frames(item: Group, layers: bool, confidence: float) -> tuple[pd.DataFrame, ...]:
    """Return a group's rows of the six tables."""
    recorded = [run for run in item.runs if "gradients" in run.tables]
    if len(item.tasks) < 2 or not recorded:
        return (pd.DataFrame(),) * 6
    for run in recorded:
        if set(run.shared) != set(recorded[0].shared):
            raise TrajlabError(
                f"{recorded[0].path} and {run.path} share different parameters, so their gradients "
                "cannot be averaged; group by what tells them apart"
            )
    read = [run_frames(run, item.tasks, layers) for run in recorded]
    pairs = pd.concat([frames[0] for frames in read], ignore_index=True)
    similarities = pd.concat([frames[1] for frames in read], ignore_index=True)
    corrected = pd.concat([corrected_frame(run, item.tasks) for run in recorded])
    summary = summarise(pairs, confidence)
    if not corrected.empty:
        beside = summarise_corrected(corrected, confidence).assign(layer="all")
        summary = summary.merge(beside, how="left", on=_PAIR)
    totals = similarities.drop_duplicates(["run", "step"])
    frames = (
        pairs,
        similarities.drop(columns=[*multitask.TOTALS]),
        summary,
        multitask.over_training(similarities, ("task",), multitask.MEASURES, confidence),
        multitask.over_training(totals, (), multitask.TOTALS, confidence),
        corrected,
    )
    head: dict[str, str | int] = {
        **item.keys,
        "baseline": "",
        "n_baseline": 0,
        "n_runs": len(recorded),
    }
    return tuple(_labelled(head, frame) for frame in frames)


def run_frames(
    run: Trajectory, tasks: Sequence[str], layers: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one run's rows of `pairs` and `similarity`, with its tasks in the order of `tasks`."""
    table = run.table("gradients")
    names = [task for task in tasks if task in table["task"]]
    order = [list(table["task"]).index(task) for task in names]
    total, step = run.gram()[:, order][:, :, order], table["step"]
    pairs = [pair_frame(total[:, None], names, ["all"])]
    if layers:
        by_layer = table["gram"][:, :, order][:, :, :, order]
        pairs.append(pair_frame(by_layer, names, list(table["layer"])))
    frames = [pd.concat(pairs), similarity_frame(total, _weights(run, step, names), names)]
    for frame in frames:
        frame["row"] = step[frame["row"]]
        frame.insert(0, "run", str(run.path))
    return (
        frames[0].rename(columns={"row": "step"}),
        frames[1].rename(columns={"row": "step"}),
    )


def _weights(run: Trajectory, step: npt.NDArray[np.int64], tasks: Sequence[str]) -> FloatArray:
    """Return the (step, task) weights in the update: the last ones of each step, 1 if unknown."""
    weights = np.ones((len(step), len(tasks)))
    if "losses" not in run.tables or "weight" not in run.table("losses"):
        return weights
    losses = run.table("losses")
    steps, values = losses["step"], losses["weight"]
    order = [list(losses["task"]).index(task) for task in tasks]
    last = pd.DataFrame(values[:, order], index=steps).groupby(level=0).last()
    return last.reindex(step).fillna(1.0).to_numpy()


def _labelled(head: Mapping[str, str | int], frame: pd.DataFrame) -> pd.DataFrame:
    """Put the columns that name the group in front."""
    frame = frame.copy()
    for name in head.keys() - set(frame):
        frame[name] = head[name]
    return frame[list(dict.fromkeys([*head, *frame]))]
