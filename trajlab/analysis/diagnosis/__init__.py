"""All analyses in one, and the verdict in plain words."""

from trajlab.analysis.diagnosis.diagnose.diagnose import Diagnosis, diagnose
from trajlab.analysis.diagnosis.diagnose.verdict import verdict

__all__ = ["Diagnosis", "diagnose", "verdict"]
