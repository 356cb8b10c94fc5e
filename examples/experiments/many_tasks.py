"""Nine tasks and two ways to weight them, without any single-task run."""

import sys
from pathlib import Path

from digits import train, trajlab

folder = Path(sys.argv[1])
tasks = [f"is {n}" for n in range(9)]
weightings = {"uniform": None, "first": dict.fromkeys(tasks, 0.5) | {"is 0": 5.0}}
for seed in range(3):
    for method, weights in weightings.items():
        metadata = {"method": method, "seed": seed}
        train(folder / f"{method}-{seed}.h5", tasks, metadata, weights=weights, lr=0.1, epochs=15)
page = "--page", folder / "report.html"
trajlab("diagnose", folder, "--baseline", "method=uniform", *page)
