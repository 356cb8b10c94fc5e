"""A fixed sample of the training set, evaluated beside the evaluations that a trainer makes."""

import copy
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, Subset

from trajlab.errors import TrajlabError
from trajlab.measure.guard import guard

SEED = 0  # the same examples in every run on the same data


class TrainSample:
    """Examples of the training set, drawn once.

    Parameters
    ----------
    size : int
        How many; all of a smaller set.

    Attributes
    ----------
    identity : dict
        Which they are: ``sample_size``, of how many (``sample_of``), ``sample_seed``, and
        ``sample_sha256`` of their places in the data, by which runs are compared.

    Raises
    ------
    TrajlabError
        If `size` is not positive.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise TrajlabError(f"train_sample={size} is no number of examples; give 1 or more")
        self.size = size
        self.identity: dict[str, Any] = {}
        self._batches: DataLoader[Any] | None = None

    def draw(self, loader: Any) -> None:
        """Draw the examples from a training loader's data, each process its share of them.

        Raises
        ------
        TrajlabError
            If it is no ``DataLoader`` of data with a length.
        """
        try:
            number = len(loader.dataset)
            how = {"batch_size": loader.batch_size or 1, "collate_fn": loader.collate_fn}
        except (TypeError, AttributeError):
            raise TrajlabError(
                "train_sample needs one DataLoader of a training set with a length; leave it out, "
                "and evaluate a fixed part of the training data as split 'train'"
            ) from None
        generator = torch.Generator().manual_seed(SEED)
        chosen = torch.randperm(number, generator=generator)[: self.size].tolist()
        self.identity = {
            "sample_size": len(chosen),
            "sample_of": number,
            "sample_seed": SEED,
            "sample_sha256": hashlib.sha256(repr(chosen).encode()).hexdigest(),
        }
        several = dist.is_available() and dist.is_initialized()
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
        share = Subset(loader.dataset, chosen[rank::ranks])
        self._batches = DataLoader(share, generator=generator, **how)

    @property
    def left_out(self) -> float:
        """Share of the training set that is not in it."""
        return float(1 - self.identity["sample_size"] / max(self.identity["sample_of"], 1))

    def run(self, model: nn.Module, step: Callable[[Any, int], None]) -> None:
        """Call `step` with each batch and its number, in evaluation mode and without gradients.

        Nothing of it is left in the model, its metrics or the random streams; what is random in
        the data, such as augmentation, is drawn alike each time.

        Parameters
        ----------
        model : nn.Module
            The model that is evaluated.
        step : callable
            Computes the losses of a batch.
        """
        with guard(model), _metrics(list(model.modules())), torch.no_grad():
            model.eval()
            torch.manual_seed(SEED)
            np.random.seed(SEED)  # noqa: NPY002 - the stream that data sets draw from
            random.seed(SEED)
            for number, batch in enumerate(self._batches or ()):
                step(batch, number)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the data to the process that trains."""
        return self.__dict__ | {"_batches": None}


@contextmanager
def _metrics(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Restore what modules of torchmetrics have counted, which are no buffers."""
    counting = [module for module in modules if hasattr(module, "_defaults")]
    saved = [
        vars(module) | {name: copy.deepcopy(vars(module).get(name)) for name in _states(module)}
        for module in counting
    ]
    try:
        yield
    finally:
        for module, state in zip(counting, saved, strict=True):
            vars(module).clear()
            vars(module).update(state)


def _states(metric: Any) -> list[str]:
    return list(metric._defaults)
