"""trajlab: record multi-task training trajectories and explain what happened to each task.

Three doors: attach a :class:`Recorder` to a training loop, run ``trajlab`` commands on saved
runs, or explore them with :func:`load`, :mod:`trajlab.analysis` and :mod:`trajlab.plots`.

The names below load on first use, so that ``import trajlab`` and ``trajlab --help`` stay quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajlab import analysis, datasets, plots
    from trajlab.errors import TrajlabError
    from trajlab.record import Recorder, probes
    from trajlab.store import Runs, Trajectory, load

__version__ = "0.1.0"

_HOMES = {
    "Recorder": "trajlab.record",
    "probes": "trajlab.record",
    "Runs": "trajlab.store",
    "Trajectory": "trajlab.store",
    "load": "trajlab.store",
    "TrajlabError": "trajlab.errors",
    "analysis": "trajlab",
    "datasets": "trajlab",
    "plots": "trajlab",
}

__all__ = [
    "Recorder",
    "Runs",
    "Trajectory",
    "TrajlabError",
    "analysis",
    "datasets",
    "load",
    "plots",
    "probes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trajlab' has no attribute {name!r}")
    home = _HOMES[name]
    return (
        import_module(f"trajlab.{name}")
        if home == "trajlab"
        else getattr(import_module(home), name)
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
