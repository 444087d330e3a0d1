"""Terms that keep structure between two modalities: Brownian bridge, feature separation, geometric consistency.

The three regularisers of Jiang et al. (2023), arXiv 2303.05952, with the misprints of the paper set right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModalignError
from .contrast import cyclic
from .cost import pair, unit, working
from .dispersion import uniformity


def bridge_mean(x: Tensor, y: Tensor, t: float | Tensor = 0.25) -> Tensor:
    """The point at time t on the way from y to x, back on the sphere.

    mu_t = normalise(t x + (1 - t) y); t = 1 is x, t = 0 is y.

    Args:
        x: (n, d), unit rows.
        y: (n, d), unit rows.
        t: in [0, 1], a number or one per row (n,); published .25 with x the image.

    Returns:
        (n, d), unit rows (a zero row where opposite vectors cancel), at least float32.

    Reference: Jiang et al. (2023), arXiv 2303.05952, Brownian bridge.

    Example:
        >>> bridge_mean(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)[0, 0].item() > 0.7
        True
    """
    x, y = pair(x, y, same_rows=True)
    time = _column(t, x)
    return unit(time * x + (1 - time) * y)


def brownian_bridge(
    augmented: Tensor, x: Tensor, y: Tensor, t: float | Tensor = 0.25, weighted: bool = False
) -> Tensor:
    """Augmented views should lie on the way between the two modalities of their item.

    L = mean_i w |a_i - mu_t,i|^2 = mean_i w (2 - 2 <a_i, mu_t,i>) for unit vectors, w = 1, or 1 / (2 t (1 - t)) when
    t is sampled: minus the log-likelihood of the bridge N(mu_t, t (1 - t) I). (The paper's second line lacks the sign,
    the 2 and the root.)

    Args:
        augmented: a, (n, d), unit rows: augmented views of x.
        x: (n, d), unit rows.
        y: (n, d), unit rows, row i paired with row i of x.
        t: in [0, 1], strictly inside when weighted; published .25.
        weighted: divide by twice the bridge's variance.

    Returns:
        Scalar in [0, 4] when not weighted; 0 without rows.

    Raises:
        ModalignError: shapes differ, t outside its range.

    Reference: Jiang et al. (2023), arXiv 2303.05952, Brownian bridge.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> brownian_bridge(x, x, x).item(), brownian_bridge(-x, x, x).item()
        (0.0, 4.0)
    """
    mean = bridge_mean(x, y, t)
    augmented, mean = pair(augmented, mean, same_rows=True)
    time = _column(t, mean)
    if weighted and not bool(((time > 0) & (time < 1)).all()):
        raise ModalignError(
            "a weighted bridge needs t strictly between 0 and 1: its variance t (1 - t) is 0 at the ends"
        )
    distance = (augmented - mean).square().sum(1, keepdim=True)
    if weighted:
        distance = distance / (2 * time * (1 - time))
    return distance.sum() / max(len(distance), 1)


def orthogonality(shared: Tensor, specific: Tensor) -> Tensor:
    """What is particular to a modality should not repeat what is shared.

    L = mean_j <z_j, s_j>^2.

    Args:
        shared: z, (n, d), unit rows.
        specific: s, (n, d), unit rows, of the same items.

    Returns:
        Scalar in [0, 1]; 0 without rows.

    Raises:
        ModalignError: shapes differ.

    Reference: Jiang et al. (2023), arXiv 2303.05952, deep feature separation.

    Example:
        >>> orthogonality(torch.eye(2), torch.eye(2).flip(0)).item()
        0.0
    """
    shared, specific = pair(shared, specific, same_rows=True)
    return (shared * specific).sum(1).square().sum() / max(len(shared), 1)


def spread(specific: list[Tensor], t: float = 2.0) -> Tensor:
    """Uniformity of the modality-specific features, the potentials of all modalities added inside the logarithm.

    L = log sum_m mean_{j != k} exp(-t |s^m_j - s^m_k|^2). (The paper divides by N and keeps j = k, constants that
    change the scale and not the order.)

    Args:
        specific: (n_m, d) each, unit rows.
        t: > 0; published 2.

    Returns:
        Scalar; 0 if no modality has two rows.

    Reference: Jiang et al. (2023), arXiv 2303.05952, deep feature separation.

    Example:
        >>> spread([torch.tensor([[1.0, 0.0], [-1.0, 0.0]])]).item()
        -8.0
    """
    terms = [uniformity(s, t) for s in specific if len(s) > 1]
    if not terms:
        return torch.stack([working(s)[0].sum() * 0.0 for s in specific]).sum()
    return torch.logsumexp(torch.stack(terms), 0)


def geometric_consistency(x: Tensor, y: Tensor) -> Tensor:
    """Distances between items should not depend on the modality they are measured in.

    L = (1/N) sum_jk [(<x_j, y_k> - <x_k, y_j>)^2 + (<x_j, x_k> - <y_j, y_k>)^2].

    Args:
        x: (n, d), unit rows.
        y: (n, d), unit rows, row i paired with row i of x.

    Returns:
        Scalar >= 0; 0 without rows.

    Raises:
        ModalignError: shapes differ.

    Reference: Jiang et al. (2023), arXiv 2303.05952, geometric consistency.

    Example:
        >>> geometric_consistency(torch.eye(3), torch.eye(3)).item()
        0.0
    """
    in_modal, cross_modal = cyclic(x, y)
    return in_modal + cross_modal


def augmented_consistency(x: Tensor, y: Tensor, x_augmented: Tensor, y_augmented: Tensor) -> Tensor:
    """The same geometry before and after augmentation, and paired similarities that augmentation leaves alone.

    L = (1/N) sum_jk [(<x_j, x'_k> - <x_k, x'_j>)^2 + (<x_j, x_k> - <x'_j, x'_k>)^2, the same for y]
        + (1/N) sum_j (<x_j, y_j> - <x'_j, y'_j>)^2.

    Args:
        x: (n, d), unit rows.
        y: (n, d), paired with x.
        x_augmented: x', (n, d), augmented views of x.
        y_augmented: y', (n, d), augmented views of y.

    Returns:
        Scalar >= 0; 0 without rows.

    Raises:
        ModalignError: shapes differ.

    Reference: Jiang et al. (2023), arXiv 2303.05952, geometric consistency.

    Example:
        >>> e = torch.eye(3)
        >>> augmented_consistency(e, e, e, e).item()
        0.0
    """
    within = geometric_consistency(x, x_augmented) + geometric_consistency(y, y_augmented)
    x, y = pair(x, y, same_rows=True)
    x2, y2 = pair(x_augmented, y_augmented, same_rows=True)
    drift = ((x * y).sum(1) - (x2 * y2).sum(1)).square().sum() / max(len(x), 1)
    return within + drift


def _column(t: float | Tensor, like: Tensor) -> Tensor:
    time = torch.as_tensor(t, dtype=like.dtype, device=like.device)
    if time.dim() > 1 or (time.dim() == 1 and len(time) != len(like)):
        raise ModalignError(f"t must be a number or one per row ({len(like)},), got shape {tuple(time.shape)}")
    if not bool(((time >= 0) & (time <= 1)).all()):
        raise ModalignError("t must be between 0 (the second modality) and 1 (the first)")
    return time.reshape(-1, 1)
