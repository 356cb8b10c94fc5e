"""Read the repositories of Aim."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.rows import Rows

_OWN = "__system__"  # how Aim's own series begin: the machine's load


def read_aim(path: Path) -> Iterator[Found]:
    """Return the runs of a repository, the folder that holds ``.aim``.

    A series tracked in a context is called ``VALUE/METRIC``, as ``train/loss`` with the context
    ``{"subset": "train"}``.

    Raises
    ------
    TrajlabError
        If aim is not installed, or cannot read the repository.
    """
    try:
        from aim import Repo
    except ImportError as error:
        raise TrajlabError("aim is not installed; run pip install aim") from error
    home = path.parent if path.name == ".aim" else path
    if not (home / ".aim").is_dir():
        raise TrajlabError(f"{path} is no repository of Aim: it holds no folder .aim")
    try:
        repo = Repo(str(home))
        indexed = {run.hash: run for run in repo.iter_runs()}
        for key in repo.list_all_runs():
            yield (
                _run(indexed[key])
                if key in indexed
                else Unreadable(
                    f"the run {key} is not in the index of {home}, by which Aim reads; run "
                    f"aim storage --repo {home} reindex"
                )
            )
    except (RuntimeError, OSError) as error:
        raise TrajlabError(f"aim cannot read {path}: {' '.join(str(error).split())}") from error


def _run(run: Any) -> LoggedRun:
    rows = Rows()
    for metric in run.metrics():
        if not metric.name.startswith(_OWN):
            name = "/".join([*map(str, metric.context.to_dict().values()), metric.name])
            steps, (values, epochs, times) = metric.data.items_list()
            for step, value, epoch, time in zip(steps, values, epochs, times, strict=True):
                rows.add(name, step, value, time)
                if not math.isnan(epoch):
                    rows.add("epoch", step, epoch)
    told = run[...]
    told |= told.pop("hparams", {})  # where Aim's integrations keep them
    scalars = {key: value for key, value in told.items() if isinstance(value, str | int | float)}
    return rows.run(run.name, scalars)
