"""Each task alone, and all together: whether training them together helps or hurts each."""

import sys
from pathlib import Path

from digits import train, trajlab

folder = Path(sys.argv[1])
experiments = {"single": [["digit"], ["parity"]], "uniform": [["digit", "parity"]]}
for seed in range(3):
    for method, sets in experiments.items():
        for tasks in sets:
            file = folder / f"{method}-{'-'.join(tasks)}-{seed}.h5"
            train(file, tasks, {"method": method, "seed": seed})
trajlab("diagnose", folder, "--page", folder / "report.html")
