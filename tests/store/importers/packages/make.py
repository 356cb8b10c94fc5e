"""Make the logs beside this file anew, with the packages that the tests have not installed.

python -m tests.store.importers.packages.make, in an environment with mlflow, aim, trackio,
comet_ml and tensorboardX.
"""

import shutil
import tempfile
from pathlib import Path

from tests.store.importers.packages import loggers

KEPT = ("mlflow", "mlflow_files", "aim", "trackio", "comet", "tensorboardx")


def main() -> None:
    """Write one archive a package."""
    for name in KEPT:
        with tempfile.TemporaryDirectory() as made:
            folder = getattr(loggers, name)(Path(made) / name)
            shutil.make_archive(str(Path(__file__).with_name(name)), "xztar", folder)


if __name__ == "__main__":
    main()
