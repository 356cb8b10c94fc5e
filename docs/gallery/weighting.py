"""
Weights of the tasks
====================

The share that each task has in the weights over training, and how much it moves:
``trajlab weighting RUNS``.
"""

import trajlab

runs = trajlab.datasets.load("digits-fronts").select(stage="fresh", method="inverse")
trajlab.plots.weighting(trajlab.analysis.weighting(runs, group_by=["weight", "lr"]))
