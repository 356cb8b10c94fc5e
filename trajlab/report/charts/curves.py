"""Loss and metrics of every run over an axis of one's choice."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.runs.groups import group_keys
from trajlab.analysis.runs.levels import clock
from trajlab.errors import TrajlabError
from trajlab.plots.style import label, named
from trajlab.report.charts.base import ZOOM, Panel, Row, Spec, figure, look, short, tooltip
from trajlab.store import Trajectory

MOST_CURVES = 1200  # of a run and task each; beyond, some runs of each group stand for it
POINTS = 15_000  # of all curves, which share them
MOST, LEAST = 60, 12  # points of one curve
_LOSS = "training loss"
_CLOCKS = ("epoch", "tokens", "samples", "flops", "wall_time")
_ABOUT = ("step", "task", "items", "correct", *_CLOCKS)


def curves(
    runs: Iterable[Trajectory], keys: Sequence[str], places: Mapping[str, int]
) -> list[Panel]:
    """Return one panel: what each run reached, by step, training loss, or what a clock said.

    Parameters
    ----------
    runs
        Recorded runs.
    keys
        Metadata that names a group.
    places
        Place of each group's name in the palette.

    Returns
    -------
    list of Panel
        Empty if nothing was evaluated.
    """
    chosen, left_out = _spread(list(runs), keys)
    names = named([group_keys(run, keys) for run in chosen], keys)
    tables = {
        (name or "all runs", run.path.name, task): table
        for name, run in zip(names, chosen, strict=True)
        for task, table in _tables(run)
    }
    if not tables:
        return []
    present = {str(name): None for table in tables.values() for name in table}
    axes = [name for name in ("step", _LOSS, *map(_words, _CLOCKS)) if name in present]
    # A dot in a metric's name would be read as a path.
    columns = {f"c{number}": name for number, name in enumerate(present)}
    along = {key: name for axis in axes for key, name in columns.items() if name == axis}
    shown = {key: name for key, name in columns.items() if name not in axes or name == _LOSS}
    style = look((name for name, _, _ in tables), places)
    at: dict[str, Spec] = {
        "x": {"field": "x", "type": "quantitative", "title": None},
        "y": {"field": "value", "type": "quantitative", "title": None},
    }
    for channel in at.values():
        channel["scale"] = {"zero": False}
    line = {
        "mark": {"type": "line", "aria": False, "strokeWidth": 1.2, "opacity": 0.7},
        "encoding": {
            **at,
            "color": style.color,
            "strokeDash": style.dash,
            "detail": {"field": "run"},
            "order": {"field": next(iter(along)), "type": "quantitative"},
        },
    }
    told = [{"field": key, "title": name} for key, name in along.items()]
    points = {
        "mark": {"type": "point", "filled": True, "size": 20, "opacity": 0.5},
        "encoding": {
            **at,
            "color": style.color,
            "tooltip": [*tooltip("series", "run", "task", "value"), *told],
        },
        "params": [ZOOM],
    }
    tasks = dict.fromkeys(task for _, _, task in tables)
    spec = figure(
        _thinned(tables, columns),
        f"Loss and metrics of {len(chosen)} runs over training.",
        layer=[line, points],
        params=[
            _select("task", {task: task for task in tasks}),
            _select("shown", shown),
            _select("along", along),
        ],
        transform=[
            {"filter": "datum.task == task"},
            {"calculate": "datum[along]", "as": "x"},
            {"calculate": "datum[shown]", "as": "value"},
            {"filter": "isValid(datum.x) && isValid(datum.value)"},
        ],
    )
    title = f"{len(chosen)} of {len(chosen) + left_out} runs" if left_out else ""
    return [Panel(title, spec, style.names)]


def _select(name: str, options: Mapping[str, str]) -> Spec:
    bind = {"input": "select", "options": list(options), "labels": list(options.values())}
    return {"name": name, "value": next(iter(options)), "bind": {**bind, "name": f"{name} "}}


def _spread(runs: list[Trajectory], keys: Sequence[str]) -> tuple[list[Trajectory], int]:
    """Choose runs of every group alike, and count the others."""
    groups: dict[str, list[Trajectory]] = {}
    for run in runs:
        groups.setdefault(label(group_keys(run, keys), keys), []).append(run)
    share = min(1.0, MOST_CURVES / max(1, sum(len(run.tasks) for run in runs)))
    chosen = []
    for group in groups.values():
        places = np.linspace(0, len(group) - 1, ceil(len(group) * share)).astype(int)
        chosen += [group[place] for place in places]
    return chosen, len(runs) - len(chosen)


def _tables(run: Trajectory) -> Iterable[tuple[str, pd.DataFrame]]:
    """Yield each task with its evaluations: a row a step, and a column a measure and axis."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for name in run.tables:
        if not name.startswith("evaluations/"):
            continue
        table, split = run.table(name), name.removeprefix("evaluations/")
        of_tasks = [each.name for each in table.declared.columns if each.axes == ("step", "task")]
        scores = [n for n in of_tasks if n not in _ABOUT and is_numeric_dtype(table[n])]
        told = {Axis(loss=f"{split}/{score}").name: table[score] for score in scores}
        steps = pd.Index(table["step"], name="step")
        for place, task in enumerate(table["task"] if told else ()):
            columns = {measure: values[:, place] for measure, values in told.items()}
            parts.setdefault(str(task), []).append(pd.DataFrame(columns, steps))
    clocks = {name: reading for name in _CLOCKS if parts and (reading := _clock(run, name))}
    for task, evaluated in parts.items():
        whole = pd.concat(evaluated, axis="columns").sort_index()
        known = whole.reset_index().dropna(axis="columns", how="all")
        read = {
            _words(name): np.interp(known["step"], *reading, left=np.nan, right=np.nan)
            for name, reading in clocks.items()
        }
        yield task, known.assign(**read)


def _clock(run: Trajectory, name: str) -> tuple[Any, Any] | None:
    try:
        step, values = clock(run, name)
    except TrajlabError:
        return None  # it falls: no axis
    return (step, values) if len(step) else None


def _words(name: str) -> str:
    return Axis(name).name


def _thinned(
    tables: Mapping[tuple[str, str, str], pd.DataFrame], columns: Mapping[str, str]
) -> list[Row]:
    """Return one row a curve, its points as lists: many short rows would fill the page."""
    each = int(np.clip(POINTS // len(tables), LEAST, MOST))
    rows = []
    for (series, run, task), table in tables.items():
        kept = table.iloc[np.unique(np.linspace(0, len(table) - 1, each).astype(int))]
        lists = {
            key: [short(value) for value in kept[name]] if name in kept else [None] * len(kept)
            for key, name in columns.items()
        }
        rows.append({"series": series, "run": run, "task": task, **lists})
    return rows
