"""
Fronts of multi-task optimizers
===============================

What methods reach in both tasks, chosen on validation and measured on fresh seeds:
``trajlab front RUNS --group-by weight --group-by lr --fresh stage=fresh``.
"""

import trajlab

runs = trajlab.datasets.load("digits-fronts")
front = trajlab.analysis.front(
    runs, metric="accuracy", group_by=["weight", "lr"], fresh={"stage": "fresh"}
)
trajlab.plots.front(front)
