"""
Conflict by layer
=================

Where in the network gradients oppose each other: ``trajlab conflict RUNS --layers``. Layers stand
over training, and conflict is hatched.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks").select(condition="+noisy")
trajlab.plots.layers(trajlab.analysis.conflict(runs, layers=True))
