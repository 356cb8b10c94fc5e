"""Import what a logger kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.files import name_of
from trajlab.store.importers.logged import Found, Reader, Unreadable
from trajlab.store.importers.mapping import gather
from trajlab.store.importers.places import wizard
from trajlab.store.importers.rows import by_step_of
from trajlab.store.importers.writing import write_runs


def import_series(
    source: str | Path,
    read: Reader,
    out: str | Path,
    *,
    map: Mapping[str, str] | None = None,
    name: str | None = None,
    meta: Mapping[str, str] | None = None,
    const: Mapping[str, str] | None = None,
    step: str | None = None,
    lower_is_better: Sequence[str] = (),
    force: bool = False,
) -> list[Path]:
    """Write one trajectory file for each run that a logger kept.

    What cannot be read or is not mapped is left out with a warning, and does not block the others.

    Parameters
    ----------
    source
        The file or folder.
    read
        Returns the runs in it.
    out
        Folder for the trajectory files; made if need be.
    map
        Which series is what: ``SPLIT/TASK/METRIC=SERIES``, such as
        ``train/left/loss=loss_left/train``; ``QUANTITY/TASK=SERIES`` with losses (of the batches
        trained on), sharpness, gradient_covariance, fisher or similarity;
        ``similarity/TASK/OTHER_TASK=SERIES``, the cosine of two tasks' gradients; or epoch,
        tokens, samples, wall_time, flops. A name in braces stands for what --name or a
        hyperparameter says. Without any, series whose names have this form are taken.
    name
        How runs are named, such as ``{method}/seed{seed}``; what stands in braces becomes
        metadata, what stands in brackets, as ``[task]``, tells the parts of one run apart.
    meta
        Metadata name to hyperparameter, if not all hyperparameters are to be kept.
    const
        Metadata that all runs share.
    step
        The series that counts the optimizer's steps, where the logger's own count is another.
    lower_is_better
        Metrics for which lower is better.
    force
        Replace files that exist. Without it they are added to, if they hold the same run.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    TrajlabError
        If nothing is found, read or mapped, a mapped series is missing (the sentence lists those
        there are), or a file exists that cannot be added to and `force` is not set.
    """
    source = Path(source)
    if not source.exists():
        raise TrajlabError(f"{source} does not exist")
    items = list(read(source))
    if step is not None:
        items = [_counted(item, step) for item in items]
    runs = gather(source, items, map, name, meta, const)
    return write_runs(name_of(source), Path(out), runs, lower_is_better, force)


def _counted(item: Found, step: str) -> Found:
    if isinstance(item, Unreadable):
        return item
    if step not in item.series:
        return Unreadable(
            f"the run {item.name!r} has no series {step!r} that counts steps; "
            f"{wizard(list(item.series))}"
        )
    try:
        return by_step_of(item, step)
    except TrajlabError as error:
        return Unreadable(str(error))
