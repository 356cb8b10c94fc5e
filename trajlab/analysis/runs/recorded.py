"""What runs recorded, by name, and whether that is what an analysis needs."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.axis import RUNNING, TRAINING_LOSS, Axis
from trajlab.analysis.interface.options import ComparisonOptions
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory
from trajlab.store.table import Column

Steps = npt.NDArray[np.int64]
ERROR = "_se"  # behind the name of a loss or metric: its standard error
_NOT_METRICS = ("epoch", "items", "correct")  # of a table of evaluations
_NO_CLOCKS = ("micro_step", "learning_rate", "loss_scale", "skipped", "reason")
_AXES = (("step",), ("step", "task"), ("step", "task", "rho"))  # of a quantity


def columns(run: Trajectory, table: str) -> dict[str, Column]:
    """Return the columns of a table as they were declared, by name; none if it has no such table.

    Parameters
    ----------
    run, table
        The run, and what of it.
    """
    declared = run.table(table).declared.columns if table in run.tables else ()
    return {column.name: column for column in declared}


def task_column(run: Trajectory, table: str, name: str, task: str) -> tuple[Steps, FloatArray]:
    """Return the steps and values of a column (step, task); empty if there are none.

    Parameters
    ----------
    run, table, name, task
        The run, and what of it.
    """
    nothing = np.empty(0, np.int64), np.empty(0)
    column = columns(run, table).get(name)
    if column is None or column.axes != ("step", "task"):
        return nothing
    view = run.table(table)
    tasks: Sequence[str] = list(view["task"])
    if task not in tasks:
        return nothing
    return np.asarray(view["step"]), np.asarray(view[name][:, tasks.index(task)], float)


def higher_is_better(run: Trajectory, split: str, metric: str) -> bool:
    """Tell a metric's direction, as recorded; without a record only of a loss less is better."""
    column = columns(run, table_of(split)).get(metric)
    told = column.attributes if column else {}
    return bool(told.get("higher_is_better", metric != "loss"))


def less_is_better(runs: Iterable[Trajectory], split: str, metric: str) -> bool:
    """Tell whether any of the runs says so of the metric."""
    return any(not higher_is_better(run, split, metric) for run in runs)


def _scores(run: Trajectory, split: str) -> list[str]:
    """Return the names of a split's metrics, the loss among them, without those of errors."""
    held = columns(run, table_of(split))
    return [
        name
        for name, column in held.items()
        if name not in _NOT_METRICS
        and column.axes == ("step", "task")
        and not (name.endswith(ERROR) and name.removesuffix(ERROR) in held)
    ]


def table_of(split: str) -> str:
    """Return the name of the table of a split's evaluations."""
    return f"evaluations/{split}"


def evaluated(run: Trajectory, split: str) -> bool:
    """Tell whether a run was evaluated on `split`."""
    return table_of(split) in run.tables


def metrics(runs: Iterable[Trajectory], split: str, task: str | None = None) -> list[str]:
    """Return the metrics that any run recorded on `split`; the loss only if there is no other.

    Parameters
    ----------
    runs, split
        The runs, and the split they were evaluated on.
    task
        Count only the metrics with a value for this task.
    """
    names: dict[str, None] = {}
    for run in runs:
        for name in _scores(run, split):
            if name in names or name == "loss":
                continue
            if task is None or np.isfinite(task_column(run, table_of(split), name, task)[1]).any():
                names[name] = None
    return list(names) or ["loss"]


def is_quantity(name: str) -> bool:
    """Tell whether a name is that of a recorded quantity, ``table/column``, and not of a metric."""
    return "/" in name


def quantities(runs: Iterable[Trajectory]) -> list[str]:
    """Return the names of what any run recorded as one number a step, or a step and task."""
    names: dict[str, None] = {}
    for run in runs:
        for name in run.tables:
            if name.startswith("evaluations/"):
                continue  # metrics, which have a direction and a split of their own
            for column in columns(run, name).values():
                if column.axes in _AXES and column.dtype not in ("str", "bool"):
                    names[f"{name}/{column.name}"] = None
    return list(names)


def has_axis(run: Trajectory, axis: Axis) -> bool:
    """Tell whether a run recorded what is matched."""
    if not axis.is_loss:
        return axis.x == "step" or any(True for _ in clock_columns(run, axis.x))
    table, name = axis.column
    return name in columns(run, table)


