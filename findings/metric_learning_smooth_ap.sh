#!/usr/bin/env bash
# Guess, written down first: losses.SmoothAPLoss of pytorch-metric-learning is 1 less a smooth average precision over
# the classes of its labels: about 0 where each row's own class is nearest, large where it is farthest. Its one
# condition is that all classes of a batch have equally many rows.
# Seen (pytorch-metric-learning 2.9.0): with 5 classes of 4 rows, each class in one place and the places orthogonal, the
# loss is .34; it is 0 for the same places given to rows 0-4, 5-9, 10-14 and 15-19, whose labels differ. The number of
# classes is computed as rows / classes, which is the number of rows of a class, so that the batch is cut into 4 classes
# of 5. The labels themselves are not read, so shuffling rows together with their labels changes it as well. It is right
# for as many classes as rows in each, in order. 32 classes of 4: .63 for the perfect batch.
# Trained from random rows, 8 classes of 4, the loss falls to 0 while half of the rows have another class nearest; by
# the formula of the paper all have their own.
# So: batches of m classes with m rows, sorted by label, or another loss.
# Source: pytorch_metric_learning/losses/smooth_ap.py, num_classes_batch; Brown et al. 2020, arXiv 2007.12163.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1 pytorch-metric-learning==2.9.0
"$place/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from pytorch_metric_learning.losses import SmoothAPLoss

print("pytorch-metric-learning", version("pytorch-metric-learning"), "torch", version("torch"))
loss = SmoothAPLoss()


def batch(classes, rows, seed=0):
    """One place for each class, all orthogonal, with a little noise."""
    labels = torch.arange(classes).repeat_interleave(rows)
    noise = torch.randn(classes * rows, classes, generator=torch.Generator().manual_seed(seed))
    return torch.eye(classes)[labels] + 1e-3 * noise, labels


def smooth_ap(x, labels, temperature=0.01):
    """1 less the mean over queries and their positives (the query among them) of rank among positives / rank among all."""
    x = torch.nn.functional.normalize(x, dim=1)
    s = x @ x.T
    above = torch.sigmoid((s[:, None, :] - s[:, :, None]) / temperature) * (1 - torch.eye(len(x)))
    own = (labels[:, None] == labels[None]).float()
    ratio = (1 + (above * own[:, None]).sum(-1)) / (1 + above.sum(-1))
    return (1 - (ratio * own).sum(1) / own.sum(1)).mean()


seen = {}
for classes, rows in ((4, 4), (5, 4), (4, 5), (32, 4)):
    x, labels = batch(classes, rows)
    seen[classes, rows] = loss(x, labels).item()
    print(f"{classes} classes of {rows}, perfect: {seen[classes, rows]:.3f}, expected {smooth_ap(x, labels):.3f}")
    assert smooth_ap(x, labels) < 1e-3
x, labels = batch(5, 4)
fives, _ = batch(4, 5)
wrong = loss(fives, labels).item()
print(f"four places given to five rows each, against the labels: {wrong:.3f}, expected {smooth_ap(fives, labels):.3f}")
square, of_square = batch(4, 4)
order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
shuffled = loss(square[order], of_square[order]).item()
print(f"4 classes of 4, rows and labels shuffled together: {shuffled:.3f}")


def nearest(x, labels):
    s = torch.nn.functional.normalize(x, dim=1)
    s = (s @ s.T).fill_diagonal_(-2)
    return (labels[s.argmax(1)] == labels).float().mean().item()


of_class = torch.arange(8).repeat_interleave(4)
reached = {}
for name, objective in (("SmoothAPLoss", loss), ("the formula", smooth_ap)):
    trained = torch.randn(32, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    descent = torch.optim.Adam([trained], lr=0.02)
    for _ in range(400):
        descent.zero_grad()
        value = objective(trained, of_class)
        value.backward()
        descent.step()
    reached[name] = value.item(), nearest(trained.detach(), of_class)
    print(f"trained by {name}: {reached[name][0]:.3f}, nearest row of the own class {reached[name][1]:.2f}")
assert seen[4, 4] < 1e-3
assert abs(seen[5, 4] - 0.344) < 0.01
assert seen[32, 4] > 0.5
assert wrong < 1e-3 < 0.3 < smooth_ap(fives, labels)
assert shuffled > 0.3
assert reached["SmoothAPLoss"][0] < 1e-3 and reached["SmoothAPLoss"][1] < 0.7
assert reached["the formula"] == (0.0, 1.0)
PY
