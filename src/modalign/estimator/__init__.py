"""The scikit-learn face: an estimator from arrays to arrays."""

from .aligner import Aligner

__all__ = ["Aligner"]
