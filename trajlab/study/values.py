"""Values of hyper-parameters in a study file, checked."""

from collections.abc import Collection, Mapping
from inspect import signature
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.study.grid import Best
from trajlab.study.keys import check_keys
from trajlab.training.methods import AGGREGATORS, METHODS
from trajlab.training.optimization import OPTIMIZERS, SCHEDULES, schedule_options
from trajlab.training.settings import SETTINGS

_TEXT, _METHOD = "a text", "a method's name, or a table with its name and options"
_COUNT, _NUMBER = "a whole number", "a number"
_SCHEDULE, _SHARE = (
    "a schedule's name, or a table with its name and options",
    "a number, or a table by task",
)
_TYPES: dict[str, tuple[type, ...]] = {
    _TEXT: (str,),
    _METHOD: (str, dict),
    _COUNT: (int,),
    _NUMBER: (int, float),
    _SCHEDULE: (str, dict),
    _SHARE: (int, float, dict),
}
# Hyper-parameters: what a value is, and its default where there is one.
HYPER: dict[str, tuple[str, Any]] = {
    "setting": (_TEXT, None),
    "condition": (_TEXT, ""),
    "method": (_METHOD, "uniform"),
    "seed": (_COUNT, 0),
    "epochs": (_COUNT, None),
    "batch_size": (_COUNT, 32),
    "learning_rate": (_NUMBER, None),
    "momentum": (_NUMBER, 0.0),
    "weight_decay": (_NUMBER, 0.0),
    "precision": (_TEXT, "float32"),
}
# Those that came later: where one has its default, the run is the one that it was without it.
LATER: dict[str, tuple[str, Any]] = {
    "early_evaluations": (_COUNT, 0),
    "optimizer": (_TEXT, "sgd"),
    "schedule": (_SCHEDULE, {"name": "constant"}),
    "epoch_steps": (_COUNT, 0),
    "label_smoothing": (_NUMBER, 0.0),
    "width": (_NUMBER, 1.0),
    "depth": (_COUNT, 1),
    "dropout": (_NUMBER, 0.0),
    "share": (_SHARE, 1.0),
    "overlap": (_NUMBER, None),
}
HYPER |= LATER
OPTIONAL = ("overlap",)  # without a value it does not apply
_NAMES: dict[str, Collection[str]] = {"setting": SETTINGS, "optimizer": OPTIMIZERS}
_BEST = ["best", "per", "where", "times"]


def listed(key: str, value: Any, earlier: list[str], where: str) -> list[Any]:
    """Return the values that a stage tries for a hyper-parameter.

    Parameters
    ----------
    key
        The hyper-parameter.
    value
        One value, or a list of them, as written.
    earlier
        Names of the stages before, from which the best may be asked for.
    where
        For sentences: the stage and the file.

    Raises
    ------
    TrajlabError
        If a value is missing or means nothing.
    """
    if value is None and key in OPTIONAL:
        return [None]
    if value is None:
        raise TrajlabError(f"{where} has no {key}; give it there or above the stages")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise TrajlabError(f"{key} of {where} is an empty list; give a value")
    return [_value(key, item, earlier, where) for item in values]


def _value(key: str, value: Any, earlier: list[str], where: str) -> Any:
    if isinstance(value, dict) and "best" in value:
        return _best(key, value, earlier, where)
    kind, _ = HYPER[key]
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
        raise TrajlabError(f"{key} of {where} is {value!r}; give {kind}")
    if key in _NAMES:
        check_keys([str(value)], _NAMES[key], f"{key} of {where}")
    if isinstance(value, (int, float)) and kind in (_NUMBER, _SHARE):
        return float(value)
    if kind == _METHOD:
        return _method(_table(value), where)
    return _schedule(_table(value), where) if kind == _SCHEDULE else value


def _table(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else value


def _schedule(table: dict[str, Any], where: str) -> dict[str, Any]:
    name = str(table.get("name"))
    check_keys([name], SCHEDULES, f"schedule of {where}")
    check_keys(table, ["name", *schedule_options(name)], f"schedule {name!r} of {where}")
    return table


def _method(table: dict[str, Any], where: str) -> dict[str, Any]:
    name = str(table.get("name"))
    check_keys([name], [*METHODS, *AGGREGATORS], f"method of {where}")
    if name in METHODS:  # TorchJD checks the options of its own
        own = [key for key in signature(METHODS[name]).parameters if key not in ("tasks", "seed")]
        check_keys(table, ["name", *own], f"method {name!r} of {where}")
    return table


def _best(key: str, table: Mapping[str, Any], earlier: list[str], where: str) -> Best:
    place = f"{key} of {where}"
    check_keys(table, _BEST, place)
    check_keys([table["best"]], earlier, f"best in {place} (stages before it)")
    per, narrowed = tuple(table.get("per", ())), dict(table.get("where", {}))
    check_keys([*per, *narrowed], HYPER, place)
    return Best(table["best"], per, narrowed, float(table.get("times", 1)))
