"""What was counted so far: a file of one row a study and kind of sentence, and the table of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.coverage.counts import PIECE, count
from benchmarks.coverage.studies import Study

FIRST = Path(__file__).with_name("first_edition.csv")
KEYS = ["study", "seeds", "tasks", "evaluations", "sentence", "is"]
_TYPES = {"is": str, "evaluations": str}


def read(path: Path) -> pd.DataFrame:
    """Return how often each kind of sentence was said: columns `said` and `trials`.

    Parameters
    ----------
    path
        A file of results; without one there are no rows.
    """
    if not path.exists():
        return pd.DataFrame(columns=[*KEYS, "said", "trials"]).set_index(KEYS)
    return pd.read_csv(path, dtype=_TYPES).set_index(KEYS)


def extend(path: Path, study: Study, trials: int) -> None:
    """Count on in pieces until there are `trials` of a study, and write after each.

    Parameters
    ----------
    path
        A file of results, in which `said` is a number of studies.
    study, trials
        What is counted, and up to how often.
    """
    table = read(path)
    keys = judged(study)
    known = all(key in table.index for key in keys)
    done = min(int(table.loc[key, "trials"]) for key in keys) if known else 0
    for piece in range(done // PIECE, trials // PIECE):
        found = count(study, piece)
        for key in keys:
            before = int(table.loc[key, "said"]) if piece else 0
            table.loc[key, ["said", "trials"]] = before + found[key[4]], (piece + 1) * PIECE
        part = path.with_suffix(".part")
        table.to_csv(part)
        part.replace(path)


def judged(study: Study) -> list[tuple[str, int, int, str, str, str]]:
    """Return the keys of a study's rows: each kind of sentence that is false of it, or true.

    Parameters
    ----------
    study
        A study.
    """
    head = study.name, study.seeds, study.tasks, study.evaluations
    kinds = [*((kind, "false") for kind in study.false), *((kind, "true") for kind in study.true)]
    return [(*head, *each) for each in kinds]


def lines(path: Path, studies: Iterator[Study]) -> Iterator[str]:
    """Yield the lines of a table of shares with their standard errors, before and after.

    Parameters
    ----------
    path
        A file of results.
    studies
        In the order of the table.
    """
    before, after = read(FIRST), read(path)
    yield "| " + " | ".join([*KEYS, "before", "after", "studies"]) + " |"
    yield "|---" * (len(KEYS) + 3) + "|"
    for key in (key for study in studies for key in judged(study)):
        old = f"{before.loc[key, 'said']:.3f}" if key in before.index else "–"
        new, trials = "not run", 0
        if key in after.index:
            said, trials = after.loc[key, ["said", "trials"]].astype(int)
            share = said / trials
            error = np.sqrt(max(share * (1 - share), 1 / trials) / trials)
            new = f"{share:.3f} ± {error:.3f}"
        yield "| " + " | ".join(map(str, [*key, old, new, trials])) + " |"
