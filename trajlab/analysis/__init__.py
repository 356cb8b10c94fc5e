"""Pure functions from runs, or plain arrays and DataFrames, to frozen tables.

Loaded eagerly: a lazy ``analysis.gap`` would be shadowed by the folder of that name.
"""

from trajlab.analysis import arrays, moved
from trajlab.analysis.arrays import runs_from_frame
from trajlab.analysis.diagnosis import Diagnosis, diagnose, families, verdict
from trajlab.analysis.diagnosis.families import *  # noqa: F403
from trajlab.analysis.interface.result import Result

__all__ = [
    *families.__all__,
    "Diagnosis",
    "Result",
    "arrays",
    "diagnose",
    "runs_from_frame",
    "verdict",
]

moved.keep()
