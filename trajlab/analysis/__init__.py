"""Pure functions from runs, or plain arrays and DataFrames, to frozen tables.

Loaded eagerly: a lazy ``analysis.gap`` would be shadowed by the module of that name.
"""

from trajlab.analysis.conflict import Conflict, conflict
from trajlab.analysis.correlation import Correlation, correlate
from trajlab.analysis.diagnosis import Diagnosis, diagnose
from trajlab.analysis.factors import Factors, factors
from trajlab.analysis.frames import runs_from_frame
from trajlab.analysis.front import Front, front
from trajlab.analysis.gap import Gap, gap
from trajlab.analysis.geometry import Geometry, geometry
from trajlab.analysis.result import Result
from trajlab.analysis.verdict import verdict

__all__ = [
    "Conflict",
    "Correlation",
    "Diagnosis",
    "Factors",
    "Front",
    "Gap",
    "Geometry",
    "Result",
    "conflict",
    "correlate",
    "diagnose",
    "factors",
    "front",
    "gap",
    "geometry",
    "runs_from_frame",
    "verdict",
]
