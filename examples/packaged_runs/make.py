"""Make the runs that ``trajlab.datasets`` loads: ``make datasets``, or some by name.

Each is a study beside this file or an experiment of ``examples/``. What is in the wheel was made on
one core of a CPU; another machine gives the same up to rounding, and other clocks.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from trajlab.study import file, runner

ROOT = Path(__file__).parents[2]
PACKAGED = ROOT / "trajlab" / "datasets"
EXPERIMENTS = {
    "digits-fronts": "fronts",
    "two-optimizers": "two_optimizers",
    "model-sizes": "model_sizes",
}


def make(name: str) -> None:
    """Train the runs of one data set that are missing, and put all of them into the package."""
    trained = Path("runs") / "datasets" / name
    if name in EXPERIMENTS:
        shutil.rmtree(trained, ignore_errors=True)
        script = f"examples/experiments/{EXPERIMENTS[name]}.py"
        subprocess.run([sys.executable, script, trained], cwd=ROOT, check=True)
    else:
        study = replace(file.read(Path(__file__).with_name(f"{name}.toml")), runs=ROOT / trained)
        runner.train(study, runner.local(1), runner.Progress())
    shutil.rmtree(PACKAGED / name, ignore_errors=True)
    (PACKAGED / name).mkdir(parents=True)
    for run in sorted((ROOT / trained).glob("*.h5")):
        # a study's digest of a run's configuration means nothing to who reads the runs
        shutil.copyfile(run, PACKAGED / name / re.sub(r"-[0-9a-f]{8}(?=\.h5$)", "", run.name))


if __name__ == "__main__":
    studies = sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))
    for wanted in sys.argv[1:] or [*studies, *EXPERIMENTS]:
        make(wanted)
