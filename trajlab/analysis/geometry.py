"""The path of the weights: principal components of it, and how far runs drift apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlab.analysis.interface.options import Options
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs.groups import Group, group
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory

FloatArray = npt.NDArray[np.float64]

_PLACES = (("parameters", "sketch"), ("sketches", "weights"))  # table and column, in this order
_NOT_RECORDED = "no complete run recorded sketches of its weights"
_FACTS = ("kind_of_sketch", "size", "seed")  # of a sketch


@dataclass(frozen=True, kw_only=True)
class GeometryOptions(Options):
    """Options of :func:`geometry`, which says what each means."""

    components: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.components < 1:
            raise TrajlabError(f"components must be at least 1, not {self.components}")


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

    options: GeometryOptions
    projection: pd.DataFrame
    distance: pd.DataFrame
    explained: pd.DataFrame


def geometry(
    runs: Iterable[Trajectory],
    *,
    components: int = 2,
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
        Number of components to give.
    group_by
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

    Examples
    --------
    >>> import trajlab
    >>> found = trajlab.analysis.geometry(trajlab.datasets.load("digits-two-tasks"))
    >>> found.projection[["run", "step", "component_1", "component_2"]].shape
    (120, 4)
    """
    options = GeometryOptions(components=components, group_by=group_by)
    members: dict[str, list[_Path]] = {}
    for each in group(runs, group_by):
        paths = [_path(each, run) for run in each.runs if _place(run)]
        if paths:
            members.setdefault(each.keys["setting"], []).extend(paths)
    if not members:
        raise TrajlabError(f"{_NOT_RECORDED}; record them with probes.GradientSketch")
    projection, distance, explained = [], [], []
    for setting, paths in members.items():
        _check_alike(paths)
        scores, shares = principal_components([path.sketch for path in paths], components)
        projection += [_projection(path, score) for path, score in zip(paths, scores, strict=True)]
        distance += [_distance(*pair) for pair in combinations(paths, 2)]
        rows = {"component": range(1, len(shares) + 1), "explained": shares}
        keys = {"setting": setting, "condition": "", "method": ""}
        explained.append(Head(keys=keys, n_runs=len(paths)).above(pd.DataFrame(rows)))
    return Geometry(
        options=options,
        projection=_joined(projection),
        distance=_joined(distance),
        explained=_joined(explained),
    )


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


@dataclass(frozen=True)
class _Path:
    """The sketched weights of one run; steps at which they are not finite are left out."""

    keys: Mapping[str, str]
    run: Trajectory
    step: npt.NDArray[np.int64]
    sketch: FloatArray


def _path(group: Group, run: Trajectory) -> _Path:
    name, column = _place(run) or _PLACES[0]
    table = run.table(name)
    sketch = np.asarray(table[column], float)
    known = np.isfinite(sketch).all(axis=1)
    return _Path(group.keys, run, table["step"][known], sketch[known])


def _projection(path: _Path, scores: FloatArray) -> pd.DataFrame:
    """Return the rows of one run's path in the plane of the components."""
    rows = {f"component_{i + 1}": score for i, score in enumerate(scores.T)}
    frame = pd.DataFrame({"run": str(path.run.path), "step": path.step, **rows})
    return Head(keys=path.keys, n_runs=1).above(frame)


def _distance(first: _Path, second: _Path) -> pd.DataFrame:
    """Return the rows of two runs; one without numbers if they have no step in common."""
    steps, apart = distance_over_time(first.step, first.sketch, second.step, second.sketch)
    names = {"run": str(first.run.path), "other_run": str(second.run.path)}
    rows: dict[str, Any] = {"step": steps, "distance": apart}
    reason = ""
    if not len(steps):
        rows, reason = {"step": [pd.NA], "distance": [np.nan]}, "no step that both runs recorded"
    keys = {key: v if second.keys[key] == v else "" for key, v in first.keys.items()}
    frame = pd.DataFrame({**rows, "reason": reason}).assign(**names)
    return Head(keys=keys, n_runs=2).above(frame[[*names, "step", "distance", "reason"]])


def _check_alike(paths: Sequence[_Path]) -> None:
    """Refuse runs whose sketches cannot be subtracted from one another."""
    first = paths[0].run
    reference = _facts(first)
    for path in paths:
        run = path.run
        if not path.step.size:
            raise TrajlabError(f"{run.path} holds no finite sketch of its weights; leave it out")
        facts = _facts(run)
        if differ := [name for name in facts if facts[name] != reference[name]]:
            raise TrajlabError(
                f"{first.path} and {run.path} were sketched differently ({', '.join(differ)}), "
                "so their weights cannot be compared; name runs of one sketch"
            )


def _facts(run: Trajectory) -> dict[str, Any]:
    """Return what two sketches must agree in."""
    name, column = _place(run) or _PLACES[0]
    table = run.table(name)
    told = {fact: table.attributes.get(fact) for fact in _FACTS}
    width, shared = table[column].shape[1], sorted(run.shared)
    return {"table": name, **told, "numbers": width, "shared": shared}


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of a table; those that lack no number have no reason."""
    if not frames:
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    return frame if "reason" in frame else frame.assign(reason="")


def requires(groups: Sequence[Group], options: Options) -> str:
    """Return why there is no geometry: no run recorded sketches of its weights."""
    del options
    recorded = any(_place(run) for group in groups for run in group.runs)
    return "" if recorded else _NOT_RECORDED


FAMILY = Family(geometry, requires)
