"""A stage of a study: lists of values, multiplied out into runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from trajlab.analysis.front.budget import Budget
from trajlab.training.settings import setting


@dataclass(frozen=True)
class Best:
    """A hyper-parameter's value chosen on validation, among those that another stage tried.

    Attributes
    ----------
    stage
        Name of the stage in which they were tried.
    per
        Keys whose combinations each have a best value of their own; none: one for all.
    where
        Keys and values that narrow the stage's runs.
    times
        A factor to multiply the best value by, for controls.
    """

    stage: str
    per: tuple[str, ...] = ()
    where: Mapping[str, Any] | None = None
    times: float = 1.0


@dataclass(frozen=True)
class Stage:
    """A grid of configurations.

    Attributes
    ----------
    name
        Name that `Best` refers to it by.
    grid
        A list of values a key; values may be `Best`.
    again
        Stages of which the chosen configurations are trained again; the grid then has seeds alone.
    front
        Whether their whole fronts are, or the best of each.
    budgets
        What their fronts are read at: the whole training, or where each run has spent as much as
        the one of all stages that spent least.
    """

    name: str
    grid: Mapping[str, Sequence[Any]]
    again: tuple["Stage", ...] = ()
    front: bool = False
    budgets: tuple[Budget, ...] = ("whole",)

    @property
    def sources(self) -> set[str]:
        """The stages whose results it needs."""
        values = (value for listed in self.grid.values() for value in listed)
        return {value.stage for value in values if isinstance(value, Best)} | {
            stage.name for stage in self.again
        }

    def configurations(self) -> list[dict[str, Any]]:
        """Multiply the lists out, each configuration once.

        The seed varies slowest, so that whole comparisons are trained first. A problem of one task
        is trained by ``single``, whatever method the stage names. Of a front that is
        to be chosen there are at most these, all that it is chosen from; in the place of a best one
        stands the first.

        Raises
        ------
        TrajlabError
            If a setting has no such condition.
        """
        if self.again:
            tried = [stage.configurations() for stage in self.again]
            kept = [c for own in tried for c in (own if self.front else own[:1])]
            return reseeded(kept, self.grid)
        keys = sorted(self.grid, key=lambda key: key != "seed")
        distinct: list[dict[str, Any]] = []
        for values in product(*(self.grid[key] for key in keys)):
            configuration = dict(zip(keys, values, strict=True))
            tasks = setting(configuration["setting"]).tasks(configuration["condition"])
            if len(tasks) == 1:
                configuration["method"] = {"name": "single"}
            if configuration not in distinct:
                distinct.append(configuration)
        return distinct

    @property
    def cost(self) -> int:
        """Passes of a task over its data, over all runs: what training time grows with."""
        return sum(map(cost, self.configurations()))


def cost(configuration: Mapping[str, Any]) -> int:
    """Return the passes of a task over its data in one run."""
    tasks = setting(configuration["setting"]).tasks(configuration["condition"])
    return int(configuration["epochs"]) * len(tasks)


def reseeded(
    configurations: Iterable[Mapping[str, Any]], grid: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """Return configurations, each once, with a grid's values in the place of theirs.

    Parameters
    ----------
    configurations
        Complete ones.
    grid
        Lists of values a key, of which the first varies slowest.
    """
    distinct: list[dict[str, Any]] = []
    for values in product(*grid.values()):
        for configuration in configurations:
            own = {**configuration, **dict(zip(grid, values, strict=True))}
            if own not in distinct:
                distinct.append(own)
    return distinct
