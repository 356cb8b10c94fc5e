"""When a probe measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10

from trajlab.errors import TrajlabError
from trajlab.record import settings

Every = int | str | Sequence[int] | Callable[[int], bool]


class Schedule:
    """A rule that says at which steps to measure; it depends on nothing but the step.

    Parameters
    ----------
    every : int, "epoch", sequence of int or callable
        A number of steps (step 0 included); ``"epoch"``: before training, and at the first
        evaluation after a training step; the steps themselves; or a function of the step, such as
        `log_spaced`.

    Raises
    ------
    TrajlabError
        If `every` is none of these, or a step is no whole number from 0 on.
    """

    def __init__(self, every: Every) -> None:
        self.every = every
        self._at_step: Callable[[int], bool] | None = None
        if callable(every):
            self._at_step = every
        elif isinstance(every, int) and not isinstance(every, bool) and every > 0:
            self._at_step = _Multiples(every)
        elif isinstance(every, Sequence) and not isinstance(every, str):
            self._at_step = frozenset(settings.whole("every", step) for step in every).__contains__
        elif not isinstance(every, str) or every != "epoch":
            raise TrajlabError(
                f"every={every!r} is no schedule; give a positive number of steps, 'epoch', a list "
                "of steps, or a function of the step such as log_spaced()"
            )

    def due(self, step: int, new_epoch: bool) -> bool:
        """Say whether to measure.

        Parameters
        ----------
        step : int
            Optimizer updates completed.
        new_epoch : bool
            Whether an epoch has ended, or training is about to begin, since the last measurement.
        """
        return new_epoch if self._at_step is None else bool(self._at_step(step))

    def __str__(self) -> str:
        return getattr(self.every, "__name__", None) or str(self.every)


def log_spaced(per_decade: int = 10) -> Callable[[int], bool]:
    """Return a schedule of steps evenly spaced in their logarithm: 0, 1, …, 10, 13, 16, 20, ….

    Parameters
    ----------
    per_decade : int
        Steps to measure between one power of ten and the next. The first decade has fewer, for
        steps are whole numbers.

    Returns
    -------
    callable
        True at 0 and at every 10^(j / per_decade), rounded to the nearest step.
    """
    return _LogSpaced(settings.whole("log_spaced: per_decade", per_decade, 1))


# Classes, for functions made within functions cannot be pickled, as spawned processes need.
@dataclass(frozen=True)
class _Multiples:
    every: int

    def __call__(self, step: int) -> bool:
        return step % self.every == 0


@dataclass(frozen=True)
class _LogSpaced:
    per_decade: int

    def __call__(self, step: int) -> bool:
        if step == 0:
            return True
        nearest = round(self.per_decade * log10(step))
        return any(
            round(10 ** (j / self.per_decade)) == step for j in (nearest - 1, nearest, nearest + 1)
        )

    def __str__(self) -> str:
        return f"log_spaced({self.per_decade})"
