"""The Pareto front of scalarization, and where other methods lie."""

from trajlab.analysis.front.front import Front, front

__all__ = ["Front", "front"]
