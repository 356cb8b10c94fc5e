"""
One quantity with another
=========================

Over independent units, here the configurations of three methods: does the training loss that is
reached go with the metric? ``trajlab correlate RUNS --x min_train_loss --y final_metric``.
"""

import trajlab

runs = trajlab.datasets.load("digits-fronts").select(stage="tuning")
found = trajlab.analysis.correlate(
    runs,
    x="min_train_loss",
    y="final_metric",
    metric="accuracy",
    group_by=["weight", "lr"],
)
trajlab.plots.correlate(found)
