"""Similarity of two representations of the same items: shared neighbours, kernels, correlations.

Rows of the two sets are the same items; widths may differ. Nothing of size n x n is held. The values grow with width
and shrink with the number of items: compare like with like, or calibrate against shuffled pairs (``calibrate``).

- `cka` compares kernels; start here for a first number. `svcca` and `pwcca` compare the subspaces that matter; `rsa`
  the order of all distances.
- `mutual_knn`, `cycle_knn`, `lcs_knn` and `cknna` look at nearest neighbours alone, which is what retrieval lives on.
- `trustworthiness` counts neighbours that were none before a map.
- `permuted` and `calibrate` say what shuffled pairs reach.
"""

from .common import calibrate, permuted
from .correlation import pwcca, rsa, svcca
from .kernel import cka
from .neighbours import cknna, cycle_knn, lcs_knn, mutual_knn, trustworthiness

__all__ = [
    "calibrate", "cka", "cknna", "cycle_knn", "lcs_knn", "mutual_knn", "permuted", "pwcca", "rsa", "svcca",
    "trustworthiness",
]  # fmt: skip
