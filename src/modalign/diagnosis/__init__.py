"""Should these modalities be aligned, and how strongly? Asked of the features, before any training.

What decides: how much of each modality the other one tells (cross-validated, against shuffled pairs), and whether a
quick alignment finds held-out partners. docs/diagnose.md says how the thresholds were chosen.
"""

from .pairs import CalibratedSimilarity, Diagnosis, PairDiagnosis, diagnose, diagnose_arrays

__all__ = ["Diagnosis", "PairDiagnosis", "CalibratedSimilarity", "diagnose", "diagnose_arrays"]
