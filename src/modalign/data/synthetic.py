"""Synthetic modalities whose shared and unique information is known: the ground truth for diagnoses and tests.

Reference: M. Tjandrasuwita, C. Ekbote, L. Ziyin, P. P. Liang, 2025. Understanding the emergence of multimodal
representation alignment. arXiv 2502.16282, section 4 (shared and unique bits, random networks of growing depth).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ModalignError
from ..files import atomic, cache_folder, save_array
from ..parameters import Count, Dim, Number, Seed, Weight, checked
from ..registry import register
from ..views import Views
from .manifest import Manifest, Row

NAMES = ("a", "b", "c", "d", "e", "f")
GAIN = 1.5
"""Weights of a random layer have variance GAIN^2 / inputs: signals neither die out nor saturate at once."""


class Synthetic(NamedTuple):
    """Synthetic modalities and what is true of them.

    views: modality -> (n, width) features; row i of every modality is group i.
    label: (n,) 0 or 1. It depends on ``redundancy`` of the shared bits and on all unique ones.
    latent: modality -> (n, shared + unique) bits, -1 or 1, shared ones first.
    share: shared / (shared + unique), the share of a modality's information that the others have too.
    """

    views: Views
    label: Tensor
    latent: dict[str, Tensor]
    share: float


@checked
def generate(
    n: Count = 1000,
    shared: Number = 8,
    unique: Number = 4,
    redundancy: int | None = None,
    heterogeneity: Number = 0,
    modalities: int | Sequence[str] = 2,
    width: Dim = 32,
    noise: Weight = 0.1,
    seed: Seed = 0,
) -> Synthetic:
    """Modalities that share some bits and keep others to themselves.

    x_m = R_m t_m([s, u_m]) + noise e,  s: shared bits, u_m: unique bits, R_m: orthonormal columns, t_1 = identity,
    t_m = a network of ``heterogeneity`` random tanh layers, standardised. y = 1[w . (s_1 .. s_r, u_1 .. u_M) > 0].

    Args:
        n: items.
        shared: bits that every modality has, >= 0. unique: bits of each modality alone, >= 0. Their sum is at least 1
            and at most ``width``.
        redundancy: r, the shared bits that the label needs, 0 to ``shared``; None: all.
        heterogeneity: tanh layers, >= 0. 0: the other modalities are as linear in the bits as the first.
        modalities: how many (2 to 6), or their names.
        width: features of each modality.
        noise: standard deviation of the noise of each feature, relative to that of the signal.
        seed: of everything.

    Raises:
        ModalignError: sizes that do not fit together.

    Reference: Tjandrasuwita et al. 2025, arXiv 2502.16282, section 4.

    Example:
        >>> problem = generate(100, shared=3, unique=1)
        >>> problem.views
        Views(a (100, 32), b (100, 32); 100 groups)
        >>> bool((problem.latent["a"][:, :3] == problem.latent["b"][:, :3]).all()), problem.share
        (True, 0.75)
    """
    names = NAMES[:modalities] if isinstance(modalities, int) else tuple(modalities)
    needed = shared if redundancy is None else redundancy
    _check(n, shared, unique, needed, modalities, names, width)
    g = torch.Generator().manual_seed(seed)

    def bits(count: int) -> Tensor:
        return torch.randint(2, (n, count), generator=g).double() * 2 - 1

    common = bits(shared)
    own = {m: bits(unique) for m in names}
    latent = {m: torch.cat([common, own[m]], 1) for m in names}
    data = {}
    for k, m in enumerate(names):
        signal = _mix(latent[m], heterogeneity if k else 0, g)
        basis = torch.linalg.qr(torch.randn(width, shared + unique, generator=g, dtype=torch.float64)).Q
        clean = signal @ basis.T
        data[m] = (clean + noise * clean.std() * torch.randn(n, width, generator=g, dtype=torch.float64)).float()
    causes = torch.cat([common[:, :needed], *own.values()], 1)
    weight = torch.randn(causes.shape[1], generator=g, dtype=torch.float64)
    label = (causes @ weight > 0).long()
    views = Views(data, {m: torch.arange(n) for m in names}, row={m: torch.arange(n) for m in names})
    return Synthetic(views, label, latent, shared / (shared + unique))


@register("dataset", "synthetic")
def synthetic(
    root: str | None = None,
    n: Count = 2000,
    shared: Number = 8,
    unique: Number = 4,
    redundancy: int | None = None,
    heterogeneity: Number = 0,
    modalities: Count = 2,
    width: Dim = 32,
    noise: Weight = 0.1,
    test: float = 0.2,
    dev: float = 0.1,
    seed: Seed = 0,
) -> Manifest:
    """Synthetic modalities "a", "b", ... with controlled shared and unique information.

    The arrays are written once; encode them with the encoder "features" and their paths. ``extra`` holds the row number
    and the label. Splits are drawn at random.

    Args:
        root: folder for the arrays; None: in the user's cache folder.
        test, dev: shares of the items in these splits. The others: see ``generate``.

    Raises:
        ModalignError: sizes that do not fit together.
    """
    if not (test >= 0 and dev >= 0 and test + dev < 1):
        raise ModalignError(f"test and dev are shares that leave something for training, got {test} and {dev}")
    settings = {
        "n": n, "shared": shared, "unique": unique, "redundancy": redundancy, "heterogeneity": heterogeneity,
        "modalities": modalities, "width": width, "noise": noise, "seed": seed,
    }  # fmt: skip
    problem = generate(**settings)  # type: ignore[arg-type]
    name = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = (Path(root).expanduser() if root is not None else cache_folder() / "synthetic") / name
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed + 1)).tolist()
    held, chosen = round(test * n), round(dev * n)
    split = {row: "test" if i < held else "dev" if i < held + chosen else "train" for i, row in enumerate(order)}
    rows = []
    for m, x in problem.views.data.items():
        path = folder / f"{m}.npy"
        if not path.exists():
            with atomic(path) as partial:
                save_array(partial, x.numpy())
        labels = problem.label.tolist()
        rows += [Row(i, m, uri=str(path), split=split[i], extra={"index": i, "label": labels[i]}) for i in range(n)]
    return Manifest.from_rows(rows, name="synthetic", meta={"shared": str(shared), "unique": str(unique)})


def _mix(bits: Tensor, depth: int, g: torch.Generator) -> Tensor:
    """Bits through a random network, standardised column by column."""
    x = bits
    for _ in range(depth):
        weight = torch.randn(x.shape[1], x.shape[1], generator=g, dtype=x.dtype) * GAIN / x.shape[1] ** 0.5
        x = torch.tanh(x @ weight)
    return x if depth == 0 else (x - x.mean(0)) / x.std(0).clamp(min=1e-9)


def _check(
    n: int, shared: int, unique: int, needed: int, modalities: int | Sequence[str], names: Sequence[str], width: int
) -> None:
    wanted = modalities if isinstance(modalities, int) else len(modalities)
    if not 2 <= wanted <= len(NAMES) or len(set(names)) != wanted:
        raise ModalignError(f"modalities must be 2 to {len(NAMES)}, with different names, got {modalities!r}")
    if n < 2 or not 1 <= shared + unique <= width:
        raise ModalignError(
            f"synthetic data need n >= 2 and 1 <= shared + unique <= width, got n={n}, shared={shared}, "
            f"unique={unique}, width={width}"
        )
    if not 0 <= needed <= shared:
        raise ModalignError(f"redundancy must lie between 0 and shared = {shared}, got {needed}")
