"""Read TensorBoard event files."""

from collections.abc import Iterator
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.series import LoggedRun


def read_tensorboard(folder: Path) -> Iterator[LoggedRun]:
    """Return a run for each folder below that holds event files; of each step the last value.

    Raises
    ------
    TrajlabError
        If tensorboard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        raise TrajlabError("tensorboard is not installed; run pip install tensorboard") from error
    for own in sorted({file.parent for file in folder.rglob("*tfevents*")}):
        events = EventAccumulator(str(own), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        tags = events.Tags()
        series = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in tags["scalars"]}
        for tag in tags["tensors"]:
            values = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
            if all(value.dtype.kind in "fiu" and value.size == 1 for _, value in values):
                series[tag] = {step: float(value.reshape(())) for step, value in values}
        name = "" if own == folder else own.relative_to(folder).as_posix()
        yield LoggedRun(name or folder.name, {}, series)
