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
_NOT_SHARED = {"unlisted": 0.0}  # the gradient of a layer that was not shared then
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
                Column("learning_rate", description="that of the optimizer's first group"),
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
                    attributes=_NOT_SHARED,
                ),
                Column(
                    "update_dot",
                    _TASK,
                    description="inner product with the gradient that the optimizer took",
                ),
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
                Column("trace", _TASK, description="sum of all eigenvalues"),
                Column("trace_se", _TASK, description="standard error of the trace"),
                Column("residual", _TASK, description="norm of Hv - top v, v of unit norm"),
                Column("converged", _TASK, "bool", description="residual within its tolerance"),
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
                Column("trace", _TASK, description="trace of the Fisher information matrix"),
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


# columns that a table has where they are recorded
FURTHER = {
    "losses": (
        Column("loss_scale", description="what the loss scaler multiplied the total by"),
        Column("skipped", dtype="bool", description="whether the scaler skipped the update"),
    ),
    "gradients": (
        Column(
            "gram_se",
            ("step", "layer", "task", "other_task"),
            description="standard error of gram; over layers, the root of the sum of squares",
            attributes=_NOT_SHARED,
        ),
        Column("update_norm", description="norm of the gradient that the optimizer took"),
    ),
    "similarity": (
        Column(
            "noise_dominated",
            _TASK,
            "bool",
            description="squared gradient norm below twice its standard error",
        ),
        _REASON,
    ),
    "sketches": (
        Column("norm", _TASK, description="norm of the task gradient"),
        Column("norm_se", _TASK, description="standard error of norm"),
        Column("weights", ("step", "k"), "float32", "", "sketched shared weights"),
        Column("weights_norm", description="exact norm of the shared weights"),
    ),
    "hessian": (
        Column(
            "layer_top",
            ("step", "task", "layer"),
            description="largest eigenvalue of each layer's own block",
        ),
    ),
    "noise": tuple(
        Column(f"{name}_se", _TASK, description=f"jackknife standard error of {name}")
        for name in ("covariance_trace", "gradient_norm_sq", "noise_scale")
    ),
    "parameters": (
        Column("path_length", description="sum of the distances between measured points"),
        Column(
            "layer_distance_from_start",
            ("step", "layer"),
            description="distance of each layer to its weights at step 0",
        ),
        Column(
            "layer_update_norm",
            ("step", "layer"),
            description="norm of the last update of each layer",
        ),
    ),
}


def standard(name: str, *further: str, **coordinates: Sequence[Any]) -> Table:
    """Return a standard table with its axes labelled.

    Parameters
    ----------
    name
        A key of `STANDARD`, or ``evaluations/<split>``.
    further
        Columns of `FURTHER` to have as well; those that it always has may be among them.
    coordinates
        Labels by axis; ``other_task`` follows ``task``.

    Raises
    ------
    TrajlabError
        If there is no such standard table, no such split or no such column.
    """
    template, _, split = name.partition("/")
    if template not in STANDARD or (split or "train") not in SPLITS:
        raise TrajlabError(
            f"{name!r} is no standard table; there are "
            f"{', '.join(k for k in STANDARD if k != 'evaluations')} and "
            f"{', '.join(f'evaluations/{s}' for s in SPLITS)}"
        )
    table = STANDARD[template]
    table = replace(
        table,
        columns=(*table.columns, *(c for c in FURTHER.get(template, ()) if c.name in further)),
    )
    for column in further:
        table.column(column)
    labelled = dict(coordinates)
    if "other_task" in table.axes and "task" in labelled:
        labelled["other_task"] = labelled["task"]
    return replace(table, name=name, coordinates=labelled)
