"""The one list of analyses: what each answers, how it is shown, and how to read it.

An analysis and its figure bear the name of their entry, in `trajlab.analysis` and in
`trajlab.plots`. Only strings stand here, so that listing the commands imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One analysis as the command line and the page know it.

    Parameters
    ----------
    help
        The question that it answers, in one line.
    panels
        Columns whose every combination of values gets a panel of its own in the figure.
    reading
        How to read the figure and the table, for somebody who sees them for the first time.
    details
        Columns, and tables, that a reader is spared; JSON has them.
    shown
        The table that is shown first; the first of the result if there is none of that name.
    beside
        Further figures, drawn next to the first in each panel where the result has rows of a table:
        by that table's name the function, as ``package:name``.
    """

    help: str
    panels: tuple[str, ...]
    reading: str
    details: tuple[str, ...] = ()
    shown: str = "summary"
    beside: Mapping[str, str] = field(default_factory=dict)


ANALYSES: Mapping[str, Entry] = {
    "gap": Entry(
        help="Generalization gap to the baseline at matched training loss, and where it begins.",
        panels=("setting", "task", "metric"),
        reading=(
            "Training runs from left to right: the training loss falls along the axis. The height "
            "is how much better (above zero) or worse (below) the test metric is than the "
            "baseline's at the same training loss, so that merely having trained further does not "
            "count. The shade is the interval at each loss by itself, the paler one is to hold the "
            "whole curve at once; the broad line shows where the former leaves zero out, and the "
            "large mark is the onset, from which down the gap holds."
        ),
        details=(
            *("delta_p", "matched_p", "reach_p", "selection_p", "delta_se", "delta_df"),
            *("rule", "interval", "onset_rule", "common_loss_low", "selection_split"),
            *("steps", "pairs", "onset_step_baseline", "onset_step"),
        ),
    ),
    "conflict": Entry(
        help="Cosine and magnitude similarity of task gradients, by task pair, over training.",
        panels=("setting", "condition", "method"),
        reading=(
            "Each line is one pair of tasks, its band the middle 80 % of the steps around. Above "
            "zero the two gradients of the shared parameters point the same way; below zero a "
            "small step down one task's gradient raises the other's loss. Cosines of mini-batch "
            "gradients mostly measure the noise of the batches. The table's interval is that of "
            "the mean cosine over runs. Large marks are the noise-corrected cosine, where it was "
            "measured: it alone tells whether two tasks align or oppose. With --layers the figure "
            "is a map of layers over training instead. Conflict is shown, not blamed: it does not "
            "say what became of generalization."
        ),
        details=(
            *("overall", "corrected", "across_time", "examples"),
            *("cosine_to_update_early", "cosine_to_update_late"),
            *("cosine_to_step_early", "cosine_to_step_late"),
            *("noise_scale_early", "noise_scale_late"),
            *("cosine_to_others", "cosine_to_others_low", "cosine_to_others_high"),
            *("cosine_to_others_early", "cosine_to_others_late", "excess_early", "excess_late"),
        ),
        beside={"examples": "trajlab.plots:examples"},
    ),
    "factors": Entry(
        help="Sharpness, gradient covariance, Fisher trace: at the end and at equal training loss.",
        panels=("setting", "task"),
        reading=(
            "Each mark is one factor's difference to the baseline in standard errors, turned so "
            "that right is better; beyond the dotted lines it is more than two away from 0. A "
            "filled mark is the difference over whole runs, an open one that at equal training "
            "loss: where they disagree, the factor mostly tells how far the loss fell. A factor "
            "explains a point where it moved as the metric did; shares near one half are what "
            "chance gives."
        ),
        details=("runs", "p_value", "better", "z", "significant"),
        shown="delta",
    ),
    "front": Entry(
        help="Pareto fronts of methods, and their distance to that of scalarization.",
        panels=("setting",),
        reading=(
            "Each mark is one configuration, the mean of its runs; filled ones are on their "
            "method's front of validation, and joined, with the interval over fresh runs where "
            "there are any. Beside it the training set, where filled ones are on the front of "
            "training: a front there need not be one on test. A front of more trials reaches "
            "further by luck alone: compare methods with equal trials, on fresh seeds, and by the "
            "signed distance, which is positive beyond the baseline's front and 0 on average where "
            "nothing differs."
        ),
        details=("flips", "points", "training", "chosen"),
        shown="distance",
        beside={"training": "trajlab.plots:training_front"},
    ),
    "correlate": Entry(
        help="Correlation of two quantities over independent units, with permutation p-values.",
        panels=("setting", "task", "metric"),
        reading=(
            "Each point is one independent unit, the mean of its runs; never a checkpoint of a "
            "run. An interval that holds zero does not show that there is no association: "
            "compare the estimate with the smallest one that so few units could detect."
        ),
    ),
    "geometry": Entry(
        help="Principal components of the weight trajectory, and the distance between runs.",
        panels=("setting",),
        reading=(
            "Each line is the path of one run's shared weights in the plane in which all runs "
            "vary most; the mark is its end. It shows and tests nothing: what the two components "
            "leave out is not seen, and those of a random walk are smooth curves too."
        ),
        shown="explained",
    ),
    "weighting": Entry(
        help="Weights that methods give the tasks over training, and how much they move.",
        panels=("setting", "method"),
        reading=(
            "Each line is one task's share of the weights, its band the middle 80 % of the steps "
            "around and of the runs. sd_log is how much the share's logarithm moves along a run: "
            "below .1 the weights barely move, and a constant weight would do. Where a method has "
            "no weights, they are those of the sum of task gradients nearest to its update."
        ),
        details=("weights",),
    ),
}
