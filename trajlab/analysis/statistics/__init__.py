"""Intervals, tests and corrections, on arrays: nothing here knows of runs."""
