"""
The gap at equal training loss
==============================

Is the task better or worse than alone, where both fit the training data equally well? The mark is
the onset, from which down the gap holds; ``trajlab gap RUNS`` is the command.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks")
gap = trajlab.analysis.gap(runs)
trajlab.plots.gap(gap)

# %%
# The same runs at equal steps, ``--x step``:

trajlab.plots.gap(trajlab.analysis.gap(runs, x="step"))
