"""Results made up of given tables."""

from dataclasses import fields
from typing import Any, get_type_hints

import pandas as pd

from trajlab.analysis import Result
from trajlab.analysis.diagnosis.families import FAMILIES


def made_up(name: str, **given: Any) -> Result:
    """Return a result of the analysis `name`, with default options.

    Parameters
    ----------
    name
        The analysis.
    given
        Options that differ from the defaults, and tables; those not given are empty.
    """
    analyse = FAMILIES[name].analyse
    kind = get_type_hints(analyse)["return"]
    options_kind = get_type_hints(kind)["options"]
    names = {field.name for field in fields(options_kind) if field.init}
    options = {key: given.pop(key) for key in names & given.keys()}
    tables = {
        field.name: given.get(field.name, pd.DataFrame())
        for field in fields(kind)
        if field.name != "options"
    }
    return kind(options=options_kind(**{**analyse.__kwdefaults__, **options}), **tables)
