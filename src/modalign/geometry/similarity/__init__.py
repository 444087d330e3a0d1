"""Similarity of two representations of the same items: shared neighbours, kernels, correlations.

Rows of the two sets are the same items; widths may differ. Nothing of size n x n is held. The values grow with width
and shrink with the number of items: compare like with like, or calibrate against shuffled pairs (``calibrate``).
"""

from .correlation import pwcca, rsa, svcca
from .kernel import cka
from .neighbours import cknna, cycle_knn, lcs_knn, mutual_knn
from .null import calibrate, permuted
from .ranks import trustworthiness

__all__ = [
    "calibrate",
    "cka",
    "cknna",
    "cycle_knn",
    "lcs_knn",
    "mutual_knn",
    "permuted",
    "pwcca",
    "rsa",
    "svcca",
    "trustworthiness",
]
