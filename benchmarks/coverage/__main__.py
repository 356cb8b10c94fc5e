"""What the verdict says of studies made up, before and after, and how often intervals hold.

    python -m benchmarks.coverage [--trials N] [--only TEXT] [--pieces]

The column `before` is first_edition.csv: the same studies under the rules before these, at commit
6e99405. The nominal level is .05; the standard error of a share over N trials is at most .5 / √N.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.coverage import pieces
from benchmarks.coverage.counts import count
from benchmarks.coverage.worlds import worlds

_FIRST = Path(__file__).with_name("first_edition.csv")
_KEYS = ["study", "seeds", "tasks", "evaluations", "sentence", "is"]
_PIECES = (
    *(pieces.intervals, pieces.bands, pieces.onsets),
    *(pieces.items, pieces.fronts, pieces.correlations),
)


def main() -> None:
    """Print one row a study and kind of sentence, then one line a simulation of intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--only", default="", help="text in the name of a study")
    parser.add_argument("--pieces", action="store_true", help="intervals and tests alone")
    given = parser.parse_args()
    if not given.pieces:
        before = pd.read_csv(_FIRST, dtype={"is": str, "evaluations": str}).set_index(_KEYS)["said"]
        print("| " + " | ".join([*_KEYS, "before", "after", "trials"]) + " |")
        print("|---" * 9 + "|")
        for study in worlds():
            if given.only in study.name:
                for row in count(study, given.trials):
                    key = tuple(row[name] for name in _KEYS)
                    cells = [*key, f"{before.get(key, np.nan):.3f}", f"{row['said']:.3f}"]
                    print("| " + " | ".join(map(str, [*cells, row["trials"]])) + " |", flush=True)
    if not given.only:
        for simulate in _PIECES:
            for what, share in simulate(given.trials, np.random.default_rng(0)):
                print(f"{share:.3f}  {what}", flush=True)


if __name__ == "__main__":
    main()
