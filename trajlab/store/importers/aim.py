"""Read Aim's repositories."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Rows


def read_aim(path: Path) -> Iterator[Found]:
    """Return the runs of a repository; what was tracked in a context is ``CONTEXT/METRIC``.

    Raises
    ------
    TrajlabError
        If aim is not installed, or there is no repository.
    """
    try:
        from aim import Repo
    except ImportError as error:
        raise TrajlabError("aim is not installed; run pip install aim") from error
    home = path.parent if path.name == ".aim" else path
    if not (home / ".aim").is_dir():
        raise TrajlabError(f"{path} holds no repository of Aim (.aim)")
    repo = Repo(str(home))
    for run in map(repo.get_run, repo.list_all_runs()):  # iter_runs knows the indexed ones only
        rows = Rows()
        for metric in run.metrics():
            context = [str(value) for value in metric.context.to_dict().values()]
            name = "/".join([*context, metric.name])
            for step, value in zip(*metric.values.sparse_numpy(), strict=True):
                rows.add(name, int(step), float(value))
        if rows.series:
            yield LoggedRun(run.name or run.hash, _told(run), rows.series, twice=rows.twice)


def _told(run: Any) -> dict[str, Any]:
    """Return the scalars that were set on a run, or one level below."""
    told: dict[str, Any] = {}
    for key, value in run[...].items():
        inside = value if isinstance(value, dict) else {key: value}
        if not key.startswith("__"):
            told |= {k: v for k, v in inside.items() if isinstance(v, str | int | float)}
    return told
