"""Pure numerics on a model and its losses: torch only, no files, no schedules."""

from trajlab.measure.affinity import task_affinity
from trajlab.measure.curvature.density import spectral_density
from trajlab.measure.curvature.sharpness import average_sharpness, sharpness
from trajlab.measure.curvature.top_eigenvalue import TopEigenvalue, top_eigenvalue
from trajlab.measure.curvature.trace import hessian_trace
from trajlab.measure.examples.fisher import fisher_norms, fisher_trace
from trajlab.measure.examples.noise import gradient_noise
from trajlab.measure.examples.norms import sample_norms
from trajlab.measure.functional import evaluate_at
from trajlab.measure.geometry import interpolation_barrier, layer_distances
from trajlab.measure.gram.layer_sums import TaskGram
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.guard import guard
from trajlab.measure.layers import group_by_layer
from trajlab.measure.similarity import CrossBatchSimilarity

__all__ = [
    "CrossBatchSimilarity",
    "TaskGram",
    "TopEigenvalue",
    "average_sharpness",
    "evaluate_at",
    "fisher_norms",
    "fisher_trace",
    "gradient_noise",
    "group_by_layer",
    "guard",
    "hessian_trace",
    "interpolation_barrier",
    "layer_distances",
    "sample_norms",
    "sharpness",
    "spectral_density",
    "task_affinity",
    "task_gram",
    "top_eigenvalue",
]
