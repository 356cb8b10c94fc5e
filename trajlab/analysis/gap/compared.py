"""What is compared with what, by which metric, with both sides as they were read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from trajlab.analysis.gap.options import GapOptions
from trajlab.analysis.gap.reasons import missing
from trajlab.analysis.interface.tables import Head
from trajlab.analysis.runs import groups
from trajlab.analysis.runs.recorded import check, is_quantity, less_is_better, metrics
from trajlab.analysis.runs.sides import Side
from trajlab.store import Trajectory


@dataclass(frozen=True)
class Compared:
    """One task of one group against its baseline, by one metric.

    Attributes
    ----------
    head
        What every row about it begins with.
    metric
        Name of the metric or quantity.
    beside
        How many tasks are trained beside this one, at most.
    higher_is_better
        Whether more is better as it was recorded; scores are turned round where it is not.
    runs, baseline
        The two sides.
    reason
        Why nothing can be compared; empty where something can.
    """

    head: Head
    metric: str
    beside: int
    higher_is_better: bool
    runs: Side
    baseline: Side
    reason: str


def compared(runs: Iterable[Trajectory], options: GapOptions) -> Iterator[Compared]:
    """Group runs, pair each group with its baseline, and read both, task by task.

    Parameters
    ----------
    runs
        Recorded runs.
    options
        What is compared, and at what.

    Raises
    ------
    TrajlabError
        If runs cannot be grouped or have no baseline, or what is asked for was not recorded.
    """
    grouped = groups.group(runs, options.group_by)
    comparisons = groups.compare(grouped, options.baseline, options.against)
    check([run for group in grouped for run in group.runs], options)

    @cache  # many groups have one baseline
    def side_of(group: groups.Group | None, task: str, metric: str) -> Side:
        return Side.of(group, task, metric, options)

    for comparison in comparisons:
        task, both = comparison.task, comparison.runs
        for metric in [options.metric] if options.metric else metrics(both, options.split, task):
            less = not is_quantity(metric) and less_is_better(both, options.split, metric)
            side, baseline = (
                side_of(group, task, metric) for group in (comparison.group, comparison.baseline)
            )
            yield Compared(
                head=comparison.head(len(baseline.runs), len(side.runs)),
                metric=metric,
                beside=comparison.beside,
                higher_is_better=not less,
                runs=side,
                baseline=baseline,
                reason=missing(comparison, metric, side, baseline, options),
            )
