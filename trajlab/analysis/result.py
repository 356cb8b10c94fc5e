"""What every analysis returns: frozen, tidy tables and the settings that made them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of the results: its DataFrame fields are the tables, in order of declaration.

    Attributes
    ----------
    settings
        The options the analysis ran with, resolved: written next to every number it gives.
    """

    settings: Mapping[str, Any]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by name, the way ``--json`` prints them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}
