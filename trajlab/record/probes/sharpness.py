"""How much each task's loss rises when the shared weights are disturbed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Any, Literal

from trajlab.errors import TrajlabError
from trajlab.measure.curvature.sharpness import average_sharpness, sharpness
from trajlab.record import settings
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import NO_DATA, Sampled, losses_function
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Table, standard


class Sharpness(Sampled):
    """Adaptive sharpness of each task's unweighted loss, heads fixed: the mean over whole batches.

    Paper A: batches of 128 from the first 2,048 training examples, ρ = .001, .005, .01.

    Parameters
    ----------
    every, data
        As for `Sampled`; a shorter last batch is left out.
    rho : sequence of float
        Radii relative to each weight's magnitude.
    method : "worst-case" or "average-case"
        The largest rise within ρ (APGD), or the mean rise under Gaussian noise of deviation ρ.
    iterations : int
        Steps of APGD, or noise draws; each costs one gradient, or two losses, a batch, radius and
        task.
    chance : mapping of str to float, optional
        Each task's loss at chance level (ln C for C balanced classes; infinite where there is
        none). A value is `saturated` where the disturbed loss reaches it. Without, it is not said.
    seed : int
        Seed of the sample's order where the loader shuffles, and of the noise.

    Raises
    ------
    TrajlabError
        If the method is not one of the two, or a number is out of range.
    """

    def __init__(
        self,
        every: Every = "epoch",
        data: Data | None = None,
        *,
        rho: Sequence[float] = (1e-3, 5e-3, 1e-2),
        method: Literal["worst-case", "average-case"] = "worst-case",
        iterations: int = 20,
        chance: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        if not isinstance(chance, Mapping | None):
            raise TrajlabError(f"Sharpness: chance={chance!r} is no mapping; give {{task: loss}}")
        if method not in ("worst-case", "average-case"):
            raise TrajlabError(f"method={method!r}; use 'worst-case' or 'average-case'")
        self._rho = settings.listed("Sharpness: rho", rho, settings.positive)
        self._method = method
        self._iterations = settings.whole("Sharpness: iterations", iterations, 1)
        for task, loss in (chance or {}).items():
            if not isinstance(loss, int | float) or isnan(loss):
                raise TrajlabError(
                    f"Sharpness: chance= gives {loss!r} for task {task!r}; give its loss at chance"
                )
        self._chance = chance

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop, or a task's loss at chance is not known."""
        super().check(setup)
        for task in self.sampled_tasks(setup.tasks) if self._chance else ():
            if task not in (self._chance or {}):
                raise TrajlabError(f"chance= lacks task {task!r}; give its loss at chance")

    def table(self, moment: Moment) -> Table:
        """Declare ``sharpness``."""
        columns = ("value", "se", *(["saturated"] if self._chance else []), "reason")
        table = standard("sharpness", task=moment.tasks, rho=self._rho).only(*columns)
        estimator = "apgd" if self._method == "worst-case" else "gaussian"
        attributes = self.attributes(estimator, method=self._method, iterations=self._iterations)
        return replace(table, attributes=attributes)

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``value``, ``se``, …, each of shape (task, rho)."""
        functions = self.sample(moment).loss_functions(moment.model, losses_function(moment))
        row: dict[str, list[Any]] = {"value": [], "se": [], "reason": []}
        saturated = []
        for task in moment.tasks:
            if task not in functions:
                nothing = [nan] * len(self._rho)
                row["value"].append(nothing)
                row["se"].append(nothing)
                saturated.append([False] * len(self._rho))
                row["reason"].append(NO_DATA)
                continue
            if self._method == "worst-case":
                rise = sharpness(
                    functions[task], moment.trainable, self._rho, iterations=self._iterations
                )
            else:
                rise = average_sharpness(
                    functions[task],
                    moment.trainable,
                    self._rho,
                    draws=self._iterations,
                    seed=self._seed,
                )
            row["value"].append(list(rise.value))
            row["se"].append(list(rise.se))
            row["reason"].append("" if rise.value[0] == rise.value[0] else "the loss became NaN")
            if self._chance:
                saturated.append([loss >= self._chance[task] for loss in rise.disturbed])
        return row | ({"saturated": saturated} if self._chance else {})
