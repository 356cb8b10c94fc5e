"""One run, one HDF5 file: tables and columns, written so that nothing is lost."""

from trajlab.store.null import NullWriter
from trajlab.store.runs import Runs, load
from trajlab.store.schema import standard
from trajlab.store.table import Column, Table
from trajlab.store.trajectory import Trajectory
from trajlab.store.writer import Writer

__all__ = ["Column", "NullWriter", "Runs", "Table", "Trajectory", "Writer", "load", "standard"]
