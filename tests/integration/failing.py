"""What fails beside training: a probe and a sink."""

from collections.abc import Mapping

from torch import Tensor

from trajlab.record.moment import Moment
from trajlab.record.probes import Parameters
from trajlab.record.probes.probe import Row
from trajlab.record.sinks import Sink


class Broken(Parameters):
    """A probe that cannot measure."""

    def measure(self, moment: Moment) -> Row:
        raise RuntimeError("out of memory")


class Unreachable(Sink):
    """A sink whose network is down."""

    def write(self, step: int, values: Mapping[str, float | Tensor]) -> None:
        raise ConnectionError("host is down")

    def close(self) -> None:
        raise ConnectionError("host is down")
