"""What probes that multiply with Hessians on a fixed sample have in common."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from trajlab.measure.curvature.product import HessianProduct, Loss
from trajlab.record.moment import Moment
from trajlab.record.probes.sampled import Sampled, losses_function
from trajlab.record.sample import Data
from trajlab.record.schedule import Every

_logger = logging.getLogger("trajlab")


class SecondOrder(Sampled):
    """A probe of second derivatives on a fixed sample.

    Parameters
    ----------
    every, data, seed
        As for `Sampled`.
    """

    def __init__(self, every: Every, data: Data | None, seed: int = 0) -> None:
        super().__init__(every, data, seed)
        self._by_function: dict[str, bool] = {}

    @contextmanager
    def losses(self, moment: Moment) -> Iterator[Mapping[str, Loss]]:
        """Give each task's loss in the form that its Hessian's products are best taken from.

        The graph, for double backward is the faster one; a function of the parameters, for
        ``torch.func``, where double backward fails and that does not. Attention is computed by
        plain operations: the fused ones have no second derivative.
        """
        with sdpa_kernel(SDPBackend.MATH):
            sample, task_losses = self.sample(moment), losses_function(moment)
            functions: dict[str, Loss] = {}
            for task, loss in sample.mean_losses(moment.model, task_losses).items():
                function = sample.mean_loss_function(task, moment.model, task_losses)
                if task not in self._by_function:
                    self._by_function[task] = _needs_function(task, loss, function, moment)
                functions[task] = function if self._by_function[task] else loss
            yield functions


def _needs_function(task: str, graph: Tensor, function: Loss, moment: Moment) -> bool:
    """Try a product by double backward; if that fails, one by ``torch.func``."""
    if not moment.trainable or not graph.requires_grad:
        return False
    reasons = []
    for loss in (graph, function):
        try:
            product = HessianProduct(loss, moment.parameters)
            product(product.gradient)
        except RuntimeError as error:
            reasons.append(str(error).partition("\n")[0])
        else:
            break
    if len(reasons) == 1:
        _logger.info(
            "trajlab takes second derivatives of task %s by torch.func, for by double backward it "
            "cannot: %s",
            task,
            reasons[0],
        )
    return len(reasons) == 1
