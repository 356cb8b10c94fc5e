"""What a method's configurations reach: chosen on one set of runs, measured on fresh ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajlab.analysis.front.pareto import (
    MOST_IN_VOLUME,
    hypervolume,
    non_dominated,
    resampled_means,
    set_distance,
    utility_weights,
)
from trajlab.analysis.statistics.intervals import FloatArray
from trajlab.lazy import pd

Key = tuple[str, ...]
SPARSE = 3  # configurations of a sparse grid
GRIDS = 1_000
_FEW = "no configuration has two runs: no interval"


@dataclass(frozen=True)
class Configurations:
    """The configurations of one method in one setting; every objective is to be maximised.

    Attributes
    ----------
    names
        Names of the k configurations.
    validation
        (k, m) means on the split that is chosen on.
    runs
        For each configuration its (n, m) runs on the split that is reported; the fresh ones where
        there are any, none where the configuration was not run again.
    trials
        Runs in all that were chosen from.
    """

    names: tuple[Key, ...]
    validation: FloatArray
    runs: tuple[FloatArray, ...]
    trials: int

    @property
    def chosen(self) -> FloatArray:
        """(k,) whether a configuration is on the front of validation, and was measured."""
        return np.asarray(self._on_front() & self._measured())

    @property
    def left(self) -> int:
        """How many configurations on the front of validation were not run again."""
        return int((self._on_front() & ~self._measured()).sum())

    def _measured(self) -> NDArray[np.bool_]:
        return np.array([len(seeds) > 0 for seeds in self.runs], bool)

    def _on_front(self) -> NDArray[np.bool_]:
        front = np.zeros(len(self.names), bool)
        usable = np.isfinite(self.validation).all(axis=1)
        if usable.any():
            front[usable] = non_dominated(self.validation[usable])
        return front

    def front(self) -> list[FloatArray]:
        """Return the runs of each chosen configuration."""
        return [seeds for seeds, taken in zip(self.runs, self.chosen, strict=True) if taken]

    def best(self, weights: FloatArray) -> int | None:
        """Return which measured configuration has the largest utility on validation."""
        usable = [i for i, seeds in enumerate(self.runs) if len(seeds)]
        usable = [i for i in usable if np.isfinite(self.validation[i]).all()]
        if not usable:
            return None
        return max(usable, key=lambda i: float(self.validation[i] @ weights))


def distance_row(
    method: Configurations, baseline: Configurations, confidence: float, seed: int
) -> dict[str, Any]:
    """Return the signed distance of a method's front to the baseline's, with its interval."""
    sides = method.front(), baseline.front()
    row: dict[str, Any] = {
        "signed_distance": np.nan,
        "low": np.nan,
        "high": np.nan,
        "n_chosen": len(sides[0]),
        "n_chosen_baseline": len(sides[1]),
        "fewest_runs": min((len(own) for side in sides for own in side), default=0),
        "n_trials": method.trials,
        "n_trials_baseline": baseline.trials,
    }
    if not all(sides):
        nothing = "no configuration was chosen and measured"
        return {**row, "reason": "; ".join([nothing, *_left_out(method, baseline)])}
    means = [np.stack([seeds.mean(axis=0) for seeds in side]) for side in sides]
    row["signed_distance"] = float(set_distance(*means))
    missing = _left_out(method, baseline)
    if not all(any(len(seeds) > 1 for seeds in side) for side in sides):
        return {**row, "reason": "; ".join([_FEW, *missing])}
    drawn = [resampled_means(side, seed=seed + i) for i, side in enumerate(sides)]
    spread = set_distance(*drawn)
    low, high = np.quantile(spread - spread.mean(), [(1 - confidence) / 2, (1 + confidence) / 2])
    row |= {"low": row["signed_distance"] + low, "high": row["signed_distance"] + high}
    reasons = []
    if method.trials != baseline.trials:
        reasons.append("unequal numbers of trials favour the larger")
    return {**row, "reason": "; ".join([*reasons, *missing])}


def volume_row(method: Configurations, reference: FloatArray) -> dict[str, Any]:
    """Return the hypervolume of a method's front above a reference point."""
    side = method.front()
    means = np.array([seeds.mean(axis=0) for seeds in side])
    many = len(reference) > MOST_IN_VOLUME
    reasons = [f"more than {MOST_IN_VOLUME} objectives: no hypervolume"] if many else []
    volume = hypervolume(means, reference) if side and not many else np.nan
    return {
        "hypervolume": volume,
        "n_chosen": len(side),
        "n_trials": method.trials,
        "reason": "; ".join([*reasons, *_left_out(method)]),
    }


