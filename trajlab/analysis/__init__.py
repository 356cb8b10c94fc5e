"""Pure functions from runs, or plain arrays and DataFrames, to frozen tables.

Loaded eagerly: a lazy ``analysis.gap`` would be shadowed by the module of that name.
"""

from trajlab.analysis.conflict.conflict import Conflict, conflict
from trajlab.analysis.correlate.correlate import Correlation, correlate
from trajlab.analysis.diagnosis.diagnose import Diagnosis, diagnose
from trajlab.analysis.diagnosis.verdict import verdict
from trajlab.analysis.factors.factors import Factors, factors
from trajlab.analysis.front.front import Front, front
from trajlab.analysis.gap.gap import Gap, gap
from trajlab.analysis.geometry import Geometry, geometry
from trajlab.analysis.result import Result
from trajlab.analysis.runs.from_frame import runs_from_frame

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
