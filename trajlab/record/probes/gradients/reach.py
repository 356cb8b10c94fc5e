"""Losses that do not reach the parameters that they are to be differentiated for."""

import logging
from collections.abc import Collection

from trajlab.errors import TrajlabError
from trajlab.record.moment import Moment

UNREACHED = (
    "the losses reach none of the shared parameters (a tensor on the way is detached, or all are "
    "frozen); compute them from the shared part, or give another shared="
)
_logger = logging.getLogger("trajlab")


class Reach:
    """Tells of losses without a gradient, which otherwise are zeros like any."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def check(self, moment: Moment, reached: Collection[int]) -> None:
        """Say once of each task that its loss reaches none of the parameters.

        Parameters
        ----------
        moment : Moment
            The moment that was measured.
        reached : collection of int
            Positions of the tasks whose losses reach some.

        Raises
        ------
        TrajlabError
            If no loss does.
        """
        if not reached:
            raise TrajlabError(UNREACHED)
        for position, task in enumerate(moment.tasks):
            if task in moment.losses and position not in reached and task not in self._told:
                self._told.add(task)
                _logger.warning(
                    "the loss of task %r reaches none of the shared parameters at step %d, so its "
                    "gradient there is zero; this is said once",
                    task,
                    moment.step,
                )
