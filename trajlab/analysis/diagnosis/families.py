"""The analyses there are, in the order in which the verdict tells of them.

The one list of them in `trajlab.analysis`, which exports what stands in ``__all__`` here.
"""

from collections.abc import Mapping

from trajlab.analysis.conflict import FAMILY as CONFLICT
from trajlab.analysis.conflict import Conflict, conflict
from trajlab.analysis.correlate import FAMILY as CORRELATE
from trajlab.analysis.correlate import Correlation, correlate
from trajlab.analysis.factors import FAMILY as FACTORS
from trajlab.analysis.factors import Factors, factors
from trajlab.analysis.front import FAMILY as FRONT
from trajlab.analysis.front import Front, front
from trajlab.analysis.gap import FAMILY as GAP
from trajlab.analysis.gap import Gap, gap
from trajlab.analysis.geometry import FAMILY as GEOMETRY
from trajlab.analysis.geometry import Geometry, geometry
from trajlab.analysis.interface.result import Family
from trajlab.analysis.weighting import FAMILY as WEIGHTING
from trajlab.analysis.weighting import Weighting, weighting

FAMILIES: Mapping[str, Family] = {
    "gap": GAP,
    "factors": FACTORS,
    "conflict": CONFLICT,
    "front": FRONT,
    "correlate": CORRELATE,
    "geometry": GEOMETRY,
    "weighting": WEIGHTING,
}

__all__ = [
    "Conflict",
    "Correlation",
    "Factors",
    "Front",
    "Gap",
    "Geometry",
    "Weighting",
    "conflict",
    "correlate",
    "factors",
    "front",
    "gap",
    "geometry",
    "weighting",
]
