"""What an aggregation amounts to: the update beside the tasks' own gradients."""

import torch
from torch import Tensor

from trajlab.record.probes import Moment, Probe
from trajlab.record.probes.probe import Row
from trajlab.store import Column, Table


class Update(Probe):
    """The aggregated gradient of the trunk: its norm, and what it makes of each task's own.

    Attributes
    ----------
    jacobian
        (task, parameter) gradients of the present step.
    update
        (parameter,) what they were aggregated to.
    """

    needs_graph = True  # so that it measures where there are losses

    def __init__(self) -> None:
        super().__init__(every=10)
        self.jacobian = Tensor()
        self.update = Tensor()

    def table(self, moment: Moment) -> Table:
        """Declare ``aggregation``."""
        return Table(
            "aggregation",
            (
                Column(
                    "update_dot",
                    ("step", "task"),
                    description="inner product of the aggregated gradient with the task's own",
                ),
                Column("update_norm", description="norm of the aggregated gradient"),
                Column(
                    "implied_weight",
                    ("step", "task"),
                    description="weights of the sum of task gradients that is nearest to the "
                    "aggregated one; the shortest of several",
                ),
                Column(
                    "unexplained",
                    description="share of the aggregated gradient's squared norm that no weights "
                    "of the task gradients explain",
                ),
            ),
            {"task": list(moment.tasks)},
        )

    def measure(self, moment: Moment) -> Row:
        """Return the row of the present step."""
        dot = self.jacobian @ self.update
        weights = implied_weights(self.jacobian @ self.jacobian.T, dot)
        squared = self.update.double().square().sum()
        explained = dot.double() @ weights
        return {
            "update_dot": dot,
            "update_norm": self.update.norm(),
            "implied_weight": weights,
            "unexplained": (1 - explained / squared).clamp(0, 1),
        }


def implied_weights(gram: Tensor, dot: Tensor) -> Tensor:
    """Solve G w = J u for the weights that an update u amounts to, by least squares.

    Parameters
    ----------
    gram
        (task, task) inner products of the task gradients.
    dot
        (task,) those of the update with each.

    Returns
    -------
    Tensor
        (task,) float64; Jᵀ w is the projection of u on what the gradients span. A task whose
        gradient vanishes has weight 0, and all have NaN where inner products are not finite.
    """
    if not (gram.isfinite().all() and dot.isfinite().all()):
        return torch.full_like(dot, torch.nan, dtype=torch.float64)
    # on unit gradients, so that a small task's is not lost beside a large one's
    norms = gram.double().diagonal().sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    cosines = gram.double() * scale[:, None] * scale
    tolerance = torch.finfo(gram.dtype).eps * len(gram)
    implied: Tensor = scale * (
        torch.linalg.pinv(cosines, rtol=tolerance, hermitian=True) @ (scale * dot.double())
    )
    return implied
