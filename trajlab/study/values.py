"""Values of hyper-parameters in a study file, checked."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.study.grid import Best
from trajlab.study.keys import check_keys
from trajlab.training.methods import AGGREGATORS, METHODS
from trajlab.training.settings import SETTINGS

_TEXT, _METHOD = "a text", "a name, or a table with a name and options"
_COUNT, _NUMBER = "a whole number", "a number"
_TYPES: dict[str, tuple[type, ...]] = {
    _TEXT: (str,),
    _METHOD: (str, dict),
    _COUNT: (int,),
    _NUMBER: (int, float),
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
    "early_evaluations": (_COUNT, 0),
}
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
    if key == "setting":
        check_keys([str(value)], SETTINGS, f"setting of {where}")
    if isinstance(value, (int, float)) and kind == _NUMBER:
        return float(value)
    return _method(value, where) if isinstance(value, (str, dict)) and kind == _METHOD else value


def _method(value: str | dict[str, Any], where: str) -> dict[str, Any]:
    table = {"name": value} if isinstance(value, str) else value
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
