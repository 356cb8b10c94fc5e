"""
The path of the weights
=======================

Principal components of the sketched weights of all runs together: ``trajlab geometry RUNS``.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks")
trajlab.plots.geometry(trajlab.analysis.geometry(runs))
