"""Heads whose space has fewer hubs: the last stage, fitted to the training items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.leading import eigenvectors
from ..model import Heads
from ..model.heads import Head, LocalScaling, Projection
from ..parameters import Seed, Weight, checked
from ..views import Views, composed

MOST = 8192  # rows of a bank: 8 MB at 256 dimensions
USUAL, USUALLY = 2048, 512  # rows whose mean crowdedness counts as the usual one; where it only serves to judge
WIDE, SPARE, ITERATIONS = 2048, 128, 6  # of a matrix whose leading directions are found by iteration
ROUGH, ROUGHLY = (64, 2), 1024  # spare directions and iterations, and rows, where directions only serve to judge
EDGE, EDGE_OF_SUMS = 0.25, 0.4  # constant coordinates; the sum of two unit rows is longer than one, and wants more
NEAR = 30  # rows of a bank that count as near, at most
FEWEST = 20  # with fewer items of other modalities than this, crowdedness is noise


@checked
@torch.no_grad()
def without_hubs(
    heads: Heads,
    x: Views,
    strength: Weight = 1.0,
    seed: Seed = 0,
    target: str | None = None,
) -> Heads:
    """The same heads with `LocalScaling` behind them, whose banks are training items of the other modalities.

    Args:
        heads: without such a stage. x: training views, paired or not.
        strength: of `LocalScaling`; of a small bank one row in 75 counts as near, but at least 5.
        seed: draws banks from larger sets.
        target: modality that queries composed of all others search: its bank holds such queries, of the training
            groups, and the banks of the others its items alone. To `LocalScaling` there are two modalities then, what
            is composed and what is searched, so that queries of one part and of several are treated alike. None:
            every modality searches every other one.

    Returns:
        Heads of the same width, whose last coordinates, one per modality or two, are those of `LocalScaling`; the
        others are reduced to their principal directions. The heads as they are where the banks would be too small.

    Example:
        >>> from modalign.registry import make
        >>> draw = torch.Generator().manual_seed(0)
        >>> a, b = torch.randn(60, 8, generator=draw), torch.randn(60, 6, generator=draw)
        >>> x = Views.from_arrays(text=a, image=b)
        >>> heads = make("method", "cca", dim=4).fit(x)
        >>> without_hubs(heads, x).dim, without_hubs(heads, x)["text"].map.dim
        (4, 2)
    """
    x = x.only(*[m for m in x.modalities if m in heads.modalities])
    most = max(1, MOST // max(1, len(heads.modalities) - 1))
    z = heads.embed(x.select({m: some(len(rows), most, seed) for m, rows in x.data.items()}))
    found = scalings(z, heads.modalities, strength, seed, target)
    if found is None:
        return heads
    axes, last = found
    return Heads({m: Head(heads[m].features, turned(heads[m].map, axes), last[m]) for m in heads.modalities}).eval()


def scalings(
    embedded: Views,
    modalities: Sequence[str],
    strength: float = 1.0,
    seed: int = 0,
    target: str | None = None,
    usual: int = USUAL,
) -> tuple[Tensor, dict[str, LocalScaling]] | None:
    """(d, k) principal directions of unit rows, and the stage that follows on unit rows of these, for each modality.

    Args:
        embedded: items of the bank, unit rows. modalities: all that there are.
        usual: rows at most whose mean crowdedness counts as the usual one.

    Returns: None where the banks would be too small.
    """
    z: dict[str, Tensor] = dict(embedded.data)
    sizes = [sum(len(rows) for other, rows in z.items() if other != m) for m in modalities]
    if len(modalities) < 2 or min(sizes) < FEWEST:
        return None
    by_queries = target in z and len(z) > 2
    roles = {m: int(m == target) if by_queries else k for k, m in enumerate(modalities)}
    wide = EDGE_OF_SUMS if by_queries else EDGE
    columns = max(roles.values()) + 1
    axes = leading(z, next(iter(z.values())).shape[1] - columns)
    z = {m: normalize(rows @ axes, dim=1) for m, rows in z.items()}
    searched = {m: [other for other in z if other != m] for m in modalities}
    banks = {m: torch.cat([z[other] for other in others]) for m, others in searched.items()}
    if by_queries and target is not None:
        banks = dict.fromkeys(modalities, z[target])
        banks[target] = composed(Views(z, embedded.group), target)["query"]
    out = {}
    for m, own in roles.items():
        near = min(NEAR, max(5, len(banks[m]) // 75))
        out[m] = LocalScaling(axes.shape[1], len(banks[m]), own, columns, near, strength, wide)
        out[m].bank.copy_(banks[m])
        own_rows = z[m] if m in z else banks[m]
        out[m].mean.copy_(out[m].crowd(own_rows[some(len(own_rows), usual, seed)]).mean())
    return axes, out


def of_strength(heads: Heads, strength: float) -> Heads:
    """The same heads with another strength of their last stage."""
    out = {}
    for m in heads.modalities:
        old = heads[m].hubs
        if old is None:
            return heads
        last = LocalScaling(heads[m].map.dim, **{**old.settings, "strength": strength})
        last.load_state_dict(old.state_dict())
        out[m] = Head(heads[m].features, heads[m].map, last)
    return Heads(out).eval()


def some(count: int, most: int, seed: int) -> Tensor:
    """Rows, ascending: all, or so many drawn."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].sort().values


