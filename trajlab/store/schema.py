"""The standard tables."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.table import Column, Table

FORMAT = "trajlab"
FORMAT_VERSION = 2
SPLITS = ("train", "validation", "test")

_TASK = ("step", "task")
_RHO = ("step", "task", "rho")
_PAIR = ("step", "task", "other_task")
_REASON = Column("reason", _TASK, "str", "", "why a number is missing")

STANDARD = {
    table.name: table
    for table in (
        Table(
            "losses",
            (
                Column("micro_step", dtype="int64", description="backward passes completed"),
                Column("wall_time", units="s", description="time since the run was created"),
                Column("epoch", dtype="int64", description="epochs completed"),
                Column("learning_rate"),
                Column("loss", _TASK, description="training loss of the batch"),
                Column("weight", _TASK, description="weight of the task in the total"),
            ),
            key=("step", "micro_step"),
        ),
        Table(
            "gradients",
            (
                Column(
                    "gram",
                    ("step", "layer", "task", "other_task"),
                    description="inner products of the unweighted task gradients",
                ),
                Column("update_dot", _TASK, description="inner product with the applied gradient"),
            ),
        ),
        Table(
            "similarity",
            (
                Column("cosine", _PAIR, description="noise-corrected cosine of task gradients"),
                Column("se", _PAIR, description="jackknife standard error of the cosine"),
                Column("ceiling", _TASK, description="cosine of a task's gradient with itself"),
                Column("cosine_to_update", _TASK, description="cosine with the summed gradient"),
            ),
        ),
        Table(
            "sketches",
            (Column("sketch", ("step", "task", "k"), "float32", "", "sketched task gradient"),),
        ),
        Table(
            "evaluations",
            (
                Column("epoch", dtype="int64", description="epochs completed"),
                Column(
                    "loss", _TASK, description="mean loss", attributes={"higher_is_better": False}
                ),
            ),
            kind="evaluation",
        ),
        Table(
            "hessian",
            (
                Column("top", _TASK, description="largest eigenvalue"),
                Column("bottom", _TASK, description="smallest eigenvalue"),
                Column("trace", _TASK),
                Column("trace_se", _TASK, description="standard error of the trace"),
                Column("residual", _TASK, description="norm of Hv - top v, v of unit norm"),
                Column("converged", _TASK, "bool"),
                Column("products", _TASK, "int64", description="Hessian-vector products used"),
                _REASON,
            ),
        ),
        Table(
            "sharpness",
            (
                Column("value", _RHO, description="largest rise of the loss within rho |weights|"),
                Column("se", _RHO, description="standard error over batches"),
                Column("saturated", _RHO, "bool", description="the loss reached chance level"),
                _REASON,
            ),
        ),
        Table(
            "fisher",
            (
                Column("trace", _TASK),
                Column("se", _TASK, description="standard error of the trace"),
                _REASON,
            ),
        ),
        Table(
            "noise",
            (
                Column("covariance_trace", _TASK, description="trace of the gradient covariance"),
                Column("gradient_norm_sq", _TASK, description="squared norm of the gradient"),
                Column("noise_scale", _TASK, description="covariance trace / squared norm"),
                _REASON,
            ),
        ),
        Table(
            "parameters",
            (
                Column("distance_from_start", description="distance to the weights at step 0"),
                Column("update_norm", description="norm of the last update"),
                Column("sketch", ("step", "k"), "float32", "", "sketched weights"),
            ),
        ),
    )
}


def standard(name: str, **coordinates: Sequence[Any]) -> Table:
    """Return a standard table with its axes labelled.

    Parameters
    ----------
    name
        A key of `STANDARD`, or ``evaluations/<split>``.
    coordinates
        Labels by axis; ``other_task`` follows ``task``.

    Raises
    ------
    TrajlabError
        If there is no such standard table, or no such split.
    """
    template, _, split = name.partition("/")
    if template not in STANDARD or (split or "train") not in SPLITS:
        raise TrajlabError(
            f"{name!r} is no standard table; there are "
            f"{', '.join(k for k in STANDARD if k != 'evaluations')} and "
            f"{', '.join(f'evaluations/{s}' for s in SPLITS)}"
        )
    table = STANDARD[template]
    labelled = dict(coordinates)
    if "other_task" in table.axes and "task" in labelled:
        labelled["other_task"] = labelled["task"]
    return replace(table, name=name, coordinates=labelled)
