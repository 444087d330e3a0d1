#!/usr/bin/env bash
# Guess, written down first: sewar.uqi is the universal quality index (Wang, Bovik 2002): 1 for equal pictures, about 0 for
# unrelated ones, below 0 for negatives of their structure; and msssim of a colour picture is that of its channels, in whatever
# order they stand, as its ssim is.
# Seen (sewar 0.4.10): of two pictures of noise uqi is .74, of a photograph and its mirror image .52, of a photograph and a grey
# plane .55, where the index is 0, -.01 and .00; a noisy copy has .68 for .10. The formula is one of sums over a window, and
# what is put in are means, so that a covariance is 64 mean(xy) - mean(x) mean(y), which brightness alone makes large. d_lambda,
# d_s and qnr, which are made of it, follow. msssim mixes each channel with the one before it when it halves the picture: .72
# for a noisy copy, .74 when both come as blue, green, red, .67 channel by channel.
# So: another program for the index, and msssim of one channel at a time.
# Source: sewar/full_ref.py, _uqi_single: uniform_filter, which gives means, in N * GT_P_sum - GT_P_sum_mul; msssim:
# uniform_filter(im, 2) of arrays of three axes.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check sewar==0.4.10 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
  pillow==13.0.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import sewar
from scipy.ndimage import uniform_filter
from sklearn.datasets import load_sample_image

print("sewar", version("sewar"))


def index(x, y, width=8):
    """The mean over windows of 4 cov(x, y) mean(x) mean(y) / ((var x + var y) (mean(x)^2 + mean(y)^2))."""
    values = []
    for a, b in zip(np.moveaxis(x.astype(float), -1, 0), np.moveaxis(y.astype(float), -1, 0)):
        means = [uniform_filter(part, width) for part in (a, b, a * a, b * b, a * b)]
        shared = means[4] - means[0] * means[1]
        spread = means[2] + means[3] - means[0] ** 2 - means[1] ** 2
        values.append((4 * shared * means[0] * means[1] / (spread * (means[0] ** 2 + means[1] ** 2) + 1e-9))[4:-4, 4:-4].mean())
    return float(np.mean(values))


draw = np.random.default_rng(0)
photo = load_sample_image("flower.jpg")[:256, :256]
noisy = np.clip(photo + draw.normal(0, 25, photo.shape), 0, 255).astype("uint8")
noise = draw.integers(0, 256, (2, 256, 256, 1)).astype("uint8")
pairs = {
    "two pictures of noise": (noise[0], noise[1]),
    "a photograph and its mirror image": (photo, photo[:, ::-1]),
    "a photograph and a grey plane": (photo, np.full_like(photo, photo.mean())),
    "a photograph and a noisy copy": (photo, noisy),
}
seen = {}
for name, (x, y) in pairs.items():
    seen[name] = float(sewar.uqi(x, y)), index(x, y)
    print(f"{name}: uqi {seen[name][0]:.3f}, the index {seen[name][1]:.3f}")
for name, (told, right) in seen.items():
    assert told > right + 0.4, name
assert abs(seen["two pictures of noise"][1]) < 0.02 and sewar.uqi(photo, photo) == 1
for measure in ("ssim", "msssim"):
    score = getattr(sewar, measure)
    told = [np.ravel(value)[0] for value in (score(photo, noisy), score(photo[..., ::-1], noisy[..., ::-1]))]
    told.append(np.mean([np.ravel(score(photo[..., c], noisy[..., c]))[0] for c in range(3)]))
    print(f"{measure}: {told[0]:.3f}, as blue, green, red {told[1]:.3f}, channel by channel {told[2]:.3f}")
    apart = abs(told[0] - told[1]) > 0.01 and abs(told[0] - told[2]) > 0.03
    assert apart if measure == "msssim" else np.ptp(told) < 1e-9
PYTHON
