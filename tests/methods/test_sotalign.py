"""SOTAlign: where it starts, what it minimises, and that it learns from items without a partner."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import logsigmoid, normalize

from modalign.methods.tuning import score_heads
from modalign.registry import make
from modalign.views import Batch, Views, hide_links

MakeViews = Callable[..., Views]


def sinkhorn(similarity: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The plan of uniform weights, by many plain iterations."""
    plan = (similarity / epsilon).exp()
    for _ in range(5000):
        plan = plan / plan.sum(1, keepdim=True) / len(plan)
        plan = plan / plan.sum(0, keepdim=True) / plan.shape[1]
    return plan


def test_without_steps_it_is_its_teacher(latent: MakeViews) -> None:
    x = latent(60, 0)
    teacher = make("method", "cca", dim=6, ridge=3.0, power=0.5).fit(x).embed(x)
    found = make("method", "sotalign", dim=6, ridge=3.0, steps=0).fit(x).embed(x)
    for m in x.modalities:
        torch.testing.assert_close(found[m], teacher[m], atol=1e-6, rtol=0)


def test_its_loss_is_siglip_on_pairs_and_the_divergence_of_plans_on_the_others(latent: MakeViews) -> None:
    x = hide_links(latent(30, 0), torch.arange(20))
    method = make("method", "sotalign", dim=5, ridge=2.0, alpha=0.3, epsilon=0.2, teacher_epsilon=0.1).descent()
    assert method.training.optimiser == "lion"
    objective = make("objective", **method.objective)
    objective.prepare(x)
    start = make("method", "cca", dim=5, ridge=2.0, power=0.5).fit(x).embed(x)
    noise = torch.Generator().manual_seed(0)
    z = {m: normalize(v + 0.2 * torch.randn(v.shape, generator=noise), dim=1).double() for m, v in start.data.items()}
    ours = objective(Batch(Views(z, x.group), x))

    (a, b), linked = x.modalities, {m: x.group[m] < 20 for m in x.modalities}
    assert [int(v.sum()) for v in linked.values()] == [20, 20]
    cosine = z[a][linked[a]] @ z[b][linked[b]].T
    sign = torch.where(x.group[a][linked[a]][:, None] == x.group[b][linked[b]][None], 1.0, -1.0)
    siglip = -logsigmoid(sign * (10.0 * cosine - 10.0)).sum() / 20
    student, teacher = (v[a][~linked[a]].double() @ v[b][~linked[b]].double().T for v in (z, start))
    p, wanted = sinkhorn(student, 0.2), sinkhorn(teacher, 0.1)
    transport = (wanted * (wanted / p).log()).sum()
    torch.testing.assert_close(ours.double(), siglip + 0.3 * transport, atol=2e-4, rtol=1e-4)


def test_it_never_ends_below_its_start_on_dev(latent: MakeViews) -> None:
    x, dev = hide_links(latent(200, 0, noise=0.6), torch.arange(30)), latent(60, 1, noise=0.6)
    settings = {"dim": 6, "ridge": 1.0, "steps": 40, "pairs": 30, "unpaired": 64, "lr": 3e-3}
    start = score_heads(make("method", "cca", dim=6, ridge=1.0, power=0.5).fit(x), dev)
    assert score_heads(make("method", "sotalign", **settings).fit(x, dev), dev) >= start
