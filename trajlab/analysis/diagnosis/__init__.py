"""All analyses in one, and the verdict in plain words."""

from trajlab.analysis.diagnosis.diagnose import Diagnosis, diagnose
from trajlab.analysis.diagnosis.verdict import verdict

__all__ = ["Diagnosis", "diagnose", "verdict"]
