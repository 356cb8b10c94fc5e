"""Sets of probes for common purposes."""

from collections.abc import Mapping

from trajlab.record.probes.affinity import TaskAffinity
from trajlab.record.probes.fisher import FisherTrace
from trajlab.record.probes.hessian import HessianTop
from trajlab.record.probes.hessian_density import HessianDensity
from trajlab.record.probes.noise import GradientNoise
from trajlab.record.probes.parameters import Parameters
from trajlab.record.probes.probe import Probe
from trajlab.record.probes.sharpness import Sharpness
from trajlab.record.probes.similarity import GradientSimilarity
from trajlab.record.probes.task_gradients import TaskGradients
from trajlab.record.sample import Data
from trajlab.record.schedule import Every, log_spaced

_APART = 100  # steps
_EARLY = log_spaced(3)


def _rarely(step: int) -> bool:
    return step % _APART == 0 if step >= _APART else _EARLY(step)


def light() -> list[Probe]:
    """Return probes that need nothing but the loop: task gradients and distances.

    At steps 0, 1, 2, 5, 10, 22 and 46, for training changes fastest where it begins, then every 100
    steps, for a step that they measure takes as long as two or three others. What that comes to is
    measured by ``python -m benchmarks.light``; ``Recorder(overhead=…)`` holds any set of probes to
    a share.
    """
    return [TaskGradients(_rarely), Parameters(_rarely)]


def paper(
    data: Data, every: Every = "epoch", chance: Mapping[str, float] | None = None
) -> list[Probe]:
    """Return the quantities of Mueller et al. (2024), once an epoch.

    Sharpness at ρ = .001, .005 and .01, the gradient covariance, the Fisher trace, the similarity
    of task gradients and the top Hessian eigenvalue with the trace. The recorder needs
    ``task_losses=`` and ``predict=``.

    Parameters
    ----------
    data : iterable of batches, or mapping of str to iterable of batches
        The sample; the paper's is batches of 128 from the first 2,048 training examples.
    every : int, "epoch", sequence of int or callable
        When to measure.
    chance : mapping of str to float, optional
        Each task's loss at chance level, for the sharpness's saturation.
    """
    return [
        TaskGradients(every=10),
        Sharpness(every, data, chance=chance),
        GradientNoise(every, data),
        FisherTrace(every, data),
        GradientSimilarity(every, data),
        HessianTop(every, data, trace_probes=12),
    ]


def full(
    data: Data, every: Every = "epoch", chance: Mapping[str, float] | None = None
) -> list[Probe]:
    """Return what `paper` does, each layer's, the density, affinity and distances.

    All but `ExampleConflict`, which holds a gradient of every example.

    Parameters
    ----------
    data, every, chance
        As for `paper`.
    """
    return [
        TaskGradients(every=1),
        Parameters(every=1, by_layer=True),
        Sharpness(every, data, chance=chance),
        GradientNoise(every, data),
        FisherTrace(every, data),
        GradientSimilarity(every, data),
        HessianTop(every, data, trace_probes=12, by_layer=True, both_ends=True),
        HessianDensity(every, data),
        TaskAffinity(every, data),
    ]
