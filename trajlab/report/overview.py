"""The overview: every task and way of training in one row, with a forest plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from trajlab.analysis import Diagnosis, Gap
from trajlab.analysis.gap.overview import overview
from trajlab.analysis.interface.tables import records
from trajlab.plots.style import named
from trajlab.report.readable import MISSING, text

SIGNS: Mapping[str, tuple[str, str]] = {  # seen in black and white too
    "improved": ("▲", "improved"),
    "lowered": ("▼", "lowered"),
    "within": ("=", "no difference larger than the margin"),
    "unclear": ("○", "cannot tell"),
    "descriptive": ("·", "descriptive only: too few runs for a test"),
}
WIDTH, HEIGHT = 170, 16  # of a forest plot's row, in px
_PARTS = ("matched", "reach", "selection")


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes
    ----------
    task, group
        Task and group that are compared.
    sign, meaning
        The outcome as a sign, and in words.
    outcome
        The outcome's name, by which it is coloured.
    forest
        Δ with its interval, drawn.
    delta, parts
        Δ, and what lies at equal loss, beyond it, and in the choice of checkpoint.
    n
        Runs of the group, and of the baseline.
    """

    task: str
    group: str
    sign: str
    meaning: str
    outcome: str
    forest: Markup
    delta: str
    parts: tuple[str, ...]
    n: str


@dataclass(frozen=True)
class Forest:
    """The comparisons by one metric.

    Attributes
    ----------
    title
        Setting, metric, split, and what is compared with.
    lines
        In order of Δ, the largest first.
    not_compared
        What is not compared, by the reason.
    """

    title: str
    lines: tuple[Line, ...]
    not_compared: Mapping[str, str]


def forests(diagnosis: Diagnosis) -> list[Forest]:
    """Return the overview of a diagnosis, one table a setting and metric.

    It is empty where nothing was compared.
    """
    gap = diagnosis.results.get("gap")
    if not isinstance(gap, Gap):
        return []
    keys = gap.options.keys
    margin, confidence = diagnosis.options.margin, diagnosis.options.confidence
    table = overview(gap.summary, keys, margin, confidence)
    made = [
        _forest(rows, keys[1:])
        for _, rows in table.groupby(["setting", "metric", "split"], sort=False, dropna=False)
    ]
    return [forest for forest in made if forest.lines]


def _forest(rows: pd.DataFrame, keys: Sequence[str]) -> Forest:
    compared = rows.dropna(subset=["delta"]).sort_values("delta", ascending=False, kind="stable")
    first = rows.iloc[0]
    against = ", ".join(dict.fromkeys(compared["baseline"]))
    title = f"{first['split']} {first['metric']} against {against}".strip()
    edge = _edge(compared)
    without = rows[rows["delta"].isna()]
    reasons = without["task"].groupby(without["reason"].replace("", "no value"), sort=False)
    return Forest(
        title=f"{first['setting']}: {title}" if first["setting"] else title,
        lines=tuple(
            _line(row, name, edge)
            for row, name in zip(records(compared), named(records(compared), keys), strict=True)
        ),
        not_compared={str(reason): ", ".join(tasks.unique()) for reason, tasks in reasons},
    )


def _edge(compared: pd.DataFrame) -> float:
    """Return how far the axis goes: a few wide intervals may leave it."""
    ends = compared[["delta", "delta_low", "delta_high"]].abs().to_numpy(float)
    ends = ends[np.isfinite(ends)]
    return float(min(ends.max(), 3 * np.median(ends)) * 1.05) or 1.0 if ends.size else 1.0


def _line(row: Mapping[str, Any], group: str, edge: float) -> Line:
    sign, meaning = SIGNS[row["outcome"]]
    return Line(
        task=row["task"],
        group=group,
        sign=sign,
        meaning=meaning,
        outcome=row["outcome"],
        forest=_drawn(row["delta"], row["delta_low"], row["delta_high"], edge),
        delta=_signed(row, "delta"),
        parts=tuple(_signed(row, name) for name in _PARTS),
        n=f"{row['n_runs']} / {row['n_baseline']}",
    )


def _signed(row: Mapping[str, Any], name: str) -> str:
    if pd.isna(row[name]):
        return MISSING
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if pd.isna(low) else f" [{text(low)}, {text(high)}]"
    return f"{'+' if row[name] > 0 else ''}{text(row[name])}{interval}"


def _drawn(delta: float, low: float, high: float, edge: float) -> Markup:
    """Draw Δ and its interval on an axis from −edge to edge; an arrow tells what goes beyond."""

    def place(value: float) -> float:
        return round(WIDTH / 2 * (1 + float(np.clip(value / edge, -1, 1))), 1)

    middle = HEIGHT / 2
    parts = [f'<line class="zero" x1="{WIDTH / 2}" x2="{WIDTH / 2}" y1="0" y2="{HEIGHT}"/>']
    if np.isfinite(low) and np.isfinite(high):
        ends = f'x1="{place(low)}" x2="{place(high)}" y1="{middle}" y2="{middle}"'
        parts.append(f'<line class="interval" {ends}/>')
        for value, tip, back in ((low, 1, 7), (high, WIDTH - 1, WIDTH - 7)):
            if abs(value) > edge:
                points = f"{tip},{middle} {back},{middle - 4} {back},{middle + 4}"
                parts.append(f'<polygon points="{points}"/>')
    parts.append(f'<circle cx="{place(delta)}" cy="{middle}" r="4"/>')
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return Markup(f'<svg class="forest" {size} aria-hidden="true">{"".join(parts)}</svg>')
