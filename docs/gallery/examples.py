"""
Conflict of examples, within tasks and between
==============================================

Do examples of two tasks oppose each other more than those of one task do?
``probes.ExampleConflict`` records it.
"""

import trajlab

runs = trajlab.datasets.load("digits-two-tasks").select(condition="+noisy")
trajlab.plots.examples(trajlab.analysis.conflict(runs))
