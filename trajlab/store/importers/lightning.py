"""Read what Lightning's CSVLogger keeps."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.importers.series import LoggedRun


def read_lightning(path: Path) -> Iterator[LoggedRun]:
    """Return a run for each ``metrics.csv`` below, with the scalars of ``hparams.yaml`` beside it.

    Raises
    ------
    TrajlabError
        If a file has no column ``step``.
    """
    for file in [path] if path.is_file() else sorted(path.rglob("metrics.csv")):
        table = pd.read_csv(file)
        if "step" not in table:
            raise TrajlabError(f"{file} has no column 'step', so it is not CSVLogger's")
        series = {}
        for name in table.columns.drop("step"):
            rows = table[["step", name]].dropna()
            series[name] = dict(zip(rows["step"].astype(int) + 1, rows[name], strict=True))
        own = file.parent
        name = own.relative_to(path).as_posix() if own != path and path.is_dir() else own.name
        yield LoggedRun(name, _hyperparameters(own / "hparams.yaml"), series)


def _hyperparameters(file: Path) -> dict[str, str | int | float]:
    """Return the scalars on the first level of a YAML file."""
    if not file.exists():
        return {}
    try:
        import yaml
    except ImportError as error:
        raise TrajlabError("pyyaml is not installed; run pip install pyyaml") from error
    found = yaml.load(file.read_text(), Loader=yaml.BaseLoader) or {}
    return {key: value for key, value in found.items() if isinstance(value, str)}
