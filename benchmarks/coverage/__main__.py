"""What the verdict says of studies made up, before and after, and how often intervals hold.

    python -m benchmarks.coverage [--trials N] [--only PATTERN] [--results FILE]
    python -m benchmarks.coverage --pieces
    python -m benchmarks.coverage --write docs/statistics.md

The first goes on where it was stopped, and writes second_edition.csv after each 100 studies; where
any finding is false, five times N. The last puts what is there into a document. The column
`before` is first_edition.csv: the same studies under the rules before these, at commit 6e99405.
"""

import argparse
import re
from pathlib import Path

import numpy as np

from benchmarks.coverage import pieces
from benchmarks.coverage.results import extend, lines
from benchmarks.coverage.sentences import ANY
from benchmarks.coverage.worlds import worlds

_NOW = Path(__file__).with_name("second_edition.csv")
_BEGIN, _END = "<!-- table of make bench-coverage -->\n", "<!-- end of the table -->\n"
_ROUNDS = (0.25, 1)  # all studies a little, then all of them whole
_PIECES = (
    *(pieces.intervals, pieces.bands, pieces.onsets),
    *(pieces.items, pieces.fronts, pieces.correlations),
)


def main() -> None:
    """Count what verdicts say, simulate intervals, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--only", default="", help="pattern in the name of a study")
    parser.add_argument("--results", type=Path, default=_NOW)
    parser.add_argument("--pieces", action="store_true", help="intervals and tests alone")
    parser.add_argument("--write", type=Path, help="document to put the table into")
    given = parser.parse_args()
    if given.write:
        text = given.write.read_text(encoding="utf-8")
        head, rest = text.split(_BEGIN)
        table = "\n".join(lines(given.results, worlds())) + "\n"
        written = head + _BEGIN + "\n" + table + "\n" + _END + rest.split(_END)[1]
        given.write.write_text(written, encoding="utf-8")
    elif given.pieces:
        for simulate in _PIECES:
            for what, share in simulate(given.trials, np.random.default_rng(0)):
                print(f"{share:.3f}  {what}", flush=True)
    else:
        for share in _ROUNDS:
            for study in (each for each in worlds() if re.search(given.only, each.name)):
                times = 5 if ANY in study.false else 1
                extend(given.results, study, int(share * times * given.trials))


if __name__ == "__main__":
    main()
