"""The spectral density of each task's Hessian."""

from collections.abc import Mapping
from math import nan
from typing import Any

import torch

from trajlab.measure.curvature.density import spectral_density
from trajlab.record import settings
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import NO_DATA
from trajlab.record.probes.second_order import SecondOrder
from trajlab.record.sample import Data
from trajlab.record.schedule import Every
from trajlab.store import Column, Table


class HessianDensity(SecondOrder):
    """Spectral density of each task's Hessian, heads fixed, by stochastic Lanczos quadrature.

    Parameters
    ----------
    every, data
        As for `Sampled`; the sample is kept with its graph during a measurement.
    runs : int
        Random start vectors.
    nodes : int
        Nodes a run, one product each. Holds as many float64 vectors of the parameters' size.
    seed : int
        Seed of the start vectors, and of the sample's order where the loader shuffles.
    """

    def __init__(
        self,
        every: Every = "epoch",
        data: Data | None = None,
        *,
        runs: int = 4,
        nodes: int = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(every, data, seed)
        self._runs = settings.whole("HessianDensity: runs", runs, 1)
        self._nodes = settings.whole("HessianDensity: nodes", nodes, 1)

    def table(self, moment: Moment) -> Table:
        """Declare ``hessian_density``."""
        axes = ("step", "task", "run", "node")
        return Table(
            "hessian_density",
            (
                Column("eigenvalue", axes, description="quadrature nodes, ascending"),
                Column("weight", axes, description="share of the spectrum; sums to 1 a run"),
                Column("reason", ("step", "task"), "str", description="why numbers are missing"),
            ),
            {
                "task": moment.tasks,
                "run": list(range(self._runs)),
                "node": list(range(self._nodes)),
            },
            self.attributes("stochastic lanczos quadrature"),
        )

    def measure(self, moment: Moment) -> Mapping[str, Any]:
        """Return ``eigenvalue`` and ``weight``, shape (task, run, node)."""
        shape = (len(moment.tasks), self._runs, self._nodes)
        values = torch.full(shape, nan, dtype=torch.float64)
        weights = torch.full(shape, nan, dtype=torch.float64)
        reasons = [NO_DATA] * len(moment.tasks)
        with self.losses(moment) as losses:
            for t, task in enumerate(moment.tasks):
                if task not in losses:
                    continue
                reasons[t] = ""
                try:
                    density = spectral_density(
                        losses[task],
                        moment.parameters,
                        runs=self._runs,
                        nodes=self._nodes,
                        seed=self._seed,
                    )
                except torch.cuda.OutOfMemoryError:
                    raise
                except RuntimeError as error:
                    reasons[t] = str(error).partition("\n")[0]
                    continue
                values[t], weights[t] = density.values, density.weights
        return {"eigenvalue": values, "weight": weights, "reason": reasons}
