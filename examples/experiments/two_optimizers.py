"""One task, trained in two ways: how Adam compares with SGD at equal training loss, and time."""

import sys
from pathlib import Path

import torch
from digits import train, trajlab

folder = Path(sys.argv[1])
ways = {"sgd": (torch.optim.SGD, 0.3), "adam": (torch.optim.Adam, 0.01)}
for seed in range(3):
    for method, (optimizer, lr) in ways.items():
        metadata = {"method": method, "seed": seed}
        train(folder / f"{method}-{seed}.h5", ["digit"], metadata, optimizer=optimizer, lr=lr)
page = "--page", folder / "report.html"
trajlab("diagnose", folder, "--baseline", "method=sgd", *page)
trajlab("gap", folder, "--baseline", "method=sgd", "--x", "wall_time")