def clock_columns(run: Trajectory, name: str) -> Iterator[tuple[str, str]]:
    """Yield the tables and columns of one number a step that have a name, evaluations first.

    Parameters
    ----------
    run
        A run.
    name
        Of the column alone, or after its table: ``compute/flops``.
    """
    table, _, column = name.rpartition("/")
    every = sorted(run.tables, key=lambda each: not each.startswith("evaluations/"))
    for each in [table] if table else every:
        declared = columns(run, each).get(column)
        if declared is not None and declared.axes == ("step",):
            yield each, column


def check(runs: Sequence[Trajectory], options: ComparisonOptions) -> None:
    """Raise a `TrajlabError` if no run recorded what is to be compared, or what it is matched at.

    Parameters
    ----------
    runs
        Complete runs.
    options
        Names of the metric or quantity, its split, and what is equal.
    """
    quantity = options.metric is not None and is_quantity(options.metric)
    if options.metric is not None:
        if quantity:
            check_quantity(options.metric, runs)
        else:
            check_metric(options.metric, runs, options.split)
    if options.axis != TRAINING_LOSS:
        check_axis(runs, options.axis)
    if not quantity and (reason := unevaluated(runs, options.split, options.axis)):
        raise TrajlabError(
            f"{reason}: record evaluate({options.split!r}, …) and evaluate('train', …), or compare "
            "at another loss that was recorded (--loss), or at equal steps (--x step)"
        )


def check_metric(metric: str, runs: Iterable[Trajectory], split: str) -> None:
    """Raise a `TrajlabError` if no run has the metric on the split."""
    if metric not in ("loss", *(known := metrics(runs, split))):
        raise TrajlabError(
            f"no run has the metric {metric!r} on the {split} split; there is {', '.join(known)}"
        )


def check_quantity(name: str, runs: Iterable[Trajectory]) -> None:
    """Raise a `TrajlabError` if no run recorded the quantity."""
    if name not in (known := quantities(runs)):
        raise TrajlabError(
            f"no run recorded one number a step named {name!r}; there is "
            f"{', '.join(known) or 'none'}"
        )


def check_axis(runs: Sequence[Trajectory], axis: Axis) -> None:
    """Raise a `TrajlabError` if no run recorded what is matched, or more of the loss is better."""
    if not any(has_axis(run, axis) for run in runs):
        what = f"loss named {axis.loss!r}" if axis.is_loss else f"clock named {axis.x!r}"
        there = ", ".join(_losses(runs) if axis.is_loss else ["step", *_clocks(runs)])
        raise TrajlabError(f"no run recorded a {what} to compare at; there is {there or 'none'}")
    if axis.is_loss and axis.loss != RUNNING:
        split, _, name = axis.loss.partition("/")
        if any(has_axis(run, axis) and higher_is_better(run, split, name) for run in runs):
            raise TrajlabError(
                f"{axis.loss} is no loss to compare at: more of it is better; name it in "
                "lower_is_better where it is recorded, if less is"
            )


def unevaluated(runs: Iterable[Trajectory], split: str, axis: Axis = TRAINING_LOSS) -> str:
    """Return why no score can be read over training loss, if no run was evaluated for it."""
    if any(evaluated(run, split) and has_axis(run, axis) for run in runs):
        return ""
    if axis == TRAINING_LOSS:
        return f"no run was evaluated on the training set and on the {split} split"
    return f"no run was evaluated on the {split} split and recorded its {axis.name}"


def _losses(runs: Sequence[Trajectory]) -> list[str]:
    """Return what `loss` may be for these runs."""
    names: dict[str, None] = {}
    for run in runs:
        for table in run.tables:
            kind, _, split = table.partition("/")
            for name in _scores(run, split) if kind == "evaluations" else ():
                if not higher_is_better(run, split, name):
                    names[f"{split}/{name}"] = None
        names |= {RUNNING: None} if RUNNING in run.tables else {}
    return list(names)


def _clocks(runs: Sequence[Trajectory]) -> list[str]:
    """Return what `x` may be for these runs, beside ``loss`` and ``step``."""
    names: dict[str, None] = {}
    for run in runs:
        for table in run.tables:
            short = table == RUNNING or table.startswith("evaluations/")
            for column in columns(run, table).values():
                if column.axes == ("step",) and column.name not in _NO_CLOCKS:
                    names[column.name if short else f"{table}/{column.name}"] = None
    return list(names)
