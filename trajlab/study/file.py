"""Study files: a grid of runs in TOML."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from trajlab.analysis.front.budget import Budget
from trajlab.errors import TrajlabError
from trajlab.store.files import name_of
from trajlab.study import recorded
from trajlab.study.grid import Stage
from trajlab.study.keys import check_keys
from trajlab.study.values import HYPER, listed
from trajlab.training.settings import SETTINGS, setting

_STUDY = ["runs", "device", "root", "select", "stage"]
_SELECT = {"task": None, "metric": "accuracy", "split": "validation"}


@dataclass(frozen=True)
class Selection:
    """How the best of a stage is found: the highest mean over seeds of a run's best evaluation.

    Attributes
    ----------
    task
        Whose metric counts; None for the mean over all.
    metric, split
        What is compared.
    """

    task: str | None
    metric: str
    split: str


@dataclass(frozen=True)
class Study:
    """A study as its file has it.

    Attributes
    ----------
    file
        The study file that it was read from.
    runs
        The folder for trajectory files.
    stages
        In order.
    selection
        How `Best` values are chosen.
    device, root
        Where to train, and where data lie.
    """

    file: Path
    runs: Path
    stages: tuple[Stage, ...]
    selection: Selection
    device: str
    root: Path | None


def read(file: Path) -> Study:
    """Read a study file.

    Parameters
    ----------
    file
        TOML; ``docs/studies.md`` describes it.

    Raises
    ------
    TrajlabError
        If it cannot be read, or a key or value means nothing.
    """
    try:
        content = tomllib.loads(file.read_text())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrajlabError(f"{file} is no TOML ({error}); mend it") from error
    check_keys(content, [*_STUDY, "record", *HYPER], str(file))
    tables = content.get("stage", [{}])
    shared = {key: value for key, value in content.items() if key in HYPER or key == "record"}
    stages: list[Stage] = []
    for number, table in enumerate(tables, 1):
        where = f"stage {table.get('name', number)!r} of {file}"
        if "front" in table or "best" in table:
            stages.append(_again(table, stages, shared.get("record", {}), where))
            continue
        check_keys(table, ["name", "record", *HYPER], where)
        written = shared | table
        values = {k: default for k, (_, default) in HYPER.items()} | {"record": {}}
        values |= {**_defaults(written.get("setting")), **written}
        name = str(values.pop("name", number))
        record = values.pop("record")
        recorded.check(record, where)
        earlier = [stage.name for stage in stages]
        grid = {key: listed(key, value, earlier, where) for key, value in values.items()}
        stages.append(Stage(name, {**grid, "record": [record]}))
    names = [stage.name for stage in stages]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TrajlabError(f"{file} has two stages {twice[0]!r}; give each a name of its own")
    return Study(
        file,
        Path(content.get("runs", f"runs/{name_of(file.parent)}")),
        tuple(stages),
        _selection(content.get("select", {}), file),
        content.get("device", "cpu"),
        Path(content["root"]) if "root" in content else None,
    )


def _again(
    table: Mapping[str, Any], stages: Sequence[Stage], record: Mapping[str, Any], where: str
) -> Stage:
    """Read a stage that trains what earlier ones are chosen for again, with fresh seeds."""
    way = "front" if "front" in table else "best"
    own = ["name", "record", way, "seed", *(["budget"] if way == "front" else [])]
    check_keys(table, own, f"{where}, which trains {way} again,")
    budgets = table.get("budget", "whole")
    budgets = budgets if isinstance(budgets, list) else [budgets]
    check_keys(budgets, get_args(Budget), f"budget of {where}")
    known = {stage.name: stage for stage in stages}
    names = table[way] if isinstance(table[way], list) else [table[way]]
    check_keys(names, known, f"{way} of {where} (stages before it)")
    seeds = listed("seed", table.get("seed"), [], where)
    for name in names:
        if stale := {*seeds} & {*known[name].grid["seed"]}:
            raise TrajlabError(
                f"{where} has seed {min(stale)} of stage {name!r}, which it is chosen from; give "
                "fresh seeds"
            )
    record = table.get("record", record)
    recorded.check(record, where)
    return Stage(
        str(table.get("name", len(stages) + 1)),
        {"seed": seeds, "record": [record]},
        tuple(known[name] for name in names),
        way == "front",
        tuple(budgets),
    )


def _defaults(name: Any) -> Mapping[str, float]:
    """Return a setting's own defaults; none where it is unknown or one of several."""
    return setting(name).defaults if isinstance(name, str) and name in SETTINGS else {}


def _selection(table: Mapping[str, Any], file: Path) -> Selection:
    check_keys(table, _SELECT, f"[select] of {file}")
    selection = Selection(**{**_SELECT, **table})
    if selection.split != "validation":
        raise TrajlabError(
            f"[select] of {file} chooses on the {selection.split} split, which is what results are "
            "read from; choose on validation"
        )
    return selection
