"""Tables as links in a page: what is clicked is saved, and nothing is asked of a server."""

import base64
import gzip

import pandas as pd
from markupsafe import Markup, escape

from trajlab.report.tables import to_csv

PACKED = 100_000  # bytes of CSV, beyond which it is packed
MOST = 150_000  # bytes, beyond which a page does not carry it


def link(name: str, table: pd.DataFrame) -> Markup | None:
    """Return a link that saves a table as CSV, packed by gzip where it is long; None if too long.

    Parameters
    ----------
    name
        Name of the file, without its ending.
    table
        Any table.
    """
    content, kind, ending = to_csv({name: table}), "text/csv", "csv"
    if len(content) > PACKED:
        content, kind, ending = gzip.compress(content, mtime=0), "application/gzip", "csv.gz"
    if len(content) > MOST:
        return None
    data = base64.b64encode(content).decode()
    file = escape(f"{name}.{ending}")
    return Markup(f'<a download="{file}" href="data:{kind};base64,{data}">{file}</a>')
