"""Pure functions from runs, or plain arrays and DataFrames, to frozen tables."""
