"""Which runs belong together, and which group each is compared with.

A group is (`setting`, `condition`, `method`) and whatever ``group_by`` adds; of each task, its runs
differ in `seed` alone. So each task trained alone is one group ``single``, whatever the tasks; runs
that train a task in different company are different groups, whose `condition` names the company.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trajlab.analysis.interface.tables import FREE_KEYS, GROUP_KEYS, Head, group_columns
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory
from trajlab.store.labels import ranks, same

ONE_TASK = "no run trains several tasks"  # which is no lack where two trainings are compared


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in seed alone.

    Attributes
    ----------
    keys
        Its `setting`, `condition`, `method` and the ``group_by`` keys, as text.
    runs
        Complete runs.
    incomplete
        Runs left out because they never finished.
    """

    keys: Mapping[str, str]
    runs: tuple[Trajectory, ...]
    incomplete: tuple[Trajectory, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that any of its runs has."""
        runs = (*self.runs, *self.incomplete)
        return tuple(dict.fromkeys(task for run in runs for task in run.tasks))

    @property
    def label(self) -> str:
        """Its keys but for the setting, as one would type them: ``method=single``.

        A method that was not recorded is not named where another key is.
        """
        told = {key: value for key, value in self.keys.items() if key != "setting" and value}
        run = (*self.runs, *self.incomplete)[0]
        shown = {key: told[key] for key in told if key != "method" or key in run.metadata} or told
        ordered = sorted(shown.items(), key=lambda item: item[0] != "method")
        return ", ".join(f"{key}={value}" for key, value in ordered)

    def with_task(self, task: str) -> tuple[Trajectory, ...]:
        """Return the runs that have `task`."""
        return tuple(run for run in self.runs if task in run.tasks)

    def matches(self, wanted: Mapping[str, str]) -> bool:
        """Tell whether every key in `wanted` has that value in this group, 1e-3 as 0.001."""
        return all(same(self._value(key), str(value)) for key, value in wanted.items())

    def _value(self, key: str) -> str:
        any_run = (*self.runs, *self.incomplete)[0]  # they agree in all but the seed
        return self.keys.get(key, _text(any_run.metadata.get(key)))


@dataclass(frozen=True)
class Comparison:
    """One task of one group against its baseline; `baseline` is None where there is none."""

    group: Group
    task: str
    baseline: Group | None

    @property
    def runs(self) -> tuple[Trajectory, ...]:
        """Every run on either side that has the task."""
        sides = [self.group, self.baseline] if self.baseline else [self.group]
        return tuple(run for side in sides for run in side.with_task(self.task))

    @property
    def beside(self) -> int:
        """How many tasks are trained beside this one, at most."""
        return max((len(run.tasks) for run in self.group.with_task(self.task)), default=1) - 1

    def head(self, n_baseline: int, n_runs: int) -> Head:
        """Return the columns that say what is compared with what, on how many runs."""
        return Head(
            keys=self.group.keys,
            task=self.task,
            baseline=self.baseline.label if self.baseline else "",
            n_baseline=n_baseline,
            n_runs=n_runs,
        )


def one_task(groups: Sequence[Group]) -> str:
    """Return why tasks cannot be compared with each other, if no run trains several of them."""
    if any(len(run.tasks) > 1 for group in groups for run in (*group.runs, *group.incomplete)):
        return ""
    return ONE_TASK


def alone(groups: Sequence[Group]) -> str:
    """Return why groups cannot be compared, if there are fewer than two of them."""
    if len(groups) > 1:
        return ""
    return "the runs are one group, so there is nothing to compare them with"


def group_keys(run: Trajectory, group_by: Sequence[str] = ()) -> dict[str, str]:
    """Return what names a run's group; `method` is ``single`` by default for one task."""
    default = {"method": "single"} if len(run.tasks) == 1 else {}
    metadata = {**default, **run.metadata}
    return {key: _text(metadata.get(key)) for key in group_columns(group_by)}


def group(runs: Iterable[Trajectory], group_by: Sequence[str] = ()) -> list[Group]:
    """Sort runs into groups, in order of appearance; by their numbers where labels have such.

    Parameters
    ----------
    runs
        The runs; incomplete ones are counted and left out.
    group_by
        Metadata keys that tell groups apart, next to `setting`, `condition` and `method`.

    Raises
    ------
    TrajlabError
        If there are no runs, if a ``group_by`` key is in no run, if other metadata varies within a
        group, or if two runs of a group have the same seed.
    """
    alike: dict[tuple[tuple[str, str], ...], list[Trajectory]] = {}
    for run in runs:
        alike.setdefault(tuple(group_keys(run, group_by).items()), []).append(run)
    members = {
        tuple(keys.items()): part
        for shared, group_runs in alike.items()
        for keys, part in _by_company(dict(shared), group_runs)
    }
    if not members:
        raise TrajlabError("there are no runs to analyse; name files, folders or globs of runs")
    everyone = [run for group_runs in members.values() for run in group_runs]
    for key in group_by:
        if not any(key in run.metadata for run in everyone):
            known = sorted({name for run in everyone for name in run.metadata})
            raise TrajlabError(
                f"no run has the metadata key {key!r} to group by; there are {', '.join(known)}"
            )
    groups = []
    named = [dict(keys) for keys in members]
    places = {key: ranks(each[key] for each in named) for key in named[0]}
    for keys, group_runs in sorted(
        members.items(), key=lambda item: [places[key][value] for key, value in item[0]]
    ):
        _check_alike(dict(keys), group_runs)
        complete = tuple(run for run in group_runs if run.status == "complete")
        incomplete = tuple(run for run in group_runs if run.status != "complete")
        groups.append(Group(dict(keys), complete, incomplete))
    return groups


def _by_company(
    keys: Mapping[str, str], runs: Sequence[Trajectory]
) -> Iterator[tuple[dict[str, str], list[Trajectory]]]:
    """Split runs by the tasks that they train, if those of two of them overlap in part."""
    sets: dict[frozenset[str], list[Trajectory]] = {}
    for run in runs:
        sets.setdefault(frozenset(run.tasks), []).append(run)
    if sum(map(len, sets)) == len(frozenset().union(*sets)):
        yield dict(keys), list(runs)
        return
    for members in sets.values():
        company = "+".join(members[0].tasks)
        yield {**keys, "condition": f"{keys['condition']} {company}".strip()}, members


def compare(
    groups: Sequence[Group],
    baseline: Mapping[str, str],
    against: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Find what each group is compared with, task by task.

    The baseline is the group selected by `baseline` with equal setting, task and condition; if
    there is none, with equal setting and task. Among several, those with equal ``group_by`` keys
    win.

    Parameters
    ----------
    groups
        From :func:`group`.
    baseline
        Keys and values that select baselines; such groups are not compared themselves.
    against
        Keys and values that narrow what is compared.

    Raises
    ------
    TrajlabError
        If no group is a baseline, nothing is left to compare, no group shares setting and task with
        a baseline, or a group has several baselines.
    """
    baselines = [group for group in groups if group.matches(baseline)]
    wanted = ", ".join(f"{key}={value}" for key, value in baseline.items())
    if not baselines:
        raise TrajlabError(
            f"no run is a baseline ({wanted}); there are {_labels(groups)}: name one of them"
        )
    others = [group for group in groups if group not in baselines]
    compared = [group for group in others if group.matches(against or {})]
    if not compared:
        raise TrajlabError(
            f"nothing is left to compare with the baseline {wanted}"
            + (
                f" by against {dict(against)}: there are {_labels(others)}"
                if against
                else "; add runs of another group"
            )
        )
    comparisons = [
        Comparison(group, task, _baseline_of(group, task, baselines))
        for group in compared
        for task in group.tasks
    ]
    if all(comparison.baseline is None for comparison in comparisons):
        raise TrajlabError(
            f"no run shares setting and task with a baseline ({wanted}): compared are "
            f"{_places(compared)}, the baselines have {_places(baselines)}"
        )
    return comparisons


def _baseline_of(group: Group, task: str, baselines: Sequence[Group]) -> Group | None:
    candidates = [
        candidate
        for candidate in baselines
        if candidate.keys["setting"] == group.keys["setting"] and task in candidate.tasks
    ]
    for key in ("condition", *(key for key in group.keys if key not in GROUP_KEYS)):
        alike = [candidate for candidate in candidates if candidate.keys[key] == group.keys[key]]
        candidates = alike or candidates
    if len(candidates) > 1:
        raise TrajlabError(
            f"task {task!r} of {group.label} has several baselines ({_labels(candidates)}): "
            "narrow the baseline by one more key=value"
        )
    return candidates[0] if candidates else None


def _check_alike(keys: Mapping[str, str], runs: Sequence[Trajectory]) -> None:
    """Refuse runs that would be counted as repetitions of one another and are not, task by task."""
    for task in dict.fromkeys(task for run in runs for task in run.tasks or ("",)):
        _check_repetitions(keys, [run for run in runs if task in (run.tasks or ("",))])


def _check_repetitions(keys: Mapping[str, str], runs: Sequence[Trajectory]) -> None:
    reference = runs[0]
    names = {name for run in runs for name in run.metadata} - set(keys) - set(FREE_KEYS)
    for name in sorted(names):
        for run in runs:
            if run.metadata.get(name) != reference.metadata.get(name):
                raise TrajlabError(
                    f"runs of one group must differ in seed alone, but {reference.path} and "
                    f"{run.path} differ in {name!r}: name the baseline by it "
                    f"({name}={reference.metadata.get(name)}), group by it, or select runs that "
                    "agree"
                )
    seeds: dict[str, Trajectory] = {}
    for run in runs:
        if "seed" in run.metadata and run.status == "complete":
            twin = seeds.setdefault(str(run.metadata["seed"]), run)
            if twin is not run:
                raise TrajlabError(
                    f"{twin.path} and {run.path} have the same group and seed; keep one of them, "
                    "or group by a metadata key that tells them apart"
                )


def _labels(groups: Iterable[Group]) -> str:
    return "; ".join(dict.fromkeys(group.label or "runs without metadata" for group in groups))


def _places(groups: Iterable[Group]) -> str:
    places = [
        f"{group.keys['setting'] or '(no setting)'}: {', '.join(group.tasks)}" for group in groups
    ]
    return "; ".join(dict.fromkeys(places))


def _text(value: object) -> str:
    return "" if value is None else str(value)
