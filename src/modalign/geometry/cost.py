"""Cost matrices between two sets of vectors: what it takes to move one item onto another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ModalignError, check_known
from ..parameters import Shape

Rows = Annotated[Tensor, Shape("n d", mixed=True)]


def working(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in one common dtype of at least float32, in which sums are safe.

    Example:
        >>> working(torch.ones(2, dtype=torch.float16))[0].dtype
        torch.float32
    """
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Inner products of rows, ``x @ y.T``, never in a dtype below that of x: autocast does not reach it."""
    with torch.autocast(device_type=x.device.type, enabled=False):
        return x @ y.mT


def beside(x: Tensor, *more: Tensor) -> Tensor:
    """(n, d) rows with more coordinates (n, 1) behind them, and zeros up to a multiple of 4: products take longer else.

    Example:
        >>> beside(torch.ones(1, 2), torch.tensor([[5.0]]))
        tensor([[1., 1., 5., 0.]])
    """
    none = x.new_zeros(len(x), -(x.shape[1] + len(more)) % 4)
    return torch.cat([x, *more, none], 1)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine cost between rows, half the squared distance of the unit vectors.

    C_ij = 1 - <x_i, y_j> / (|x_i| |y_j|), clamped to [0, 2]. A zero row has cost 1 to everything.

    Args:
        x: (n, d), any float dtype; rows need not be normalised.
        y: (m, d).

    Returns:
        (n, m) in [0, 2], at least float32, differentiable.

    Raises:
        ModalignError: shapes do not fit together.

    Example:
        >>> cosine(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
        tensor([[0., 1., 2.]])
    """
    x, y = checked_pair(x, y)
    return cosine_of_units(unit(x), unit(y))


def cosine_of_units(x: Tensor, y: Tensor) -> Tensor:
    """The cosine cost between rows that are of length 1 already."""
    return inner(x, y).neg_().add_(1.0).clamp_(0.0, 2.0)


def sqeuclidean(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance between rows.

    C_ij = |x_i - y_j|^2, computed as |x_i|^2 + |y_j|^2 - 2 <x_i, y_j> about the mean of y, clamped at 0.
    With ``x is y`` the diagonal is exactly 0.

    Args:
        x: (n, d), any float dtype.
        y: (m, d).

    Returns:
        (n, m), non-negative, at least float32, differentiable.

    Raises:
        ModalignError: shapes do not fit together.

    Example:
        >>> sqeuclidean(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([[25.,  1.]])
    """
    same = x is y
    x, y = checked_pair(x, y)
    centre = y.detach().mean(dim=-2, keepdim=True)  # distances ignore it, rounding does not
    x, y = x - centre, y - centre
    squares = inner(x, y).mul_(-2.0)
    squares = squares.add_((x * x).sum(-1).unsqueeze(-1)).add_((y * y).sum(-1).unsqueeze(-2)).clamp_(min=0.0)
    if same:
        squares = squares.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0.0)
    return squares


KINDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"cosine": cosine, "sqeuclidean": sqeuclidean}


def cost(x: Tensor, y: Tensor, kind: str = "cosine") -> Tensor:
    """Cost matrix by name: ``"cosine"`` or ``"sqeuclidean"``.

    Args:
        x: (n, d), any float dtype.
        y: (m, d).
        kind: which cost.

    Returns:
        (n, m), at least float32, differentiable.

    Raises:
        ModalignError: unknown kind, or shapes that do not fit together.

    Example:
        >>> cost(torch.eye(2), torch.eye(2), kind="sqeuclidean")
        tensor([[0., 2.],
                [2., 0.]])
    """
    check_known("cost", kind, KINDS)
    return KINDS[kind](x, y)


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1 (zero rows stay zero), at least float32, finite gradient everywhere."""
    return normalize(working(x)[0], dim=-1, eps=1e-12)


def pair(x: Tensor, y: Tensor, same_rows: bool = False) -> tuple[Tensor, Tensor]:
    """Two matrices in one dtype of at least float32, checked to have rows of one length.

    Raises:
        ModalignError: shapes do not fit together.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or (same_rows and len(x) != len(y)):
        need = "(n, d) twice" if same_rows else "(n, d) and (m, d)"
        raise ModalignError(
            f"two sets of equally long rows are needed, got shapes {tuple(x.shape)} and {tuple(y.shape)}: give {need}"
        )
    x, y = working(x, y)
    return x, y


def checked_pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both matrices in one dtype of at least float32; refuses what cannot be compared row by row."""
    if not (x.is_floating_point() and y.is_floating_point()):
        raise ModalignError(f"a cost needs floating-point rows, got {x.dtype} and {y.dtype}: convert them first")
    return pair(x, y)
