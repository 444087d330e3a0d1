"""Transport objectives: move one modality's items onto the other's at the least cost."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..registry import register
from ..views import Batch
from .pairwise import Pairwise


@register("objective", "transport")
class Transport(Pairwise):
    """L_OT: the cost of the best coupling between the items of two modalities, paired or not.

    L = mean over pairs of modalities of min over couplings G of sum_jk G_jk C(x_j, y_k) (+ epsilon KL(G | a b^T)),
    uniform weights. The gradient is that of the envelope theorem: the plan is held fixed. By itself it ignores
    which item belongs to which: any permutation of the items costs the same.

    Args:
        epsilon: regularisation, in units of the cost; > 0 (ignored by method "exact").
        cost: "cosine" (1 - cos, in [0, 2]) or "sqeuclidean".
        method: solver of `geometry.transport.solve`: "entropic", "exact", ...
        debias: Sinkhorn divergence, which is 0 when the two sets are equal.
        modalities: look only at pairs of these; default all.

    Reference: Cuturi (2013), arXiv 1306.0895; debiased: Feydy et al. (2019), arXiv 1810.08278.

    Example:
        >>> import torch
        >>> from modalign.views import Views
        >>> z = Views.from_arrays(text=torch.eye(2), image=torch.eye(2).flip(0))
        >>> round(Transport(epsilon=1e-2, debias=True)(Batch(z, z)).item(), 4)
        0.0
    """

    def __init__(
        self,
        epsilon: float = 0.05,
        cost: str = "cosine",
        method: str = "entropic",
        debias: bool = False,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(modalities)
        self.epsilon, self.cost, self.method, self.debias = epsilon, cost, method, debias

    def pair_loss(self, batch: Batch, a: str, b: str) -> Tensor | None:
        from ..geometry.transport import transport_loss

        return transport_loss(
            batch.z[a], batch.z[b], epsilon=self.epsilon, cost=self.cost, method=self.method, debias=self.debias
        )
