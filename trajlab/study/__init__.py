"""Grids of runs, and the quickstart."""
