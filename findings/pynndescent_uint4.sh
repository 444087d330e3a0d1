#!/usr/bin/env bash
# Guess, written down first: NNDescent(quantization=...) of pynndescent (new in 0.7) finds with codes of 8 bits nearly what it
# finds without, and with 4 bits a little less ("uint8" / "uint4": "per-feature quantile codes"), since the best candidates are
# ranked by exact distances; "binary" is for euclidean, l2, cosine and dot.
# Seen (pynndescent 0.7.0): "uint4" does not work. Recall@10 by euclidean is .08 for normal rows of 64 columns and .31 for the
# pictures of digits, where no codes have .97 and 1.0, and .03 by cosine: two columns share a byte, and are written into it the
# other way round than they are read. With each column twice, where that is the same, recall is .51. Nothing tells it.
# "uint8" has one table of quantiles for all features: columns that differ by their means alone (0, 100, 200, ...) have .08 for
# .97. "binary" raises a TypingError for cosine and dot.
# So: "uint8" of standardised columns, or "int8" for cosine.
# Source: pynndescent/pynndescent_.py, prepare: data[:, ::2] << 4 | data[:, 1::2], np.quantile(sample_data, ...);
# distances.py, quantized_uint4_sq_euclidean: byte & 0x0F for i % 2 == 0.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check pynndescent==0.7.0 numpy==2.4.6 scipy==1.17.1 \
  scikit-learn==1.9.1 numba==0.68.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from pynndescent import NNDescent
from sklearn.datasets import load_digits

print("pynndescent", version("pynndescent"))
draw = np.random.default_rng(0)
normal = draw.normal(size=(2000, 64)).astype("float32")
digits = load_digits(return_X_y=True)[0].astype("float32")
rows = {
    "normal": normal,
    "digits": digits,
    "each column twice": np.repeat(normal[:, :32], 2, axis=1),
    "other means": normal + 100 * np.arange(64, dtype="float32"),
}
seen = {}
for name, x in rows.items():
    queries = x[:100] + 0.1 * draw.normal(size=(100, 64)).astype("float32") * (2 if name == "digits" else 1)
    best = np.argsort(((queries[:, None] - x) ** 2).sum(-1), axis=1)[:, :10]
    for codes in (None, "uint8", "uint4"):
        found, _ = NNDescent(x, n_neighbors=15, quantization=codes, random_state=0).query(queries, k=10, epsilon=0.3)
        seen[name, codes] = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), best.tolist())])
    print(name, {codes: round(float(seen[name, codes]), 3) for codes in (None, "uint8", "uint4")})
unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (normal, normal[:100] + 0.1)]
best = np.argsort(-unit[1] @ unit[0].T, axis=1)[:, :10]
for codes in ("uint8", "uint4"):
    found, _ = NNDescent(normal, "cosine", n_neighbors=15, quantization=codes, random_state=0).query(unit[1], k=10, epsilon=0.3)
    seen["cosine", codes] = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), best.tolist())])
    print("cosine", codes, round(float(seen["cosine", codes]), 3))
assert seen["normal", "uint4"] < 0.15 and seen["digits", "uint4"] < 0.4 and seen["cosine", "uint4"] < 0.15
assert min(seen[name, codes] for name in ("normal", "digits") for codes in (None, "uint8")) > 0.93
assert seen["cosine", "uint8"] > 0.8 and seen["each column twice", "uint4"] > 0.4
assert seen["other means", "uint8"] < 0.3 and seen["other means", None] > 0.93
for metric in ("cosine", "dot"):
    try:
        NNDescent(normal, metric, n_neighbors=15, quantization="binary", random_state=0).query(normal[:5])
        raise SystemExit(f"binary codes of {metric} are searched now")
    except Exception as error:
        print(f"binary, {metric}:", type(error).__name__)
PYTHON
