"""The hub attack: one gallery item changed so that it turns up for as many queries as it can.

Reference: Zhang, Jha, Bagdasaryan & Shmatikov 2024, "Adversarial hubness in multi-modal retrieval", arXiv 2412.14113.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...errors import ModalignError
from .ascent import ascend
from .retrieval import on_grid
from .threat import Threat, untouched
from .victim import Victim

SOFTNESS = 0.05
TIE = 1e-9


class Hub(NamedTuple):
    """Attacked items x (k, ...); and (n', k) bool, which held-out queries find which item among their first ``depth``.

    hits: of the attacked items. clean: of the same items before. random: moved by as much in random directions.
    """

    x: Tensor
    hits: Tensor
    clean: Tensor
    random: Tensor


def hubs(
    victim: Victim,
    x: Tensor,
    rows: Tensor,
    queries: Tensor,
    held: Tensor,
    threat: Threat,
    depth: int = 10,
    method: str = "apgd",
    steps: int = 50,
    seed: int = 0,
) -> Hub:
    """Turn some gallery items into hubs, each by itself, by queries at hand; count hits on queries never seen.

    Raises mean_q sigmoid((<q, z> - t_q) / .05), t_q the score of the ``depth``-th gallery item for query q.

    Args:
        victim: way of the gallery into the shared space. x: (m, ...) gallery inputs. rows: (k,) which to attack.
        queries: (n, d) embeddings the attacker has. held: (n', d) embeddings of other queries.
        threat: bound of the change. depth: of the list that counts as a hit. method, steps: of the ascent.
        seed: of the random control.

    Raises:
        ModalignError: a gallery no larger than ``depth``, or no query.
    """
    if len(x) <= depth:
        raise ModalignError(f"a gallery of {len(x)} items has no list of {depth} to get into")
    if len(queries) == 0 or len(held) == 0:
        raise ModalignError("a hub attack needs queries to learn from and others to count on")
    gallery = victim.embed(x)
    known = normalize(queries.float(), dim=1)
    bar = (known @ gallery.T).topk(depth, dim=1).values[:, -1]

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        cosine = normalize(victim.network(x).float(), dim=1) @ known.T
        return torch.sigmoid((cosine - bar) / SOFTNESS).mean(1) + 0.01 * cosine.mean(1)  # the mean leads from afar

    start = x[rows]
    with untouched(*victim.modules):
        found = ascend(loss, start, threat, method, steps, seed=seed)
    found = on_grid(start, found, threat, victim.grid)
    control = on_grid(start, threat.random(start, seed, surface=True), threat, victim.grid)
    found_by = [finds(victim.embed(v), rows, held, gallery, depth) for v in (found, start, control)]
    return Hub(found, *found_by)


def finds(z: Tensor, rows: Tensor, queries: Tensor, gallery: Tensor, depth: int) -> Tensor:
    """(n, k) whether each query has each item among its first ``depth``, when it takes its old place in the gallery.

    Args:
        z: (k, d) embeddings of the items. rows: (k,) their places. queries: (n, d). gallery: (m, d).

    Example:
        >>> finds(torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([2]), torch.eye(3), torch.eye(3), 1)[:, 0].tolist()
        [False, False, True]
    """
    q = normalize(queries.double(), dim=1)
    scores = q @ normalize(gallery.double(), dim=1).T
    own = q @ normalize(z.double(), dim=1).T
    out = torch.empty(own.shape, dtype=torch.bool)
    for k, row in enumerate(rows.tolist()):
        level = own[:, k, None] - TIE
        ahead = (scores >= level).sum(1) - (scores[:, row] >= level[:, 0]).long()  # a tie counts against it
        out[:, k] = ahead < depth
    return out
