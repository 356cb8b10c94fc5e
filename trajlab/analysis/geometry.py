"""The path of the weights: principal components of it, and how far runs drift apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from trajlab.analysis.result import Result
from trajlab.analysis.runs.groups import group
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory

_PLACES = (("parameters", "sketch"), ("sketches", "weights"))  # table and column, in this order
_FACTS = ("kind_of_sketch", "size", "seed")  # of a sketch


@dataclass(frozen=True, kw_only=True)
class Geometry(Result):
    """What :func:`geometry` returns.

    Attributes
    ----------
    projection
        One row a run and recorded step: `component_1, component_2, …`.
    distance
        One row a pair of runs and step that both recorded.
    explained
        One row a principal component: its share of the variance.
    """

    projection: pd.DataFrame
    distance: pd.DataFrame
    explained: pd.DataFrame


def geometry(
    runs: Iterable[Trajectory],
    *,
    components: int = 2,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Geometry:
    """Principal components of the weight trajectories, and the distance between runs over time.

    From sketches of the weights, which keep inner products up to a small error. The components are
    those of all runs together, so that their paths can be compared. They describe and test nothing:
    the components of a random walk look like smooth curves too.

    Parameters
    ----------
    runs
        Runs that recorded `sketch` in the table `parameters`, or `weights` in `sketches`.
    components
        How many components to give.
    seed, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Geometry
        Tables `projection`, `distance` and `explained`, for each setting by itself.

    Raises
    ------
    TrajlabError
        If no run recorded sketches, or runs were sketched differently or share other parameters.

    References
    ----------
    E. Lorch (2016), "Visualizing deep network training trajectories with PCA". J. Antognini,
    J. Sohl-Dickstein, NeurIPS 2018: the components of a random walk are cosines.
    """
    if components < 1:
        raise TrajlabError(f"components must be at least 1, not {components}")
    members: dict[str, list[tuple[dict[str, Any], Trajectory]]] = {}
    for item in group(runs, group_by):
        head: dict[str, Any] = {**item.keys, "baseline": "", "n_baseline": 0, "n_runs": 1}
        for run in item.runs:
            if _place(run):
                members.setdefault(item.keys["setting"], []).append((head, run))
    if not members:
        raise TrajlabError(
            "no complete run recorded sketches of its weights; record them with "
            "probes.GradientSketch"
        )
    made: dict[str, list[pd.DataFrame]] = {"projection": [], "distance": [], "explained": []}
    for setting, found in members.items():
        _check_alike([run for _, run in found])
        paths = [_path(run) for _, run in found]
        scores, shares = principal_components([path for _, path in paths], components)
        names = [f"component_{i + 1}" for i in range(scores[0].shape[1])]
        for (head, run), (step, _), score in zip(found, paths, scores, strict=True):
            frame = pd.DataFrame(score, columns=names)
            frame.insert(0, "step", step)
            made["projection"].append(frame.assign(**head, run=str(run.path), reason=""))
        for (a, first), (b, second) in combinations(zip(found, paths, strict=True), 2):
            steps, apart = distance_over_time(*first, *second)
            other = {"run": str(a[1].path), "other_run": str(b[1].path)}
            same = {key: v if b[0][key] == v else "" for key, v in a[0].items()}
            reason = "" if len(steps) else "no step that both runs recorded"
            rows: dict[str, Any] = {"step": steps, "distance": apart}
            rows = rows if len(steps) else {"step": [pd.NA], "distance": [np.nan]}
            made["distance"].append(
                pd.DataFrame(rows).assign(**{**same, "n_runs": 2}, **other, reason=reason)
            )
        place: dict[str, Any] = {"setting": setting, "condition": "", "method": "", "baseline": ""}
        shown = {"component": range(1, len(shares) + 1), "explained": shares}
        counts = {"n_baseline": 0, "n_runs": len(found)}
        made["explained"].append(pd.DataFrame(shown).assign(**place, **counts, reason=""))
    tables = {name: _ordered(frames) for name, frames in made.items()}
    settings = {"components": components, "seed": seed, "group_by": list(group_by)}
    return Geometry(settings=settings, **tables)


def principal_components(
    paths: Sequence[FloatArray], components: int = 2
) -> tuple[list[FloatArray], FloatArray]:
    """Project paths on their common principal components.

    Parameters
    ----------
    paths
        One (n, k) array a run: points, or sketches of them.
    components
        How many; fewer where the points span fewer.

    Returns
    -------
    list of (n, c) arrays, (c,) array
        The coordinates of each path, and each component's share of the variance; NaN where the
        points do not vary. The largest coordinate of a component is positive.
    """
    points = np.concatenate(paths).astype(float)
    centred = points - points.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(components, len(sizes))
    scores = left[:, :kept] * sizes[:kept]
    largest = scores[np.abs(scores).argmax(axis=0), np.arange(kept)]
    scores *= np.where(largest < 0, -1.0, 1.0)
    total = float((sizes**2).sum())
    shares = sizes[:kept] ** 2 / total if total > 0 else np.full(kept, np.nan)
    ends = np.cumsum([len(path) for path in paths])[:-1]
    return np.split(scores, ends), np.asarray(shares)


def distance_over_time(
    step: npt.NDArray[np.int64],
    path: FloatArray,
    other_step: npt.NDArray[np.int64],
    other_path: FloatArray,
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the Euclidean distance of two paths at the steps that both have.

    Parameters
    ----------
    step, other_step
        (n,) and (m,) steps, each once.
    path, other_path
        (n, k) and (m, k) points.
    """
    common, here, there = np.intersect1d(step, other_step, return_indices=True)
    apart = path[here].astype(float) - other_path[there].astype(float)
    return common, np.asarray(np.linalg.norm(apart, axis=1))


def _place(run: Trajectory) -> tuple[str, str] | None:
    """Return the table and column that hold a run's sketched weights."""
    held = (place for place in _PLACES if place[0] in run.tables)
    return next((place for place in held if place[1] in run.table(place[0])), None)


def _path(run: Trajectory) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the steps and sketches of a run; rows that are not finite are left out."""
    name, column = _place(run) or _PLACES[0]
    table = run.table(name)
    sketch = np.asarray(table[column], float)
    known = np.isfinite(sketch).all(axis=1)
    return table["step"][known], sketch[known]


def _check_alike(runs: Sequence[Trajectory]) -> None:
    """Refuse runs whose sketches cannot be subtracted from one another."""
    first = _facts(runs[0])
    for run in runs:
        if not _path(run)[0].size:
            raise TrajlabError(f"{run.path} holds no finite sketch of its weights; leave it out")
        facts = _facts(run)
        if differ := [name for name in facts if facts[name] != first[name]]:
            raise TrajlabError(
                f"{runs[0].path} and {run.path} were sketched differently ({', '.join(differ)}), "
                "so their weights cannot be compared; name runs of one sketch"
            )


def _facts(run: Trajectory) -> dict[str, Any]:
    """Return what two sketches must agree in."""
    name, column = _place(run) or _PLACES[0]
    table = run.table(name)
    told = {fact: table.attributes.get(fact) for fact in _FACTS}
    width, shared = table[column].shape[1], sorted(run.shared)
    return {"table": name, **told, "numbers": width, "shared": shared}


def _ordered(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join frames, with what names a group in front."""
    if not frames:
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    lead = ["setting", "condition", "method", "baseline", "n_baseline", "n_runs"]
    first = [*lead, *(name for name in ("run", "other_run") if name in frame)]
    return frame[[*first, *(name for name in frame if name not in first)]]
