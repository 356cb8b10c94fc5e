"""``python -m trajlab``."""

from trajlab.cli.main import main

main(prog_name="trajlab")
