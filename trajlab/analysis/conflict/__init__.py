"""How task gradients agree or oppose each other."""

from trajlab.analysis.conflict.conflict import Conflict, conflict

__all__ = ["Conflict", "conflict"]
