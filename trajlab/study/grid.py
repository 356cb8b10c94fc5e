"""A stage of a study: lists of values, multiplied out into runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from trajlab.training.settings import setting


@dataclass(frozen=True)
class Best:
    """A hyper-parameter's value chosen on validation, among those that another stage tried.

    Attributes
    ----------
    stage
        The stage that tried them.
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
        By which `Best` refers to it.
    grid
        A list of values a key; values may be `Best`.
    """

    name: str
    grid: Mapping[str, Sequence[Any]]

    @property
    def sources(self) -> set[str]:
        """The stages whose results it needs."""
        values = (value for listed in self.grid.values() for value in listed)
        return {value.stage for value in values if isinstance(value, Best)}

    def configurations(self) -> list[dict[str, Any]]:
        """Multiply the lists out, each configuration once.

        The seed varies slowest, so that whole comparisons are trained first. A problem of one task
        is trained by ``single``, whatever method the stage names.

        Raises
        ------
        TrajlabError
            If a setting has no such condition.
        """
        keys = sorted(self.grid, key=lambda key: key != "seed")
        found: list[dict[str, Any]] = []
        for values in product(*(self.grid[key] for key in keys)):
            configuration = dict(zip(keys, values, strict=True))
            tasks = setting(configuration["setting"]).tasks(configuration["condition"])
            if len(tasks) == 1:
                configuration["method"] = {"name": "single"}
            if configuration not in found:
                found.append(configuration)
        return found

    @property
    def cost(self) -> int:
        """Passes of a task over its data, over all runs: what training time grows with."""
        return sum(map(cost, self.configurations()))


def cost(configuration: Mapping[str, Any]) -> int:
    """Return the passes of a task over its data in one run."""
    tasks = setting(configuration["setting"]).tasks(configuration["condition"])
    return int(configuration["epochs"]) * len(tasks)
