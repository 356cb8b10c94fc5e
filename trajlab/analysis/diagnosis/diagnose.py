"""Every analysis that applies to the given runs, and the verdict on each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from trajlab.analysis.diagnosis.families import FAMILIES
from trajlab.analysis.diagnosis.uncompared import describe
from trajlab.analysis.diagnosis.verdict import verdict
from trajlab.analysis.gap.options import GapOptions, Interval, Onset, Window
from trajlab.analysis.interface.axis import LOSS, TRAINING
from trajlab.analysis.interface.options import BASELINE, Rule
from trajlab.analysis.interface.result import Family, Result
from trajlab.analysis.runs.groups import Group, group
from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Trajectory


@dataclass(frozen=True, kw_only=True)
class DiagnosisOptions(GapOptions):
    """Options of :func:`diagnose`, which says what each means."""

    margin: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin is not None and self.margin <= 0:
            raise TrajlabError(f"margin must be positive, not {self.margin}")


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Result):
    """What :func:`diagnose` returns.

    Attributes
    ----------
    verdict
        One row a sentence: `task, sentence, numbers`, and the `analysis` that allows it.
    analyses
        One row an analysis: its name, its `state` (``done``, ``does not apply`` or ``failed``), and
        the `reason` of the latter two.
    results
        The result of each analysis that was done, by name.
    """

    options: DiagnosisOptions
    verdict: pd.DataFrame
    analyses: pd.DataFrame
    results: Mapping[str, Result]

    @property
    def skipped(self) -> dict[str, str]:
        """Why each analysis without a result has none, by name."""
        without = self.analyses[self.analyses["state"] != DONE]
        return dict(zip(without["analysis"], without["reason"], strict=True))


DONE = "done"
NOT_APPLICABLE = "does not apply"
FAILED = "failed"


def diagnose(
    runs: Iterable[Trajectory],
    *,
    baseline: Mapping[str, str] = BASELINE,
    against: Mapping[str, str] | None = None,
    metric: str | None = None,
    split: str = "test",
    selection_split: str = "validation",
    x: str = LOSS,
    loss: str = TRAINING,
    at: Sequence[float] = (),
    rule: Rule = "isotonic",
    interval: Interval = "t",
    onset: Onset = "sustained",
    window: Window = "tenth",
    sensitivity: bool = False,
    margin: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    group_by: Sequence[str] = (),
) -> Diagnosis:
    """Run every analysis that applies, and say in words what they show for each task.

    Parameters
    ----------
    runs
        Recorded runs.
    baseline, against
        As in :func:`trajlab.analysis.gap`.
    metric
        The metric to compare; every metric recorded on `split` if not given.
    split, selection_split, x, loss, at, rule, interval, onset, window, sensitivity
        As in :func:`trajlab.analysis.gap`.
    margin
        The largest difference that does not matter, in units of the metric; with it, equivalence is
        tested and the number of seeds that would be needed is told.
    confidence, seed, group_by
        As in :func:`trajlab.analysis.gap`.

    Returns
    -------
    Diagnosis
        The table `verdict`, the results it is based on, and what did not apply. An analysis that
        fails costs its own numbers alone: the table `analyses` holds the reason.

    Raises
    ------
    TrajlabError
        If the runs cannot be grouped, none is complete, or several groups have no baseline.

    Examples
    --------
    >>> import trajlab
    >>> found = trajlab.analysis.diagnose(trajlab.datasets.load("digits-two-tasks"))
    >>> print(found.verdict["sentence"].iloc[0].partition(":")[0])
    Lowered
    """
    options = DiagnosisOptions(
        baseline=baseline,
        against=against,
        metric=metric,
        split=split,
        selection_split=selection_split,
        x=x,
        loss=loss,
        at=at,
        rule=rule,
        interval=interval,
        onset=onset,
        window=window,
        sensitivity=sensitivity,
        margin=margin,
        confidence=confidence,
        seed=seed,
        group_by=group_by,
    )
    runs = list(runs)
    groups = group(runs, options.group_by)
    if not any(each.runs for each in groups):
        raise TrajlabError("no run is complete; let one finish, or repair it, and diagnose again")
    states: list[dict[str, str]] = []
    results: dict[str, Result] = {}
    told: list[pd.DataFrame] = []
    for name, family in FAMILIES.items():
        state, reason = NOT_APPLICABLE, family.requires(groups, options)
        if not reason:
            try:
                result = family.analyse(runs, **_settings(family, groups, options))
                told.append(verdict([result], margin=margin).assign(analysis=name))
                results[name], state = result, DONE
            except TrajlabError as error:
                state, reason = FAILED, str(error)
            except Exception as error:  # a fault of one analysis must not cost the others
                state, reason = FAILED, f"unforeseen {type(error).__name__}: {error}"
        states.append({"analysis": name, "state": state, "reason": reason})
    without_gap = [each["reason"] for each in states if each["analysis"] == "gap"]
    if "gap" not in results:
        told.insert(0, describe(groups, without_gap[0], options).assign(analysis=""))
    return Diagnosis(
        options=options,
        verdict=pd.concat(told, ignore_index=True) if told else pd.DataFrame(),
        analyses=pd.DataFrame(states),
        results=results,
    )


def _settings(family: Family, groups: Sequence[Group], options: DiagnosisOptions) -> dict[str, Any]:
    """Return the options of an analysis: those it has in common with a diagnosis, and its own."""
    common = signature(family.analyse).parameters.keys() & options.settings.keys()
    return {name: getattr(options, name) for name in common} | dict(family.settings(groups))
