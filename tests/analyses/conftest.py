"""Studies whose runs are made up, so that the right verdict is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from trajlab.store import Column, Writer
from trajlab.store.schema import standard
from trajlab.study.file import read
from trajlab.study.run import Run
from trajlab.study.selection import runs

# Of one run: table -> column -> (n, ...) values, `step` among them.
Recorded = Mapping[str, Mapping[str, Any]]
HEAD = "batch_size = 32\nlearning_rate = 0.1\n"
YEAST_PAIR = """
setting = "yeast"
condition = "class1+class2"
epochs = 3
select = { metric = "accuracy" }
"""


def intervals(**ends: Sequence[tuple[float, float]]) -> pytest.MarkDecorator:
    """Give a test `low`, `high` and the verdict that they allow; one that is not known has none.

    Parameters
    ----------
    **ends
        Intervals by verdict, with ``_`` for its spaces.
    """
    ends["undecided"] = [*ends["undecided"], (np.nan, np.nan)]
    cases = [(*pair, name.replace("_", " ")) for name, pairs in ends.items() for pair in pairs]
    return pytest.mark.parametrize(("low", "high", "verdict"), cases)


def module(name: str) -> ModuleType:
    """Import the script of an analysis."""
    path = Path(__file__).parents[2] / "analyses" / name / "evaluate.py"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def write(run: Run, recorded: Recorded) -> None:
    """Write a finished run."""
    tasks = list(run.plan.setting.tasks(run.plan.condition))
    metadata = {**run.plan.metadata, "pair_id": str(run.plan.seed)}
    run.folder.mkdir(exist_ok=True)
    writer = Writer(run.path, tasks, metadata=metadata)
    for name, columns in recorded.items():
        rho = {"rho": [0.01]} if name == "sharpness" else {}
        table = standard(name, task=tasks, **rho)
        known = {column.name for column in table.columns}
        extra = tuple(
            Column(column, ("step", "task"), attributes={"higher_is_better": True})
            for column in columns
            if column not in known and column != "step"
        )
        writer.declare(
            type(table)(table.name, (*table.columns, *extra), table.coordinates, kind=table.kind)
        )
        for i, step in enumerate(columns["step"]):
            row = {key: values[i] for key, values in columns.items() if key != "step"}
            writer.append(name, {"step": int(step), **row})
    writer.close("complete")


@dataclass(frozen=True)
class Evaluated:
    """What a script wrote and said."""

    out: Path
    said: str
    code: int

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.out / f"{name}.csv", keep_default_na=False, na_values=[""])

    @property
    def verdicts(self) -> dict[str, str]:
        """Of each claim."""
        table = self.table("verdicts")
        return dict(zip(table["claim"], table["verdict"], strict=True))


Evaluate = Callable[..., Evaluated]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Make up the runs of a study and evaluate them."""

    def make(
        name: str, study: str, make_up: Callable[[Run], Recorded | None], *, draw: bool = False
    ) -> Evaluated:
        """`make_up` returns None for a run that is not trained."""
        file, folder, out = tmp_path / "study.toml", tmp_path / "runs", tmp_path / "out"
        file.write_text(HEAD + study)
        folder.mkdir(exist_ok=True)
        made = replace(read(file), runs=folder)  # where stages look for what they are chosen from
        for stage in made.stages:
            for run in runs(made, stage) or []:
                recorded = make_up(run)
                if recorded is not None and not run.path.exists():
                    write(run, recorded)
        script = module(name)
        if not draw:  # which takes longer than all the rest
            script.draw = lambda *_: None
        arguments = [str(folder), "--study", str(file), "--out", str(out)]
        said = CliRunner().invoke(script.main, arguments)
        assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
        return Evaluated(out, said.output, said.exit_code)

    return make


def jitter(run: Run, size: tuple[int, ...], scale: float) -> np.ndarray[Any, Any]:
    """Return noise of the run's seed and condition."""
    entropy = list(run.path.name.encode())
    return np.random.default_rng(entropy).normal(0, scale, size)
