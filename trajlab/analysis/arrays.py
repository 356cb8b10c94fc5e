"""The functions of arrays and DataFrames that the analyses are made of: one door to all of them.

Each takes what was recorded in any way, and needs no run; its docstring gives shapes, units and
the source of the method. `runs_from_frame` makes runs of a DataFrame, for every other analysis.
"""

from trajlab.analysis.conflict.multitask import directional, magnitude, norm_share
from trajlab.analysis.conflict.rows import pair_frame, similarity_frame
from trajlab.analysis.conflict.similarity import (
    cosine,
    cosine_to_others,
    cosine_to_update,
    magnitude_similarity,
)
from trajlab.analysis.conflict.sketches import (
    similarity_across_time,
    sketch_cosine,
    stiffness,
)
from trajlab.analysis.correlate.association import Association, associate
from trajlab.analysis.correlate.coupled import environments, sign_error
from trajlab.analysis.correlate.granulation import granulated_kendall
from trajlab.analysis.correlate.information import conditional_information
from trajlab.analysis.factors.deltas import factor_difference
from trajlab.analysis.factors.quadrants import quadrant_frame, share_interval
from trajlab.analysis.front.pareto import (
    hypervolume,
    non_dominated,
    set_distance,
    signed_distance,
)
from trajlab.analysis.gap.decomposition import Decomposition, decompose
from trajlab.analysis.gap.matching import GapCurve, StepGap, gap_curve, step_gap
from trajlab.analysis.gap.onset import first, persistence, sustained
from trajlab.analysis.geometry import distance_over_time, principal_components
from trajlab.analysis.runs.curve import Curve
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.from_frame import runs_from_frame
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.bootstrap import bootstrap
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.intervals import Difference, mean_interval, welch
from trajlab.analysis.statistics.multiplicity import benjamini_hochberg, holm
from trajlab.analysis.statistics.resampling import permutation_test
from trajlab.analysis.summary import largest_mean, late_mean

__all__ = [
    "Association",
    "Curve",
    "Decomposition",
    "Difference",
    "Evaluations",
    "GapCurve",
    "StepGap",
    "associate",
    "benjamini_hochberg",
    "bootstrap",
    "conditional_information",
    "cosine",
    "cosine_to_others",
    "cosine_to_update",
    "decompose",
    "difference",
    "directional",
    "distance_over_time",
    "environments",
    "factor_difference",
    "first",
    "gap_curve",
    "granulated_kendall",
    "holm",
    "hypervolume",
    "largest_mean",
    "late_mean",
    "magnitude",
    "magnitude_similarity",
    "mean_interval",
    "non_dominated",
    "norm_share",
    "pair_frame",
    "permutation_test",
    "persistence",
    "principal_components",
    "quadrant_frame",
    "runs_from_frame",
    "set_distance",
    "share_interval",
    "sign_error",
    "signed_distance",
    "similarity_across_time",
    "similarity_frame",
    "simultaneous",
    "sketch_cosine",
    "step_gap",
    "stiffness",
    "sustained",
    "welch",
]
