"""
The same fronts on the training set
===================================

A method that reaches further in training need not do so on the test set; this is the former.
"""

import trajlab

runs = trajlab.datasets.load("digits-fronts")
front = trajlab.analysis.front(
    runs, metric="accuracy", group_by=["weight", "lr"], fresh={"stage": "fresh"}
)
trajlab.plots.training_front(front)
