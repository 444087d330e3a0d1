"""Gradient caching: dropout, devices of the loss, several items, unequal lengths, memory. (Equality for every
objective is in objectives/test_every_objective.py.)"""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.objectives.retrieval import Clip
from modalign.objectives.transport import Transport
from modalign.training.gradcache import backward
from modalign.views import Batch, Views


class Encoder(torch.nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Dropout(dropout), torch.nn.Linear(8, 4))
        self.sizes = []

    def forward(self, x):
        self.sizes.append(max(len(v) for v in x.data.values()))
        return x.map(lambda m, v: torch.nn.functional.normalize(self.layers(v), dim=1))


def inputs(n=7, m=7):
    generator = torch.Generator().manual_seed(0)
    text, image = (torch.randn(k, 6, generator=generator) for k in (n, m))
    return Views({"text": text, "image": image}, {"text": torch.arange(n), "image": torch.arange(m)})


def grads(module):
    return [p.grad.clone() for p in module.parameters()]


@pytest.mark.parametrize("mini_batch", [1, 3, 7, 100])
@pytest.mark.parametrize("objective", [Clip(), Transport(epsilon=0.2)])
def test_cached_equals_plain(mini_batch, objective):
    x, encoder = inputs(), Encoder()
    objective(Batch(encoder(x), x)).backward()
    plain = grads(encoder)
    encoder.zero_grad()
    encoder.sizes.clear()
    backward(encoder, x, objective, mini_batch=mini_batch)
    assert max(encoder.sizes) <= mini_batch
    assert len(encoder.sizes) == 2 * -(-7 // mini_batch)  # no mini-batch is dropped, each is encoded twice
    for cached, wanted in zip(grads(encoder), plain, strict=True):
        torch.testing.assert_close(cached, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mini_batch", [1, 3, 7])
def test_dropout_is_the_same_in_both_passes(mini_batch):
    """Equal to one graph over the same mini-batches in the same random state."""
    x, encoder, objective = inputs(), Encoder(dropout=0.5), Clip()
    torch.manual_seed(3)
    parts = []
    for start in range(0, 7, mini_batch):
        rows = torch.arange(start, min(start + mini_batch, 7))
        parts.append(encoder(x.select(dict.fromkeys(x.data, rows))))
    z = x.map(lambda m, v: torch.cat([p[m] for p in parts]))
    plain = objective(Batch(z, x))
    plain.backward()
    after = torch.get_rng_state()
    wanted = grads(encoder)
    encoder.zero_grad()
    torch.manual_seed(3)
    cached = backward(encoder, x, objective, mini_batch=mini_batch)
    assert torch.equal(torch.get_rng_state(), after)  # later draws are those of a plain step
    torch.testing.assert_close(cached, plain.detach())
    for found, want in zip(grads(encoder), wanted, strict=True):
        torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-4)


def test_modalities_of_unequal_length_and_links():
    x = inputs(7, 4)
    linked = Views(x.data, x.group, links={("text", "image"): torch.tensor([[0, 6, 2], [1, 1, 3]])})
    encoder, objective = Encoder(), Clip()
    objective(Batch(Views(encoder(linked).data, linked.group, linked.links), linked)).backward()
    plain = grads(encoder)
    encoder.zero_grad()
    backward(encoder, linked, objective, mini_batch=3)
    for found, want in zip(grads(encoder), plain, strict=True):
        torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-4)


def test_gradients_add_up_and_may_be_scaled():
    x, encoder, objective = inputs(), Encoder(), Clip()
    loss = backward(encoder, x, objective, mini_batch=3)
    once = grads(encoder)
    again = backward(encoder, x, objective, mini_batch=3, scale=lambda value: 3 * value)
    assert loss == again  # reported without the scale
    for found, want in zip(grads(encoder), once, strict=True):
        torch.testing.assert_close(found, 4 * want, atol=1e-5, rtol=1e-4)


def test_frozen_parts_and_losses_without_gradient_are_no_trouble():
    x, encoder = inputs(), Encoder()
    for p in encoder.layers[0].parameters():
        p.requires_grad_(False)
    backward(encoder, x, Clip(), mini_batch=3)
    assert encoder.layers[0].weight.grad is None
    assert encoder.layers[2].weight.grad.abs().sum() > 0
    encoder.zero_grad()
    assert backward(encoder, x, lambda batch: torch.tensor(1.0), mini_batch=3).item() == 1.0
    assert encoder.layers[2].weight.grad is None


def test_mistakes_are_named():
    with pytest.raises(ModalignError, match="mini_batch"):
        backward(Encoder(), inputs(), Clip(), mini_batch=0)
    with pytest.raises(ModalignError, match="one row per item of 'text'"):
        backward(lambda v: v.select({"text": torch.tensor([0])}), inputs(), Clip(), mini_batch=3)
