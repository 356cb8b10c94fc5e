"""What a study has trained, and the command that goes from there to tables of verdicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from trajlab.errors import TrajlabError
from trajlab.lazy import pd
from trajlab.store import Runs, Trajectory
from trajlab.study.file import read
from trajlab.study.keys import check_keys
from trajlab.study.selection import runs
from trajlab.study.status import seconds

FEWEST = 3  # seeds; with fewer, numbers are descriptive
_HOUR = 3600
SHOWN = 30  # rows; longer tables are written and not printed
Evaluate = Callable[[Path, Path, Path], Mapping[str, pd.DataFrame]]


@dataclass(frozen=True)
class Finished:
    """Finished runs of some stages.

    Attributes
    ----------
    runs
        Of the seeds that are whole: with which every run of these stages is finished.
    seeds
        How many these are.
    wanted
        How many the study file has.
    failed
        Runs of these stages that ended in an error.
    """

    runs: Runs
    seeds: int
    wanted: int
    failed: int = 0

    def withhold(self, verdicts: pd.DataFrame, fewest: int = FEWEST) -> pd.DataFrame:
        """Return a table with a `verdict` a row as it stands for these runs.

        Without all seeds, or where a run failed, verdicts are ``undecided``; `so_far` is what the
        rules make of the seeds there are, and `lacks` says what is missing.

        Parameters
        ----------
        verdicts
            As the rules have it.
        fewest
            Seeds without which there is none: fewer do where the unit is not the seed.
        """
        lacks = f"{self.seeds} seeds are too few" if self.seeds < fewest else ""
        if self.seeds < self.wanted:
            lacks = f"{self.seeds} of {self.wanted} seeds are trained"
        if self.failed:
            lacks = f"{lacks}{', ' if lacks else ''}{self.failed} runs failed"
        so_far = verdicts["verdict"]
        held = "undecided" if lacks else so_far
        return verdicts.assign(verdict=held, so_far=so_far, lacks=lacks, n=self.seeds)


def finished(
    file: Path, stages: Sequence[str], folder: Path, *, failures: bool = False
) -> Finished:
    """Return what is finished of some stages of a study.

    Parameters
    ----------
    file
        The study file.
    stages
        Names of its stages.
    folder
        Where the trajectory files are.
    failures
        Whether a seed is whole with runs that failed, too: of trials, which are then not chosen.

    Raises
    ------
    TrajlabError
        If the file cannot be read, or has no such stage.
    """
    study = replace(read(file), runs=folder)
    by_name = {stage.name: stage for stage in study.stages}
    check_keys(stages, by_name, f"the stages of {file}")
    seen: dict[int, dict[Path, Trajectory | None]] = {}
    failed: set[Path] = set()
    for stage in (by_name[name] for name in stages):
        wanted = runs(study, stage)
        for configuration in stage.configurations():
            own = seen.setdefault(configuration["seed"], {})
            if wanted is None:  # not chosen yet what these runs are
                own[Path(stage.name)] = None
        for run in wanted or ():
            seen[run.configuration["seed"]][run.path] = run.trajectory()
            if run.failure is not None:
                failed.add(run.path)
    done = failed if failures else set()
    whole = {
        seed: of_seed
        for seed, of_seed in seen.items()
        if all(run is not None or path in done for path, run in of_seed.items())
    }
    kept = [run for seed in sorted(whole) for run in whole[seed].values() if run is not None]
    return Finished(Runs(kept), len(whole), len(seen), len(failed))


def cost_table(file: Path, folder: Path) -> pd.DataFrame:
    """Return what the runs of a study took, a row a stage; the first of two tells a shared run.

    Parameters
    ----------
    file
        The study file.
    folder
        Where the trajectory files are.

    Returns
    -------
    DataFrame
        `stage, wanted, finished, failed, core_hours`: runs that the stage adds, NaN where it is not
        known yet which these are; those that are finished; those that ended in an error; and the
        hours that the finished ones took on their one thread each, evaluations and probes included,
        interruptions left out; beside other work a core does less in an hour.
    """
    study = replace(read(file), runs=folder)
    seen: set[Path] = set()
    rows = []
    for stage in study.stages:
        wanted = runs(study, stage)
        new = [run for run in wanted or () if run.path not in seen]
        seen |= {run.path for run in new}
        done = [trajectory for run in new if (trajectory := run.trajectory()) is not None]
        hours = sum(seconds(run) for run in done) / _HOUR
        failed = sum(run.failure is not None for run in new)
        rows.append((stage.name, np.nan if wanted is None else len(new), len(done), failed, hours))
    return pd.DataFrame(rows, columns=["stage", "wanted", "finished", "failed", "core_hours"])


def command(evaluate: Evaluate, folder: Path) -> click.Command:
    """Make the command of an analysis: from a folder of runs to printed and written tables.

    Parameters
    ----------
    evaluate
        From the study file, the folder of runs and that for figures to tables by name, which are
        written there too, with what the runs took as ``cost``; its docstring is the help.
    folder
        Of the analysis: ``study.toml`` and ``results`` in it are the defaults.
    """
    place = click.Path(path_type=Path)

    @click.command(help=evaluate.__doc__)
    @click.argument(
        "trained", metavar="RUNS", type=click.Path(path_type=Path, exists=True, file_okay=False)
    )
    @click.option("--study", type=place, default=folder / "study.toml", help="Their study file.")
    @click.option("--out", type=place, default=folder / "results", help="For tables and figures.")
    def main(trained: Path, study: Path, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_, **__: click.echo(f"Warning: {text}", err=True)
            try:
                # first, for where runs are missing it says which
                _tell("cost", cost_table(study, trained), out)
                tables = evaluate(study, trained, out)
            except (TrajlabError, OSError) as error:
                raise click.ClickException(str(error)) from error
        for name, table in tables.items():
            _tell(name, table, out)

    return main


def _tell(name: str, table: pd.DataFrame, out: Path) -> None:
    """Write a table, and print it."""
    file = out / f"{name}.csv"
    table.to_csv(file, index=False, float_format="%.4g")
    shown = table.to_string(index=False, float_format="{:.3g}".format, na_rep="")
    click.echo(f"\n{name}\n{shown if len(table) <= SHOWN else f'{len(table)} rows: {file}'}")
