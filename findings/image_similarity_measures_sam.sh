#!/usr/bin/env bash
# Guess, written down first: sam of image-similarity-measures (spectral angle mapper) is 0 for equal pictures and the mean angle
# between colours for others, of pictures as cv2.imread reads them, 8-bit numbers, as of floats; issm is best, 1, for equal
# pictures; sre, a ratio in decibels, does not depend on the unit.
# Seen (image-similarity-measures 0.3.6): a photograph in 8 bits is 86 degrees from itself, since its products are taken in 8
# bits. In floats one black pixel makes the angle NaN, which is told as 0, the best value: two photographs of different things
# are 0 apart, without that pixel 30 degrees. issm of 8-bit pictures is always 0, of equal ones too: it divides them by 16
# before it looks for edges, as for 12 bits, finds none, and 0 / 0 is told as 0. sre rises by 10 when both pictures are
# multiplied by 10: the error in it is not squared.
# So: float pictures without black pixels for sam, 12-bit ranges for issm, sre of one unit only.
# Source: image_similarity_measures/quality_metrics.py, sam: np.multiply(pred_img, org_img), np.nan_to_num(np.mean(...));
# _edge_c: x * 0.0625; sre: np.linalg.norm(...) / (rows * columns); evaluate.py, read_image.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 scikit-learn==1.9.1 \
  opencv-python-headless==5.0.0.93 pyfftw==0.15.1
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps phasepack==1.5 image-similarity-measures==0.3.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from image_similarity_measures.quality_metrics import issm, sam, sre
from sklearn.datasets import load_sample_image

print("image-similarity-measures", version("image-similarity-measures"))
flower, china = (load_sample_image(name)[:256, :256].copy() for name in ("flower.jpg", "china.jpg"))
flower, china = np.maximum(flower, 1), np.maximum(china, 1)
black = flower.copy()
black[0, 0] = 0
lengths = [np.linalg.norm(part.astype(float), axis=-1) for part in (flower, china)]
right = np.degrees(np.arccos(np.clip((flower.astype(float) * china).sum(-1) / lengths[0] / lengths[1], -1, 1))).mean()
same, floats = sam(flower, flower), sam(flower.astype(float), flower.astype(float))
apart, hidden = sam(flower.astype(float), china.astype(float)), sam(black.astype(float), china.astype(float))
print(f"a picture and itself: {same:.1f} degrees in 8 bits, {floats:.2g} as floats")
print(f"two pictures: {apart:.1f} degrees, right {right:.1f}, with one black pixel {hidden:.1f}")
assert same > 45 and floats < 1e-4 and np.isclose(apart, right) and right > 10 and hidden == 0
values = [issm(flower, flower), issm(flower, china), issm(flower.astype(np.uint16) * 16, flower.astype(np.uint16) * 16)]
print(f"issm: 8-bit picture and itself {values[0]:.3f}, and another {values[1]:.3f}; in 12 bits and itself {values[2]:.3f}")
assert values[0] == values[1] == 0 and values[2] > 0.5
units = [float(sre(flower.astype(float) * unit, china.astype(float) * unit)) for unit in (1, 10)]
print(f"sre: {units[0]:.2f}, of both multiplied by ten {units[1]:.2f}")
assert np.isclose(units[1] - units[0], 10)
PYTHON
