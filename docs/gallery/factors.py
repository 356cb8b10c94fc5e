"""
Factors of generalization
=========================

Do sharpness, gradient covariance and the Fisher trace differ from the baseline's, at the end and at
equal loss? ``trajlab factors RUNS``.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks")
trajlab.plots.factors(trajlab.analysis.factors(runs))
