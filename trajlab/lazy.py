"""Libraries that take long to import, each loaded when something of it is first used.

``from trajlab.lazy import pd`` stands for ``import pandas as pd`` wherever a command's help, or an
analysis that does not need the library, passes by. Annotations must not be evaluated then:
``from __future__ import annotations``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["pd", "stats"]


class _Library:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


if TYPE_CHECKING:
    import pandas as pd
    from scipy import stats
else:
    pd, stats = _Library("pandas"), _Library("scipy.stats")
