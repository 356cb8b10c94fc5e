"""
Conflict of task gradients
==========================

The cosine of the tasks' gradients over training, and as large marks the noise-corrected one, which
alone tells whether tasks align or oppose: ``trajlab conflict RUNS``.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks").select(condition="+noisy")
trajlab.plots.conflict(trajlab.analysis.conflict(runs))
