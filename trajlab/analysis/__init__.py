"""Pure functions from runs, or plain arrays and DataFrames, to frozen tables.

Loaded eagerly: a lazy ``analysis.gap`` would be shadowed by the module of that name.
"""

from trajlab.analysis.conflict import Conflict, conflict
from trajlab.analysis.correlation import Correlation, correlate
from trajlab.analysis.gap import Gap, gap
from trajlab.analysis.result import Result

__all__ = ["Conflict", "Correlation", "Gap", "Result", "conflict", "correlate", "gap"]
