"""Runs that fail in their worker, which loads no more than this to train them."""

import os
import signal

from trajlab.study.run import Run


class Fatal(Run):
    """A run whose worker dies in the first attempt."""

    def train(self) -> float:
        mark = self.folder / "died"
        if not mark.exists():
            self.folder.mkdir(exist_ok=True)
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train()


class Raising(Run):
    """A run that raises what no sentence tells how to mend, where its rate is the largest."""

    def _train(self) -> float:
        if self.plan.learning_rate == 0.2:
            raise UnpicklableError(1, 2)
        return super()._train()


class UnpicklableError(RuntimeError):
    """An error that does not survive the way to another process."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"the algorithm failed to converge {one} {two}\nwith more lines")
