"""Fronts of methods that trade tasks off."""

from trajlab.analysis.front.front import FAMILY, Front, front

__all__ = ["FAMILY", "Front", "front"]