def leading(z: Mapping[str, Tensor], dim: int) -> Tensor:
    """(d, dim) principal directions of the rows of all modalities, each modality counting once; 1 <= dim <= d."""
    moment = torch.stack([(rows.T @ rows).double() / len(rows) for rows in z.values()]).sum(0)
    return top(moment, max(dim, 1)).float()


def roughly_leading(z: Mapping[str, Tensor], dim: int) -> Tensor:
    """The same in single precision, of some of the rows, and of a wide matrix only nearly so.

    A wide one is iterated from its columns of the largest diagonal entries: what comes out does not follow the signs of
    coordinates, which are those of singular vectors and differ from one library to another.
    """
    some_rows = [rows[:: max(1, -(-len(rows) // ROUGHLY))] for rows in z.values()]
    moment = torch.stack([rows.T @ rows / len(rows) for rows in some_rows]).sum(0)
    spare, iterations = ROUGH
    if len(moment) <= 2 * (dim + spare):
        return top(moment, dim)
    return iterated(moment, moment[:, moment.diagonal().topk(dim + spare).indices], dim, iterations)


def top(moment: Tensor, dim: int) -> Tensor:
    """(d, dim) leading eigenvectors of a symmetric matrix without negative eigenvalues, the first one first.

    Of a wide matrix by iteration, which is much faster.
    """
    if len(moment) < max(WIDE, 5 * (dim + SPARE)):
        return eigenvectors(moment, dim)
    start = torch.randn(len(moment), dim + SPARE, generator=torch.Generator().manual_seed(0), dtype=moment.dtype)
    return iterated(moment, moment @ start, dim, ITERATIONS)


def iterated(moment: Tensor, start: Tensor, dim: int, iterations: int) -> Tensor:
    """Leading eigenvectors by iteration in the subspace of some more columns than there are to be.

    What it misses lies beside directions of nearly the same eigenvalue.
    """
    axes = torch.linalg.qr(start).Q
    for _ in range(iterations):
        axes = torch.linalg.qr(moment @ axes).Q
    return axes @ torch.linalg.eigh(axes.T @ moment @ axes).eigenvectors[:, -dim:].flip(1)


def turned(old: Projection, axes: Tensor) -> Projection:
    """The map c -> normalise((c W + b + MLP(c)) axes)."""
    new = Projection(old.width, **{**old.settings, "dim": axes.shape[1]})
    new.weight.copy_(old.weight @ axes)
    new.bias.copy_(old.bias @ axes)
    if old.residual is not None and new.residual is not None:
        first, last = old.residual[0], old.residual[-1]  # type: ignore[index]
        new.residual[0].load_state_dict(first.state_dict())  # type: ignore[index]
        new.residual[-1].weight.copy_(axes.T @ last.weight)  # type: ignore[index]
        new.residual[-1].bias.copy_(last.bias @ axes)  # type: ignore[index]
    return new
