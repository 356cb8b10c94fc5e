"""Read TensorBoard event files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.event_files import broken_off
from trajlab.store.importers.lightning import HYPERPARAMETERS, hyperparameters, updates_completed
from trajlab.store.importers.logged import Found, Unreadable, called
from trajlab.store.importers.rows import Rows

# folders that hold what a run logged of one split, as Keras and many loops make them
SPLIT_FOLDERS = ("train", "training", "validation", "valid", "val", "dev", "eval", "test")

_HPARAMS = "_hparams_/session_start_info"

Event = tuple[int, float, float]
"""Step, value and time."""


@dataclass
class _Folder:
    """What the event files of one folder hold."""

    events: dict[str, list[Event]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lightning: bool = False


@dataclass
class _Run:
    """What the folders of one run hold together."""

    rows: Rows = field(default_factory=Rows)
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lightning: bool = False


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
            content = _read(folder, [file for file in files if file.parent == folder])
        except TrajlabError as error:
            yield Unreadable(str(error))
            continue
        home, names = _home(folder, root, folders, content)
        run = runs.setdefault(home, _Run())
        run.metadata |= content.metadata
        run.notes += content.notes
        run.lightning |= content.lightning
        for name, events in content.events.items():
            for step, value, time in events:
                run.rows.add(names.get(name, name), step, value, time)
    for home, run in runs.items():
        logged = run.rows.run(called(root, home), run.metadata, run.notes)
        counted = updates_completed(logged.series) if run.lightning else logged.series
        yield replace(logged, series=counted)


def _home(
    folder: Path, root: Path, folders: Iterable[Path], content: _Folder
) -> tuple[Path, Mapping[str, str]]:
    """Return the folder of the run that a folder belongs to, and its series' names there."""
    if folder == root:
        return folder, {}
    if folder.name.lower() in SPLIT_FOLDERS:
        return folder.parent, {tag: f"{folder.name}/{tag}" for tag in content.events}
    above = [p for p in folder.parents if p in folders and (p == root or root in p.parents)]
    if content.metadata and not (folder / HYPERPARAMETERS).exists() and above:
        return above[0], {}
    for parent in above:
        below = folder.relative_to(parent).as_posix()
        # PyTorch joins the tag and its part by "_", tensorboardX by "/"
        parts = {tag: _part(below, tag) for tag in content.events}
        if parts and all(parts.values()):
            return parent, {tag: f"{tag}/{part}" for tag, part in parts.items()}
    return folder, {}


def _part(below: str, tag: str) -> str | None:
    for start in (tag.replace("/", "_") + "_", tag + "/"):
        if below.startswith(start):
            return below[len(start) :]
    return None


def _read(folder: Path, files: Iterable[Path]) -> _Folder:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    files = list(files)
    notes = [note for file in files if (note := broken_off(file))]
    guidance = {"scalars": 0, "tensors": 0}
    source = str(files[0] if len(files) == 1 else folder)
    events = EventAccumulator(source, size_guidance=guidance).Reload()
    tags, content = events.Tags(), _Folder(notes=notes)
    for tag in tags["scalars"]:
        content.events[tag] = [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)]
    for tag in tags["tensors"]:
        values = [(e.step, make_ndarray(e.tensor_proto), e.wall_time) for e in events.Tensors(tag)]
        if all(value.dtype.kind in "fiu" and value.size == 1 for _, value, _ in values):
            content.events[tag] = [(step, float(v.reshape(())), time) for step, v, time in values]
    if (folder / HYPERPARAMETERS).exists():  # Lightning's logger
        content.metadata = hyperparameters(folder / HYPERPARAMETERS)
        content.lightning = "epoch" in content.events
    if _HPARAMS in events.summary_metadata:
        data = events.summary_metadata[_HPARAMS].plugin_data.content
        hparams = HParamsPluginData.FromString(data).session_start_info.hparams
        content.metadata |= {key: _value(value) for key, value in hparams.items()}
    return content


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else ""
