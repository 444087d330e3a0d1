#!/usr/bin/env bash
# Guess, written down first: SSIM(data_range, kernel_size=k, gaussian=False) of ignite compares pictures in windows of k by k
# pixels of equal weight, as its formula and scikit-image do, so that the value changes with k, and two pictures that have
# nothing in common in a window are near 0.
# Seen (pytorch-ignite 0.5.5): the window has five weights of 1/5 in the middle of k places, whatever k is. With 5, 7, 11 and
# 15 the value is the same to the last digit, that of 5: .890 for .890, .900, .917 and .929 right. With 3 the weights add up
# to .6 in each direction, .36 in all, so that means are too small and what is called the variance holds .23 of the squared
# mean: a picture and its mirror image are .81 alike, right .07, and a noisy copy .989 instead of .869. Nothing tells it.
# So: gaussian=True, the default, or kernel_size=5.
# Source: ignite/metrics/ssim.py, _uniform: min_, max_ = -2.5, 2.5.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pytorch-ignite==0.5.5 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import ignite
import torch
from ignite.metrics import SSIM
from torch.nn.functional import conv2d, pad

print("pytorch-ignite", ignite.__version__, "torch", torch.__version__)
torch.manual_seed(0)
at = torch.linspace(0, 6, 64)
picture = (0.5 + 0.3 * torch.sin(at)[:, None] * torch.cos(1.3 * at) + 0.1 * torch.randn(64, 64)).clip(0, 1)[None, None]
others = {
    "noisy copy": (picture + 0.05 * torch.randn_like(picture)).clip(0, 1),
    "darker copy": 0.7 * picture,
    "mirror image": picture.flip(3),
}


def exact(x, y, size):
    def mean(z):
        return conv2d(pad(z, [size // 2] * 4, mode="reflect"), torch.full((1, 1, size, size), 1 / size**2))

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    first, second = 0.01**2, 0.03**2
    return float(((2 * mx * my + first) * (2 * both + second) / ((mx**2 + my**2 + first) * (vx + vy + second))).mean())


seen = {}
for name, other in others.items():
    for size in (3, 5, 7, 11, 15):
        metric = SSIM(data_range=1.0, kernel_size=size, gaussian=False)
        metric.update((other, picture))
        seen[name, size] = metric.compute(), exact(other, picture, size)
    print(f"{name}:", ", ".join(f"{size} wide {told:.3f}, right {right:.3f}" for (n, size), (told, right) in seen.items() if n == name))
for name in others:
    told = {size: seen[name, size][0] for size in (5, 7, 11, 15)}
    assert abs(told[5] - seen[name, 5][1]) < 1e-4 and max(told.values()) - min(told.values()) < 1e-4
assert seen["mirror image", 3][0] > 0.8 and seen["mirror image", 3][1] < 0.1
assert seen["noisy copy", 3][0] > 0.98 and seen["noisy copy", 3][1] < 0.88 and seen["noisy copy", 15][1] > 0.92
PYTHON
