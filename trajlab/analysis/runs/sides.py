"""The two sides of a comparison: which runs each has, and what was left out."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, Self

import numpy as np

from trajlab.analysis.interface.options import ComparisonOptions
from trajlab.analysis.runs.evaluations import Evaluations, read
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.quantities import over_axis
from trajlab.analysis.runs.recorded import evaluated, has_axis, is_quantity

LEFT_OUT = ("incomplete", "diverged", "excluded", "unevaluated", "unplaced", "no_logarithm")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the runs it uses, and how much was left out.

    Attributes
    ----------
    runs
        What is used of each run.
    left_out
        How many runs and evaluations were, by the reasons of `LEFT_OUT`; and as `between`, how many
        evaluations are used whose loss was read between two steps.
    pair_ids, names
        What pairs each run with one of the other side, and its file's name.
    """

    runs: tuple[Evaluations, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    pair_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, group: Group | None, task: str, metric: str, options: ComparisonOptions) -> Self:
        """Read a group's runs of `task`."""
        if group is None:
            return cls(())
        members = every = group.with_task(task)
        if is_quantity(metric):
            runs = [over_axis(run, task, metric, options.axis) for run in members]
        else:
            splits = options.split, options.selection_split
            members = tuple(
                run
                for run in every
                if evaluated(run, options.split) and has_axis(run, options.axis)
            )
            how: dict[str, Any] = {"bits": True, "axis": options.axis}
            runs = [read(run, task, metric, *splits, **how) for run in members]
        used = [run.step.size > 0 and not run.diverged for run in runs]
        kept = tuple(compress(runs, used))
        return cls(
            kept,
            Counter(
                incomplete=len(group.incomplete),
                diverged=sum(run.diverged for run in runs),
                excluded=sum(run.excluded for run in runs),
                unevaluated=len(every) - len(members),
                unplaced=sum(int(np.isnan(run.train_loss).sum()) for run in kept),
                no_logarithm=sum(run.no_logarithm for run in kept),
                between=sum(run.between for run in kept),
            ),
            pair_ids=tuple(str(run.metadata.get("pair_id", "")) for run in compress(members, used)),
            names=tuple(run.path.stem for run in compress(members, used)),
        )

    def paired_with(self, other: Self) -> bool:
        """Tell whether every run has exactly one partner on the other side."""
        pair_ids, other_ids = set(self.pair_ids), set(other.pair_ids)
        sizes = {len(pair_ids), len(self.runs), len(other.runs)}
        return (
            pair_ids == other_ids and "" not in pair_ids and len(sizes) == 1 and len(pair_ids) > 1
        )

    def by_pair(self) -> Self:
        """Return the side with its runs in the order of their `pair_id`."""
        order = sorted(range(len(self.runs)), key=lambda i: self.pair_ids[i])
        return replace(
            self,
            runs=tuple(self.runs[i] for i in order),
            pair_ids=tuple(self.pair_ids[i] for i in order),
            names=tuple(self.names[i] for i in order),
        )

    def counts(self, suffix: str = "") -> dict[str, int]:
        """Return what was left out, as columns."""
        return {f"n_{name}{suffix}": self.left_out[name] for name in LEFT_OUT}
