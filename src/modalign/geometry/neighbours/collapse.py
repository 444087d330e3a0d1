"""Signs of collapse: directions in use, mean cosine, spread of a transport plan."""

from __future__ import annotations

import torch

from ...errors import ModalignError
from ...parameters import checked
from ..cost import Rows, unit


@checked
def collapse(z: Rows) -> dict[str, float]:
    """How near a set of embeddings is to a single point or to few directions.

    effective_rank = exp(-sum_i p_i log p_i), p = singular values of the unit rows / their sum: 1 when all rows are
    equal, d when all directions are used alike. mean_cosine = mean over i != j of <z_i, z_j>: 1 when all are equal.

    Args:
        z: (n, d), scaled to unit rows here.

    Returns:
        {"effective_rank": in [1, min(n, d)], "mean_cosine": in [-1/(n-1), 1]}; NaN where undefined (n < 1, n < 2).

    Reference: Roy & Vetterli 2007, "The effective rank"; as a training signal: Garrido et al. 2023, arXiv 2210.02885.

    Example:
        >>> {name: round(value, 6) for name, value in collapse(torch.eye(4)).items()}
        {'effective_rank': 4.0, 'mean_cosine': 0.0}
    """
    z = unit(z.detach()).double()
    if not z.isfinite().all():
        raise ModalignError("z holds NaN or infinite values, which have no spectrum")
    n = len(z)
    if n == 0:
        return {"effective_rank": float("nan"), "mean_cosine": float("nan")}
    small = z.T @ z if z.shape[1] <= n else z @ z.T
    singular = torch.linalg.eigvalsh(small).clamp(min=0.0).sqrt()
    share = singular / singular.sum().clamp(min=1e-300)
    rank = torch.exp(torch.special.entr(share).sum())
    mean = (z.sum(0).square().sum() - z.square().sum()) / (n * (n - 1)) if n > 1 else torch.tensor(float("nan"))
    return {"effective_rank": float(rank), "mean_cosine": float(mean)}


@checked
def plan_entropy(plan: Rows) -> float:
    """How undecided a transport plan is: 0 for one-to-one, 1 for everything to everything.

    (H(P) - max(H(a), H(b))) / min(H(a), H(b)), H(P) = -sum P log P, a and b the plan's marginals: the entropy of any
    coupling lies between max(H(a), H(b)) and H(a) + H(b).

    Args:
        plan: (n, m) non-negative; it need not sum to 1.

    Returns:
        in [0, 1] up to rounding; 0 when a side has one item; NaN for a plan without mass.

    Example:
        >>> plan_entropy(torch.ones(4, 4) / 16), plan_entropy(torch.eye(4) / 4)
        (1.0, 0.0)
    """
    p = plan.detach().double()
    mass = p.sum()
    if not mass > 0:
        return float("nan")
    p = p / mass
    joint = torch.special.entr(p).sum()
    rows, columns = torch.special.entr(p.sum(1)).sum(), torch.special.entr(p.sum(0)).sum()
    low, spread = torch.maximum(rows, columns), torch.minimum(rows, columns)
    if spread <= 1e-12:
        return 0.0
    return float(((joint - low) / spread).clamp(0.0, 1.0))
