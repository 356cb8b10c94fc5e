"""One run, one HDF5 file: tables and columns, written so that nothing is lost."""