def _left_out(*sides: Configurations) -> list[str]:
    """Say how many configurations on fronts of validation are missing, for want of fresh runs."""
    left = sum(side.left for side in sides)
    return [f"{left} on the front of validation not run again"] if left else []


def flip_rows(
    first: Configurations,
    second: Configurations,
    objectives: Sequence[str],
    confidence: float,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield the difference in utility of two methods' best configurations, for each weight."""
    drawn: dict[tuple[int, int], FloatArray] = {}  # a utility's weights come after resampling

    def resampled(number: int, configuration: int) -> FloatArray:
        key = number, configuration
        if key not in drawn:
            runs = (first, second)[number].runs[configuration]
            drawn[key] = resampled_means([runs], seed=seed + number)[:, 0]
        return drawn[key]

    missing = _left_out(first, second)  # one of them may have been the best
    for weights in utility_weights(len(objectives)):
        chosen = [side.best(weights) for side in (first, second)]
        row: dict[str, Any] = {
            "weights": ", ".join(
                f"{name}={round(float(weight), 3)}"
                for name, weight in zip(objectives, weights, strict=True)
            ),
            **dict.fromkeys(("difference", "low", "high"), np.nan),
            "reason": "no configuration was measured",
        }
        if chosen[0] is not None and chosen[1] is not None:
            sides = first.runs[chosen[0]], second.runs[chosen[1]]
            row["difference"] = float((sides[0].mean(0) - sides[1].mean(0)) @ weights)
            row["reason"] = "; ".join([_FEW, *missing])
            if all(len(side) > 1 for side in sides):
                apart = (resampled(0, chosen[0]) - resampled(1, chosen[1])) @ weights
                ends = (1 - confidence) / 2, (1 + confidence) / 2
                row["low"], row["high"] = np.quantile(apart, ends)
                row["reason"] = "; ".join(missing)
        yield row


def spread_row(method: Configurations, weights: FloatArray, seed: int) -> dict[str, Any]:
    """Return how much the best of a sparse grid varies, against how much seeds do."""
    measured = [i for i, seeds in enumerate(method.runs) if len(seeds)]
    several = [seeds @ weights for seeds in method.runs if len(seeds) > 1]
    row: dict[str, Any] = dict.fromkeys(("grid_sd", "seed_sd", "ratio"), np.nan)
    row |= {"n_configurations": len(measured), "grid_size": SPARSE}
    if len(measured) <= SPARSE:
        return {**row, "reason": f"no more than {SPARSE} configurations"}
    if not several:
        return {**row, "reason": _FEW}
    score = method.validation @ weights
    reached = np.array(
        [seeds.mean(axis=0) @ weights if len(seeds) else np.nan for seeds in method.runs]
    )
    every = list(combinations(measured, SPARSE))
    if len(every) > GRIDS:
        rng = np.random.default_rng(seed)
        every = [tuple(rng.choice(measured, SPARSE, replace=False)) for _ in range(GRIDS)]
    best = [max(grid, key=lambda i: score[i]) for grid in every]
    free = sum(len(seeds) - 1 for seeds in several)
    squares = sum(float(((seeds - seeds.mean()) ** 2).sum()) for seeds in several)
    row["grid_sd"] = float(np.std(reached[best]))
    row["seed_sd"] = float(np.sqrt(squares / free))
    row["ratio"] = row["grid_sd"] / row["seed_sd"] if row["seed_sd"] else np.nan
    return {**row, "reason": "" if row["seed_sd"] else "seeds do not differ"}


def configurations(
    chosen_on: pd.DataFrame,
    measured_on: pd.DataFrame,
    objectives: Mapping[str, bool],
    keys: Sequence[str],
) -> Configurations:
    """Collect one method's configurations.

    Parameters
    ----------
    chosen_on, measured_on
        One row a run, with a column an objective.
    objectives
        Whether more of each is better.
    keys
        Columns that name a configuration.
    """
    sign = np.where(list(objectives.values()), 1.0, -1.0)
    names = list(objectives)

    def runs(frame: pd.DataFrame) -> dict[Key, FloatArray]:
        known = frame[np.isfinite(frame[names].to_numpy(float)).all(axis=1)]
        labels = known[list(keys)].astype(str).agg("\n".join, axis=1) if len(known) else known
        return {
            tuple(str(label).split("\n")): part[names].to_numpy(float) * sign
            for label, part in (known.groupby(labels, sort=False) if len(known) else ())
        }

    on, off = runs(chosen_on), runs(measured_on)
    nothing = np.empty((0, len(names)))
    return Configurations(
        names=tuple(on),
        validation=np.array([seeds.mean(axis=0) for seeds in on.values()]).reshape(-1, len(names)),
        runs=tuple(off.get(name, nothing) for name in on),
        trials=sum(len(seeds) for seeds in on.values()),
    )
