"""How task gradients agree or oppose each other."""

from trajlab.analysis.conflict.conflict import FAMILY, Conflict, conflict

__all__ = ["FAMILY", "Conflict", "conflict"]
