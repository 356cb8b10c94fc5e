"""Loss and metric of every run over an axis of one's choice."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from trajlab.report.charts.base import ZOOM, Panel, figure, label, look, tooltip, values
from trajlab.store import Trajectory

MOST_RUNS = 60  # beyond, the first runs of each group stand for it
POINTS = 40_000  # of all curves, which share them
MOST, LEAST = 60, 12  # points of one curve
_LOSS = "training loss"
_AXES = ("step", _LOSS, "epoch")
_ABOUT = ("step", "task", "items", "correct")


def curves(
    runs: Iterable[Trajectory], keys: Sequence[str], places: Mapping[str, int]
) -> list[Panel]:
    """Return one panel: what each run reached, by step, training loss, or another axis.

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
    tables = [table for run in chosen if len(table := _table(run, keys))]
    if not tables:
        return []
    whole = pd.concat(tables, ignore_index=True)
    axes = [name for name in _AXES if name in whole]
    data = _thinned(whole, axes)
    own = look(whole["series"], places)
    what = list(dict.fromkeys(whole["what"]))
    at = {
        "x": {"field": "x", "type": "quantitative", "title": "the axis chosen below"},
        "y": {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}},
    }
    line = {
        "mark": {"type": "line", "aria": False, "strokeWidth": 1.2, "opacity": 0.7},
        "encoding": {
            **at,
            "color": own.color,
            "strokeDash": own.dash,
            "detail": {"field": "run"},
            "order": {"field": "step"},
        },
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 20, "opacity": 0.5},
        "encoding": {
            **at,
            "color": own.color,
            "tooltip": tooltip("series", "run", "what", "value", *axes),
        },
        "params": [ZOOM],
    }
    spec = figure(
        data,
        f"Loss and metrics of {len(chosen)} runs over training.",
        layer=[line, points],
        params=[_select("shown", what), _select("along", axes)],
        transform=[
            {"filter": "datum.what == shown"},
            {"flatten": ["value", *axes]},
            {"calculate": "datum[along]", "as": "x"},
        ],
    )
    title = f"{len(chosen)} of {len(chosen) + left_out} runs" if left_out else ""
    return [Panel(title, spec, own.names)]


def _select(name: str, options: Sequence[str]) -> dict[str, object]:
    bind = {"input": "select", "options": list(options), "name": f"{name} "}
    return {"name": name, "value": options[0], "bind": bind}


def _spread(runs: list[Trajectory], keys: Sequence[str]) -> tuple[list[Trajectory], int]:
    """Choose runs of every group alike, and count the others."""
    groups: dict[str, list[Trajectory]] = {}
    for run in runs:
        groups.setdefault(label(run.metadata, keys), []).append(run)
    each = max(1, MOST_RUNS // max(1, len(groups)))
    chosen = [run for group in groups.values() for run in group[:each]]
    return chosen, len(runs) - len(chosen)


def _table(run: Trajectory, keys: Sequence[str]) -> pd.DataFrame:
    """Return a run's evaluations: one row a step, task, split and metric, thinned out."""
    parts = []
    train = run.frame("evaluations/train") if "evaluations/train" in run.tables else None
    for name in run.tables:
        if not name.startswith("evaluations/"):
            continue
        frame = run.frame(name)
        scores = [column for column in frame if column not in (*_ABOUT, "epoch")]
        scores = [column for column in scores if is_numeric_dtype(frame[column])]
        rows = frame.melt(["step", "task"], scores, "metric").dropna(subset=["value"])
        split = name.removeprefix("evaluations/")
        rows["what"] = rows["task"].astype(str) + " · " + split + " " + rows["metric"].astype(str)
        parts.append(rows)
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    if train is not None and "loss" in train:
        losses = train.rename(columns={"loss": _LOSS})
        extra = [name for name in ("epoch",) if name in losses]
        rows = rows.merge(losses[["step", "task", _LOSS, *extra]], on=["step", "task"], how="left")
    named = rows.assign(series=label(run.metadata, keys) or "all runs", run=run.path.name)
    return named[["series", "run", "what", "value", *(name for name in _AXES if name in named)]]


def _thinned(whole: pd.DataFrame, axes: Sequence[str]) -> list[dict[str, object]]:
    """Return one row a curve, its points as lists: many short rows would fill the page."""
    curves = whole.groupby(["series", "run", "what"], sort=False)
    each = int(np.clip(POINTS // max(1, curves.ngroups), LEAST, MOST))
    rows = []
    for (name, run, what), part in curves:
        ordered = part.sort_values("step")
        kept = ordered.iloc[np.unique(np.linspace(0, len(part) - 1, each).astype(int))]
        points = values(kept, ["value", *axes])
        lists = {column: [point[column] for point in points] for column in ("value", *axes)}
        rows.append({"series": name, "run": run, "what": what, **lists})
    return rows
