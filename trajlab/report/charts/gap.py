"""The gap at equal training loss, to be looked at closely."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from trajlab.analysis import Gap
from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.interface.tables import records
from trajlab.analysis.runs.recorded import is_quantity
from trajlab.plots.gap import ends, vertical_range
from trajlab.report.charts import base

_TOLD = ("gap", "low", "high")
_DRAWN = (*_TOLD, "band_low", "band_high", "onset")


def gap(result: Gap, places: Mapping[str, int]) -> list[base.Panel]:
    """Return one panel a setting, task and metric."""
    keys = result.options.keys[1:]
    curve = base.labelled(pd.concat([result.curve.dropna(subset=["gap"]), ends(result)]), keys)
    summary = base.labelled(result.summary, keys)
    return [
        _panel(title, rows, summary, places, result.options.axis)
        for title, rows in base.panels(curve, ("setting", "task", "metric"))
    ]


def _panel(
    title: str, rows: pd.DataFrame, summary: pd.DataFrame, places: Mapping[str, int], axis: Axis
) -> base.Panel:
    style = base.look(rows["series"], places)
    matched = "train_loss" if axis == TRAINING_LOSS else re.sub(r"\W+", "_", axis.short)
    rows = rows.assign(**{matched: rows["at"]})
    x: base.Spec = {"field": matched, "type": "quantitative"}
    x["scale"] = {"type": "log", "reverse": axis.is_loss, "nice": False}
    x["axis"] = {
        "title": f"{axis.name} (falls from left to right)" if axis.is_loss else axis.name,
        "format": ".2~g",
        "tickCount": 6,
    }
    score = rows["metric"].iloc[0]
    better = "up is larger" if is_quantity(score) else "up is better"
    y: base.Spec = {"title": f"gap in {score} ({better})", "type": "quantitative"}
    y["scale"] = {"domain": vertical_range(rows)}
    shade: base.Spec = {
        "mark": {"type": "area", "aria": False, "clip": True},
        "encoding": {"x": x, "color": style.color},
    }

    def band(low: str, high: str, opacity: float) -> base.Spec:
        edges = {"y": y | {"field": low}, "y2": {"field": high}}
        mark = shade["mark"] | {"opacity": opacity}
        return {"mark": mark, "encoding": shade["encoding"] | edges}

    at: base.Spec = {"x": x, "y": y | {"field": "gap"}}
    line = {
        "mark": {"type": "line", "aria": False, "clip": True},
        "encoding": {**at, "color": style.color, "strokeDash": style.dash},
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 45, "clip": True},
        "encoding": {**at, "color": style.color, "shape": style.shape}
        | {"tooltip": base.tooltip("series", matched, *_TOLD)},
        "params": [base.ZOOM],
    }
    onset = {
        "transform": [{"filter": "datum.onset"}],
        "mark": {"type": "point", "aria": False, "size": 220, "strokeWidth": 2.5, "clip": True},
        "encoding": points["encoding"],
    }
    bands = [band("band_low", "band_high", 0.08), band("low", "high", 0.18)]
    shown = base.data(_with_onsets(rows, summary), ("series", matched, *_DRAWN))
    drawn = base.figure(shown, _finding(rows, axis), layer=[base.ZERO, *bands, line, points, onset])
    return base.Panel(title, drawn, style.names)


def _finding(rows: pd.DataFrame, axis: Axis) -> str:
    """Say where each curve ends: as far as both sides were trained."""
    by_series = rows.dropna(subset=["at"]).groupby("series", sort=False)["at"]
    ends = rows.loc[by_series.idxmin() if axis.is_loss else by_series.idxmax()]
    told = [
        f"{row['series']}: {row['gap']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}] "
        f"at {axis.equal(row['at'])}"
        for row in records(ends)
    ]
    return f"Gap in {rows['metric'].iloc[0]} to the baseline. {'; '.join(told)}."


def _with_onsets(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Mark the point of each curve at which its onset lies."""
    about = [name for name in ("setting", "task", "metric", "series") if name in rows]
    starts = summary.set_index(about)["onset_loss"].to_dict()
    marks: list[Any] = []
    for key, loss in zip(rows[about].itertuples(index=False), rows["at"], strict=True):
        start = starts.get(tuple(key), np.nan)
        marks.append(bool(np.isclose(loss, start, rtol=1e-6)))
    return rows.assign(onset=marks)
