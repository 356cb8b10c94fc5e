"""Make the logs beside this file anew, with the packages that the tests have not installed.

python -m tests.store.importers.packages.make, in an environment with mlflow, aim, trackio,
comet_ml, tensorboardX and wandb.
"""

import shutil
import tempfile
from pathlib import Path

from tests.store.importers.packages import loggers

KEPT = ("mlflow", "mlflow_files", "aim", "trackio", "comet", "tensorboardx", "wandb")


def main() -> None:
    """Write one archive a package."""
    for name in KEPT:
        with tempfile.TemporaryDirectory() as made:
            folder = getattr(loggers, name)(Path(made) / name)
            for file in folder.rglob("*"):
                if name == "wandb" and file.is_file() and file.suffix != ".wandb":
                    file.unlink()  # what it says of the machine
            shutil.make_archive(str(Path(__file__).with_name(name)), "xztar", folder)


if __name__ == "__main__":
    main()
