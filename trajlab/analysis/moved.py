"""Modules whose documented paths go on working for one version, with a warning.

Each is a module without contents that hands on the functions of :mod:`trajlab.analysis.arrays`.
"""

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

_PACKAGE = "trajlab.analysis"
_DOOR = f"{_PACKAGE}.arrays"
_RENAMED = {"factor_deltas.difference": "factor_difference"}

MODULES: Mapping[str, tuple[str, ...]] = {
    "association": ("associate",),
    "bands": ("simultaneous",),
    "bootstrap": ("bootstrap",),
    "conflict_rows": ("pair_frame", "similarity_frame"),
    "decomposition": ("decompose",),
    "evaluations": ("Evaluations",),
    "factor_deltas": ("difference",),
    "granulation": ("granulated_kendall", "sign_error", "conditional_information"),
    "intervals": ("welch",),
    "matching": ("gap_curve", "step_gap"),
    "multiplicity": ("holm", "benjamini_hochberg"),
    "multitask": ("directional", "magnitude", "norm_share"),
    "onset": ("sustained", "first"),
    "pareto": ("non_dominated", "hypervolume", "signed_distance", "set_distance"),
    "quadrants": ("quadrant_frame", "share_interval"),
    "run_summary": ("late_mean", "largest_mean"),
    "similarity": ("cosine", "magnitude_similarity", "cosine_to_update", "cosine_to_others"),
    "sketch_similarity": ("sketch_cosine", "similarity_across_time", "stiffness"),
}


class _Moved(ModuleType):
    """A module by its former name."""

    def __getattr__(self, name: str) -> Any:
        former = self.__name__.rpartition(".")[2]
        if name not in MODULES[former]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        new = _RENAMED.get(f"{former}.{name}", name)
        warnings.warn(
            f"{self.__name__}.{name} is now {_DOOR}.{new}; the former name goes in version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(_DOOR), new)


def keep() -> None:
    """Make the modules importable by their former names."""
    for name in MODULES:
        module = _Moved(f"{_PACKAGE}.{name}")
        sys.modules[module.__name__] = module
        setattr(sys.modules[_PACKAGE], name, module)
