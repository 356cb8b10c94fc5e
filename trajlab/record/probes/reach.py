"""Losses that do not reach the parameters that they are to be differentiated for."""

import logging
from collections.abc import Collection, Mapping

from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.graph import refuse_reentrant
from trajlab.record.loop.reach import reaches
from trajlab.record.moment import Moment

UNREACHED = (
    "the losses reach none of the shared parameters (a tensor on the way is detached, or all are "
    "frozen or gone); compute them from the shared part, or give another shared="
)
_logger = logging.getLogger("trajlab")


class Reach:
    """Tells of losses without a gradient, which otherwise are zeros like any."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def check(
        self, moment: Moment, reached: Collection[int], given: Collection[str] | None = None
    ) -> None:
        """Say once of each task that its loss reaches none of the parameters.

        Parameters
        ----------
        moment : Moment
            The moment that is measured.
        reached : collection of int
            Positions of the tasks whose losses reach some.
        given : collection of str, optional
            The tasks that have losses; by default those with one in the current batch.

        Raises
        ------
        TrajlabError
            If no loss does.
        """
        if not reached:
            raise TrajlabError(UNREACHED)
        given = moment.losses if given is None else given
        for position, task in enumerate(moment.tasks):
            if task in given and position not in reached and task not in self._told:
                self._told.add(task)
                _logger.warning(
                    "the loss of task %r reaches none of the shared parameters at step %d, so its "
                    "gradient there is zero; this is said once",
                    task,
                    moment.step,
                )

    def look(self, moment: Moment, losses: Mapping[str, Tensor]) -> None:
        """Check what the graphs of these losses tell.

        Parameters
        ----------
        moment : Moment
            The moment that is measured.
        losses : mapping of str to Tensor
            By task; whatever shape they have.

        Raises
        ------
        TrajlabError
            If no loss reaches any of the parameters, or a reentrant checkpoint hides some.
        """
        refuse_reentrant(losses.values())
        parameters = moment.trainable.values()
        tasks = enumerate(moment.tasks)
        reached = [t for t, task in tasks if task in losses and reaches(losses[task], parameters)]
        self.check(moment, reached, losses)
