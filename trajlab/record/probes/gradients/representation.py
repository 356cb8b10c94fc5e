"""Task gradients at the last tensor that all tasks share."""

from trajlab.measure.gram.representation import representation_gram, watch_representation
from trajlab.record.moment import Moment
from trajlab.record.probes.gradients.scope import scaled_losses, weights
from trajlab.record.probes.probe import Row, Started
from trajlab.store import Column, Table


class Representation:
    """Measures the gradients of one pass, which the training backward brings along."""

    def table(self, name: str, moment: Moment) -> Table:
        """Declare its table, without layers."""
        gram = Column(
            "gram",
            ("step", "task", "other_task"),
            description="inner products of the task gradients at the representation",
        )
        labels = {"task": moment.tasks, "other_task": moment.tasks}
        return Table(name, (gram,), labels, {"method": "exact", "scope": "representation"})

    def measure(self, moment: Moment) -> Row:
        """Return ``gram`` (task, other_task)."""
        return {"gram": representation_gram(scaled_losses(moment)) / moment.loss_scale**2}

    def start(self, moment: Moment) -> Started:
        """Look at what passes in the training backward."""
        watch = watch_representation(moment.model, scaled_losses(moment), weights(moment))
        scale = moment.loss_scale**2
        return Started(lambda: {"gram": lambda: watch.sums.result().gram[0] / scale}, watch)
