"""Latent mixing, feature augmentation, hard negatives."""

import pytest
import torch

from modalign.errors import ModalignError
from modalign.training.mixing import augment, mix
from modalign.views import Views


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def ragged():
    """Groups 0-3 have both modalities (0 has two captions), 10-12 text alone, 20 an image alone."""
    text = torch.tensor([0, 0, 1, 2, 3, 10, 11, 12])
    image = torch.tensor([3, 2, 1, 0, 20])
    return Views(
        {"text": torch.randn(8, 5, generator=gen()), "image": torch.randn(5, 3, generator=gen(1))},
        {"text": text, "image": image},
    )


def shares(x, mixed, modality, row):
    """(l, other row) with mixed = l x + (1 - l) x_other, by search."""
    rows, new = x[modality], mixed[modality][row]
    for other in range(len(rows)):
        gap = rows[row] - rows[other]
        if gap.square().sum() == 0:
            continue
        share = float(((new - rows[other]) @ gap) / gap.square().sum())
        if torch.allclose(share * rows[row] + (1 - share) * rows[other], new, atol=1e-5):
            return share, other
    return None


def test_mixtures_use_one_share_and_the_same_partner_in_every_modality():
    x = ragged()
    mixed = mix(x, generator=gen(3))
    seen = set()
    partners = {}
    for m in x.data:
        for row, group in enumerate(x.group[m].tolist()):
            if group == 20:  # nobody else has an image alone
                assert torch.equal(mixed[m][row], x[m][row])
                continue
            share, other = shares(x, mixed, m, row)
            seen.add(round(share, 4))
            partners.setdefault(group, set()).add(int(x.group[m][other]))
    assert len(seen) == 1
    assert all(len(p) == 1 for p in partners.values())
    assert all(group not in p for group, p in partners.items())
    assert all((p <= {0, 1, 2, 3}) == (group < 10) for group, p in partners.items())  # same modalities
    assert all(torch.equal(mixed.group[m], x.group[m]) for m in x.data)


def test_unpaired_items_may_be_left_alone():
    x = ragged()
    mixed = mix(x, unpaired=False, generator=gen(3))
    assert torch.equal(mixed["text"][5:], x["text"][5:])
    assert not torch.isclose(mixed["text"][:5], x["text"][:5]).all(1).any()


def test_shares_follow_the_beta_distribution():
    x = Views.from_arrays(text=torch.tensor([[0.0], [1.0]]))
    for alpha, variance in ((1.0, 1 / 12), (0.2, 1 / (4 * 1.4)), (5.0, 1 / (4 * 11))):
        drawn = torch.stack([mix(x, alpha=alpha, generator=gen(s))["text"][0, 0] for s in range(600)])
        assert drawn.mean().item() == pytest.approx(0.5, abs=0.05)
        assert drawn.var().item() == pytest.approx(variance, rel=0.2)


def test_mixing_is_repeatable_and_survives_small_batches():
    x = ragged()
    assert torch.equal(mix(x, generator=gen(1))["text"], mix(x, generator=gen(1))["text"])
    one = x.select({"text": torch.tensor([0]), "image": torch.tensor([3])})
    assert torch.equal(mix(one)["text"], one["text"])
    empty = x.select({m: torch.zeros(0, dtype=torch.long) for m in x.data})
    assert mix(empty)["text"].shape == (0, 5)
    with pytest.raises(ModalignError, match="alpha"):
        mix(x, alpha=0.0)
    with pytest.raises(ModalignError, match="features"):
        mix(Views.from_arrays(text=torch.zeros(2, 2, dtype=torch.long)))


def test_augmentation_has_the_stated_noise_and_drop():
    x = Views.from_arrays(text=torch.randn(4000, 3, generator=gen()) * torch.tensor([1.0, 2.0, 4.0]) + 5)
    noisy = augment(x, noise=0.5, drop=0.0, generator=gen(1))["text"] - x["text"]
    torch.testing.assert_close(noisy.std(0), 0.5 * x["text"].std(0), rtol=0.1, atol=0)
    dropped = augment(x, noise=0.0, drop=0.25, generator=gen(1))["text"]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(dropped.mean(0), x["text"].mean(0), rtol=0.05, atol=0)
    single = augment(x.select({"text": torch.tensor([0])}), generator=gen(1))
    assert torch.isfinite(single["text"]).all()
    for wrong in ({"noise": -1.0}, {"drop": 1.0}):
        with pytest.raises(ModalignError, match="drop"):
            augment(x, **wrong)
