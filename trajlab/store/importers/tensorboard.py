"""Read TensorBoard event files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.lightning import HYPERPARAMETERS, hyperparameters, updates_completed
from trajlab.store.importers.logged import Found, LoggedRun, Rows, Unreadable
from trajlab.store.importers.texts import read_bytes

# folders that hold what a run logged of one split, as Keras and many loops make them
SPLIT_FOLDERS = ("train", "training", "validation", "valid", "val", "dev", "eval", "test")

_HPARAMS = "_hparams_/session_start_info"


@dataclass
class _Run:
    metadata: dict[str, Any] = field(default_factory=dict)
    series: dict[str, dict[int, float]] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)


def read_tensorboard(path: Path) -> Iterator[Found]:
    """Return a run for each folder below that holds event files; of each step the last value.

    Folders that one run is spread over are one run, and tell its series apart by name:
    ``add_scalars("loss", {"left": …})`` makes a folder a task, whose series are ``loss/left``;
    folders called ``train``, ``validation``, … hold the series ``train/…``, ``validation/…`` of
    the folder they are in; and those of ``add_hparams`` hold metadata.

    Raises
    ------
    TrajlabError
        If tensorboard is not installed.
    """
    try:
        import tensorboard.backend.event_processing.event_accumulator  # noqa: F401
    except ImportError as error:
        raise TrajlabError("tensorboard is not installed; run pip install tensorboard") from error
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted(path.rglob("*tfevents*"))
    folders = sorted({file.parent for file in files})
    runs: dict[Path, _Run] = {}
    for folder in folders:
        try:
            own = _events(folder, [file for file in files if file.parent == folder])
        except TrajlabError as error:
            yield Unreadable(str(error))
            continue
        home, names = _home(folder, root, folders, own)
        run = runs.setdefault(home, _Run())
        run.metadata |= own.metadata
        for name, values in own.series.items():
            run.series[names.get(name, name)] = values
            run.twice[names.get(name, name)] = own.twice.get(name, 0)
    for home, run in runs.items():
        if run.series:
            name = home.name if home == root else home.relative_to(root).as_posix()
            twice = {tag: n for tag, n in run.twice.items() if n}
            yield LoggedRun(name, run.metadata, run.series, twice=twice)
        elif not run.metadata:
            yield Unreadable(f"{home} has event files without a scalar")


def _home(
    folder: Path, root: Path, folders: Iterable[Path], own: _Run
) -> tuple[Path, Mapping[str, str]]:
    """Return the folder of the run that a folder belongs to, and its series' names there."""
    if folder == root:
        return folder, {}
    if folder.name.lower() in SPLIT_FOLDERS:
        return folder.parent, {tag: f"{folder.name}/{tag}" for tag in own.series}
    above = [p for p in folder.parents if p in folders and (p == root or root in p.parents)]
    if own.metadata and not (folder / HYPERPARAMETERS).exists() and above:
        return above[0], {}
    for parent in above:
        below = folder.relative_to(parent).as_posix()
        # PyTorch joins the tag and its part by "_", tensorboardX by "/"
        parts = {tag: _part(below, tag) for tag in own.series}
        if parts and all(parts.values()):
            return parent, {tag: f"{tag}/{part}" for tag, part in parts.items()}
    return folder, {}


def _part(below: str, tag: str) -> str | None:
    for start in (tag.replace("/", "_") + "_", tag + "/"):
        if below.startswith(start):
            return below[len(start) :]
    return None


def _events(folder: Path, files: Iterable[Path]) -> _Run:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    files = list(files)
    for file in files:
        read_bytes(file)
    guidance = {"scalars": 0, "tensors": 0}
    source = str(files[0] if len(files) == 1 else folder)
    events = EventAccumulator(source, size_guidance=guidance).Reload()
    tags, rows, run = events.Tags(), Rows(), _Run()
    for tag in tags["scalars"]:
        for event in events.Scalars(tag):
            rows.add(tag, event.step, event.value)
    for tag in tags["tensors"]:
        values = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        if all(value.dtype.kind in "fiu" and value.size == 1 for _, value in values):
            for step, value in values:
                rows.add(tag, step, float(value.reshape(())))
    run.series, run.twice = rows.series, rows.twice
    if HYPERPARAMETERS in {file.name for file in folder.iterdir()}:  # Lightning's logger
        run.metadata = hyperparameters(folder / HYPERPARAMETERS)
        if "epoch" in run.series:
            run.series = updates_completed(run.series)
    if _HPARAMS in events.summary_metadata:
        data = events.summary_metadata[_HPARAMS].plugin_data.content
        found = HParamsPluginData.FromString(data).session_start_info.hparams
        run.metadata |= {key: _value(value) for key, value in found.items()}
    return run


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else ""
