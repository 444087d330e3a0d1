"""The total objective: sums, schedules, specifications, logs, weightings."""

import math

import pytest
import torch

from modalign import registry
from modalign.errors import ModalignError
from modalign.objectives.base import Objective
from modalign.objectives.retrieval import Clip
from modalign.objectives.total import Total, pull
from modalign.objectives.transport import Transport
from modalign.objectives.weighting import Balance, Schedule, Uncertainty, make_weighting, schedule
from modalign.views import Batch

TOML = """
[objective]
name = "total"
alpha = 0.1
transport = { name = "transport", epsilon = 0.05 }
neighbourhood = { name = "rma", form = "carried" }
retrieval = { name = "clip" }
beta = { end = 0.5, steps = 100, shape = "cosine" }
"""


class Quadratic(Objective):
    """slope * sum of z^2 / 2: its gradient in z is slope * z."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, batch: Batch) -> torch.Tensor:
        return 0.5 * self.slope * sum(v.square().sum() for v in batch.z.data.values())


def test_total_is_the_weighted_sum(make_batch):
    batch = make_batch()
    transport, clip = Transport(epsilon=0.2), Clip()
    total = Total(alpha=0.3, gamma=2.0, transport=transport, retrieval=clip)
    torch.testing.assert_close(total(batch), 0.3 * transport(batch) + 2.0 * clip(batch))
    logged = total.log()
    assert logged["transport"] == pytest.approx(transport(batch).item())
    assert (logged["transport.weight"], logged["retrieval.weight"]) == (0.3, 2.0)
    assert logged["retrieval.scale"] == pytest.approx(1 / 0.07)


def test_total_from_a_toml_specification(make_batch):
    import tomllib

    settings = tomllib.loads(TOML)["objective"]
    total = registry.make("objective", settings.pop("name"), **settings)
    assert list(total.parts()) == ["transport", "neighbourhood", "retrieval"]
    weights = []
    for step in (0, 50, 100):
        assert torch.isfinite(total(make_batch(step=step)))
        weights.append(total.log().get("neighbourhood.weight", 0.0))
    assert weights == pytest.approx([0.0, 0.25, 0.5])


def test_idle_terms_are_not_computed(make_batch):
    class Broken(Objective):
        def forward(self, batch):
            raise RuntimeError("called")

    total = Total(gamma=1.0, terms={"later": Broken()}, weights={"later": {"end": 1.0, "after": 10}})
    assert torch.isfinite(total(make_batch(step=0)))
    assert "later" not in total.log()
    with pytest.raises(RuntimeError, match="called"):
        total(make_batch(step=10))
    assert Total(gamma=0.0)(make_batch()).item() == 0.0


def test_task_terms_join_by_name(make_batch):
    total = Total(retrieval=None, terms={"caption": Quadratic(1.0)}, weights={"caption": 0.5})
    assert total(make_batch()).item() == pytest.approx(0.5 * 0.5 * 18)  # 18 unit rows
    assert total.log() == {"caption": pytest.approx(9.0), "caption.weight": 0.5}


def test_parts_are_prepared_and_clamped(make_batch):
    total = Total(retrieval={"name": "clip"}, terms={"klot": {"name": "klot", "dim": 3, "teacher_epsilon": 0.1}})
    total.prepare(make_batch().x)
    assert torch.isfinite(total.double()(make_batch()))
    with torch.no_grad():
        total.parts()["retrieval"].scale.log_scale.fill_(99.0)
    total.after_step()
    assert total.log()["retrieval.scale"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"retrieval": None}, "no terms"),
        ({"retrieval": {"name": "clpi"}}, "did you mean 'clip'"),
        ({"retrieval": {"scale": 3.0}}, "term 'retrieval' needs the name"),
        ({"retrieval": {"name": "clip", "scal": 3.0}}, "did you mean 'scale'"),
        ({"weights": {"caption": 1.0}}, "not among the terms"),
        ({"terms": {"transport": {"name": "transport"}}}, "its own setting"),
        ({"alpha": {"end": 1.0, "step": 3}, "transport": {"name": "transport"}}, "did you mean 'steps'"),
        ({"gamma": math.nan}, "finite"),
        ({"weighting": "balanced"}, "did you mean 'balance'"),
        ({"weighting": {"name": "balance", "limit": 0.5}}, "limit"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(ModalignError, match=words):
        registry.make("objective", "total", **settings)


# ---------------------------------------------------------------------------- schedules


def test_schedules():
    assert [schedule(0.3, "a")(s) for s in (0, 10**6)] == [0.3, 0.3]
    ramp = Schedule(end=1.0, start=0.2, steps=10, after=5)
    assert [ramp(s) for s in (0, 4, 5, 10, 15, 99)] == pytest.approx([0.2, 0.2, 0.2, 0.6, 1.0, 1.0])
    wave = Schedule(end=0.0, start=1.0, steps=10, shape="cosine")
    assert [wave(s) for s in (0, 5, 10)] == pytest.approx([1.0, 0.5, 0.0])
    assert Schedule(end=1.0, after=3)(2) == 0.0
    assert Schedule(end=1.0, after=3)(3) == 1.0
    with pytest.raises(ModalignError, match="shape"):
        Schedule(end=1.0, shape="wave")
    with pytest.raises(ModalignError, match="steps"):
        Schedule(end=1.0, steps=-1)


# ---------------------------------------------------------------------------- weightings


def test_uncertainty_reaches_the_closed_form_optimum():
    """min_s exp(-s) L + s / 2 is at s = log 2L."""
    weighting = Uncertainty(["a", "b"])
    losses = {"a": torch.tensor(4.0), "b": torch.tensor(0.1)}
    optimiser = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        weighting(losses, {"a": 1.0, "b": 1.0}, None).backward()
        optimiser.step()
        weighting.after_step()
    used = weighting.used({"a": 1.0, "b": 1.0})
    assert used["a"] == pytest.approx(1 / 8, rel=1e-2)
    assert used["b"] == pytest.approx(5.0, rel=1e-2)


def test_uncertainty_starts_at_the_wanted_weights_and_stays_bounded():
    weighting = Uncertainty(["a"])
    assert weighting({"a": torch.tensor(3.0)}, {"a": 0.5}, None).item() == 1.5
    with torch.no_grad():
        weighting.log_variance["a"].fill_(-1e9)
    assert torch.isfinite(weighting({"a": torch.tensor(3.0)}, {"a": 0.5}, None))
    weighting.after_step()
    assert weighting.used({"a": 1.0})["a"] == pytest.approx(math.exp(5.0))


def live(batch):
    z = {m: v.detach().clone().requires_grad_() for m, v in batch.z.data.items()}
    return Batch(type(batch.z)(z, batch.z.group), batch.x, None, batch.step), z


@pytest.mark.parametrize("slope", [1e-2, 1.0, 50.0])
def test_balance_gives_each_term_the_wanted_share_of_the_pull(make_batch, slope):
    """alpha = .25 means a quarter of the retrieval's gradient, whatever the scale of the transport's loss."""
    batch, z = live(make_batch())
    total = Total(alpha=0.25, transport=Quadratic(slope), retrieval=Quadratic(1.0), weighting="balance")
    total(batch).backward()
    grad = torch.cat([v.grad.flatten() for v in z.values()])
    logged = total.log()
    pulls = {"transport": slope * logged["transport.weight"], "retrieval": logged["retrieval.weight"]}
    assert pulls["transport"] / pulls["retrieval"] == pytest.approx(0.25, rel=1e-4)
    rows = torch.cat([v.flatten() for v in z.values()])
    torch.testing.assert_close(grad, rows.detach() * sum(pulls.values()), atol=1e-6, rtol=1e-5)


def test_balance_limits_its_corrections_and_ignores_broken_terms(make_batch):
    batch, _ = live(make_batch())
    weighting = Balance(["a", "b"], limit=10.0)
    losses = {"a": Quadratic(1e-9)(batch), "b": Quadratic(1.0)(batch)}
    weighting(losses, {"a": 1.0, "b": 1.0}, batch)
    used = weighting.used({"a": 1.0, "b": 1.0})
    assert used["a"] == pytest.approx(10.0)
    before = weighting.norms.clone()
    weighting({"a": losses["a"] * math.nan, "b": losses["b"]}, {"a": 0.0, "b": 1.0}, batch)
    assert weighting.norms[0] == before[0]


def test_balance_keeps_its_weights_in_validation_and_across_a_resume(make_batch):
    batch, _ = live(make_batch())
    weighting = Balance(["a", "b"])
    losses = {"a": Quadratic(5.0)(batch), "b": Quadratic(1.0)(batch)}
    weighting(losses, {"a": 1.0, "b": 1.0}, batch)
    wanted = weighting.used({"a": 1.0, "b": 1.0})
    with torch.no_grad():
        weighting({"a": losses["b"], "b": losses["a"]}, {"a": 1.0, "b": 1.0}, batch)
    assert weighting.used({"a": 1.0, "b": 1.0}) == wanted
    resumed = Balance(["a", "b"])
    resumed.load_state_dict(weighting.state_dict())
    assert resumed.used({"a": 1.0, "b": 1.0}) == wanted
    assert Balance(["a"]).used({"a": 0.7}) == {"a": 0.7}


def test_balance_follows_the_running_norms(make_batch):
    """norm <- m norm + (1 - m) newest: after loud losses the weights forget slowly."""
    batch, z = live(make_batch())
    size = float(torch.cat([v.detach().flatten() for v in z.values()]).norm())  # the gradient of |z|^2 / 2 is z
    weighting = Balance(["a", "b"], momentum=0.9)
    norms = None
    for slope in (1.0, 5.0, 2.0):
        losses = {"a": Quadratic(slope)(batch), "b": Quadratic(1.0)(batch)}
        weighting(losses, {"a": 1.0, "b": 1.0}, batch)
        newest = (slope * size, size)
        norms = newest if norms is None else tuple(0.9 * o + 0.1 * n for o, n in zip(norms, newest, strict=True))
        assert weighting.norms.tolist() == pytest.approx(norms, rel=1e-5)


def test_weightings_by_name():
    assert isinstance(make_weighting({"name": "balance", "momentum": 0.0}, ["a"]), Balance)
    with pytest.raises(ModalignError, match="momentum"):
        make_weighting({"name": "balance", "momentum": 1.0}, ["a"])


# ---------------------------------------------------------------------------- collapse


def test_the_collapsing_term_is_named(make_batch):
    """The rate is the change of the mean cosine when the embeddings follow the term."""
    total = Total(
        beta=2.0,
        neighbourhood={"name": "rma", "form": "literal", "k": 6},
        retrieval=None,
        terms={"spread": {"name": "uniformity"}},
    )
    batch = make_batch()
    rates = pull(total, batch)
    assert max(rates, key=rates.get) == "neighbourhood"
    assert rates["spread"] < 0

    def mean_cosine(z):
        units = [torch.nn.functional.normalize(v, dim=1) for v in z.values()]
        return torch.stack([((u @ u.T).sum() - len(u)) / (len(u) * (len(u) - 1)) for u in units]).mean()

    moved, z = live(batch)
    (2.0 * total.parts()["neighbourhood"](moved)).backward()
    rate = 1e-5
    after = {m: v.detach() - rate * v.grad for m, v in z.items()}
    change = (mean_cosine(after) - mean_cosine(batch.z.data)) / rate
    assert rates["neighbourhood"] == pytest.approx(change.item(), rel=1e-3)


def test_pull_leaves_no_trace(make_batch):
    batch, z = live(make_batch())
    total = Total(transport={"name": "transport"})
    pull(total, batch)
    assert all(v.grad is None for v in z.values())
    assert all(p.grad is None for p in total.parameters())
    one = batch.z.select({m: torch.tensor([0]) for m in batch.z.data})
    assert pull(total, Batch(one, one))["retrieval"] == 0.0
