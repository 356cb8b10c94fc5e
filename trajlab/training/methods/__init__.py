"""How tasks are joined: methods by the name that studies and runs use."""

from collections.abc import Callable, Mapping
from typing import Any

from trajlab.training.methods.aggregation import Aggregation
from trajlab.training.methods.dynamic import (
    DynamicWeightAverage,
    LossBalance,
    RandomWeights,
    Uncertainty,
)
from trajlab.training.methods.famo import Famo
from trajlab.training.methods.gradnorm import GradNorm
from trajlab.training.methods.impartial import Impartial
from trajlab.training.methods.method import Method
from trajlab.training.methods.static import Sampling, Static, Uniform

METHODS: Mapping[str, Callable[..., Method]] = {
    "single": Method,
    "uniform": Uniform,
    "static": Static,
    "sampling": Sampling,
    "random": RandomWeights,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "gradnorm": GradNorm,
    "famo": Famo,
    "imtl-l": LossBalance,
    "imtl": Impartial,
}
# Names of TorchJD's classes by ours.
AGGREGATORS: Mapping[str, str] = {
    "mgda": "MGDA",
    "pcgrad": "PCGrad",
    "cagrad": "CAGrad",
    "config": "ConFIG",
    "fairgrad": "FairGrad",
    "imtl-g": "IMTLG",
    "nashmtl": "NashMTL",
    "alignedmtl": "AlignedMTL",
    "graddrop": "GradDrop",
    "gradvac": "GradVac",
    "upgrad": "UPGrad",
}


def method(name: str, tasks: tuple[str, ...], seed: int, options: Mapping[str, Any]) -> Method:
    """Make a method.

    Parameters
    ----------
    name
        A key of `METHODS` or `AGGREGATORS`.
    tasks
        Names of the tasks.
    seed
        Of what the method draws at random.
    options
        Its own hyper-parameters.
    """
    if name in AGGREGATORS:
        return Aggregation(tasks, seed, AGGREGATORS[name], options)
    return METHODS[name](tasks, seed, **options)


__all__ = ["AGGREGATORS", "METHODS", "Method", "method"]
