"""What probes that measure on a fixed sample have in common."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import refuse_batch_statistics
from trajlab.measure.layers import group_by_layer, modules_of
from trajlab.record import settings
from trajlab.record.loop.setup import Setup
from trajlab.record.moment import Moment, TaskLosses
from trajlab.record.probes.probe import Probe
from trajlab.record.probes.reach import Reach
from trajlab.record.sample import Data, Sample
from trajlab.record.schedule import Every

_NAMES = 50  # that an attribute lists
NO_DATA = "no data of this task was given"


class Sampled(Probe):
    """A probe that measures in evaluation mode on a fixed sample.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        When to measure.
    data : iterable of batches, or mapping of str to iterable of batches
        The sample: a loader or a list of batches, one a task where tasks have inputs of their own.
        It is drawn once, inside the first measurement, and kept. The recorder needs
        ``task_losses=``.
    seed : int
        Seed of the sample's order where the loader shuffles, and of whatever the estimator draws.
    """

    needs_task_losses = True
    needs_data = True
    takes_complex = False  # parameters

    def __init__(self, every: Every, data: Data | None, seed: int = 0) -> None:
        super().__init__(every)
        if data is None:
            raise TrajlabError(
                f"{type(self).__name__} measures on data of its own; pass data=, a loader or a "
                "list of batches"
            )
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise TrajlabError(
                f"{type(self).__name__}(data={data!r}) holds no batches; pass a loader or a list "
                "of them"
            )
        self._data = data
        self._seed = settings.seed(f"{type(self).__name__}: seed", seed)
        self._sample: Sample | None = None
        self._reach = Reach()
        self._reached: object = None  # the shared parameters that were looked for

    def check(self, setup: Setup) -> None:
        """Raise if it cannot measure in this loop, or on this data."""
        super().check(setup)
        if self.needs_graph:
            return
        kind = type(self).__name__
        tasks = self.sampled_tasks(setup.tasks)
        for task in tasks:
            if task not in setup.tasks:
                raise TrajlabError(
                    f"{kind}(data=…) holds batches of task {task!r}, which is not declared; "
                    f"declare it in tasks=, beside {', '.join(setup.tasks)}"
                )
        sizes = [len(batches) for batches in tasks.values() if isinstance(batches, Sized)]
        if len(sizes) == len(tasks) and not any(sizes):
            raise TrajlabError(f"{kind}(data=…) holds no batch; give a loader or a list of batches")

    def sampled_tasks(self, declared: Sequence[str]) -> Mapping[str, Iterable[Any]]:
        """Return the batches of each task that has some."""
        return (
            self._data if isinstance(self._data, Mapping) else dict.fromkeys(declared, self._data)
        )

    def sample(self, moment: Moment) -> Sample:
        """Put the model into evaluation mode, and return the sample.

        Raises
        ------
        TrajlabError
            If what the first batch gives depends on none of the shared parameters; looked at again
            when those change.
        """
        if self._sample is None:
            self._sample = Sample(self._data, moment.tasks, self._seed)
        moment.model.eval()
        if self._reached is not moment.parameters:
            given: dict[str, Tensor] = {}
            for wanted, batch in next(self._sample.rounds()):
                given |= self.differentiated(moment, wanted, batch)
            self.look(moment, given)
            self._reached = moment.parameters
        return self._sample

    def look(self, moment: Moment, losses: Mapping[str, Tensor]) -> None:
        """Look whether losses depend on parameters that it can measure.

        Raises
        ------
        TrajlabError
            If they depend on none, or one is complex and that is not provided for.
        """
        for name, parameter in moment.trainable.items():
            if parameter.is_complex() and not self.takes_complex:
                raise TrajlabError(
                    f"{type(self).__name__} takes real parameters alone, and {name} is complex; "
                    "leave it out of shared="
                )
        self._reach.look(moment, losses)

    def differentiated(
        self, moment: Moment, wanted: Sequence[str], batch: Any
    ) -> Mapping[str, Tensor]:
        """Return what is differentiated on a batch, for each task that it serves."""
        assert self._sample is not None
        losses = self._sample.losses(wanted, batch, moment.model, losses_function(moment))
        return {task: found.sums for task, found in losses.items()}

    def attributes(self, estimator: str, **further: Any) -> dict[str, Any]:
        """Return what the table says about how its numbers were made."""
        identity = {} if self._sample is None else self._sample.identity
        return {
            "estimator": estimator,
            "parameters": "shared",
            "mode": "evaluation",
            "seed": self._seed,
            **identity,
            **further,
        }


def losses_function(moment: Moment) -> TaskLosses:
    """Return the recorder's ``task_losses``, which it has seen to."""
    assert moment.task_losses is not None
    return moment.task_losses


class Checks:
    """Comparisons of single examples' gradients with autograd, one a task.

    Parameters
    ----------
    seed : int
        Seed of the examples that are compared.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._checks: dict[str, ExampleCheck] = {}

    def __getitem__(self, task: str) -> ExampleCheck:
        """Return the comparison of a task."""
        return self._checks.setdefault(task, ExampleCheck(self._seed))

    def attributes(self) -> dict[str, Any]:
        """Return what a table says about them."""
        checks = self._checks.values()
        return {
            "checked_gradients": sum(check.passes for check in checks),
            "example_by_example": _some({n for check in checks for n in check.one_by_one}),
            "formula_was_wrong": _some({n for check in checks for n in check.wrong}),
        }


def _some(names: Collection[str]) -> list[str]:
    """Return the first names, for an attribute of a table holds no long list."""
    first, left = sorted(names)[:_NAMES], len(names) - _NAMES
    return [*first, f"and {left} more"] if left > 0 else first


@contextmanager
def capture_shared(moment: Moment) -> Iterator[Capture]:
    """Capture the shared layers in a forward pass, for gradients of single examples.

    Raises
    ------
    TrajlabError
        If the model normalised over the batch, so that there are none.
    """
    layers = modules_of(moment.model, group_by_layer(moment.trainable))
    with Capture(layers) as capture:
        yield capture
    refuse_batch_statistics(moment.model)
