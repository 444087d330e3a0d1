#!/usr/bin/env bash
# Guess, written down first: the sum of a group, or of one vector, in a column of halves (Float16) is that of the same rows
# summed as a whole column: polars adds halves in a wider type and rounds at the end.
# Seen (polars 2.1.0): of 5,000 ones the sum of the column, over("group") and cum_sum are 5000; group_by().agg(sum), by either
# engine, arr.sum and list.sum are 2048, without a word: they add in halves one by one, where 2048 + 1 is 2048. Group means are
# right, so sum and mean x count disagree. Vectors suffer before any such size: of unit vectors the mean of the squared
# lengths, (v * v).arr.sum(), is .990 in 1,024 dimensions and .950 in 3,072; numpy says 1 to three digits for the same halves.
# So: cast to Float32 before sums of groups, arrays and lists, as in .cast(pl.Array(pl.Float32, d)). The page of Float16 advises
# to cast, but for speed, and calls the type unstable.
# Source: pola-rs/polars issue 27662 and pull request 27732, which mended cum_sum alone.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import numpy as np
import polars as pl

print("polars", pl.__version__)
n = 5000
table = pl.DataFrame({"group": np.zeros(n, int), "x": np.ones(n, "float16")})
assert table["x"].dtype == pl.Float16
grouped = table.lazy().group_by("group").agg(pl.col("x").sum(), pl.col("x").mean().alias("mean"))
right = {
    "column": table["x"].sum(),
    "over": table.select(pl.col("x").sum().over("group"))["x"][0],
    "cum_sum": table["x"].cum_sum()[-1],
    "group means x count": n * grouped.collect()["mean"][0],
}
wrong = {
    "group_by, in memory": grouped.collect(engine="in-memory")["x"][0],
    "group_by, streaming": grouped.collect(engine="streaming")["x"][0],
    "arr.sum": pl.Series(np.ones((1, n), "float16")).arr.sum()[0],
    "list.sum": table.group_by("group").agg("x")["x"].list.sum()[0],
}
print(f"{n} ones:", right, wrong)
assert set(right.values()) == {5000.0}
assert set(wrong.values()) == {2048.0}
draw = np.random.default_rng(0)
for d, seen in ((1024, 0.990), (3072, 0.950)):
    x = draw.normal(size=(500, d))
    halves = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float16")
    vectors = pl.Series(halves)
    single = vectors.cast(pl.Array(pl.Float32, d))
    lengths = {
        "halves": (vectors * vectors).arr.sum().cast(pl.Float64).mean(),
        "cast first": (single * single).arr.sum().cast(pl.Float64).mean(),
        "numpy, halves": float((halves * halves).sum(1).astype(float).mean()),
    }
    print(f"mean squared length of unit vectors of {d} numbers:", {k: round(v, 4) for k, v in lengths.items()})
    assert abs(lengths["halves"] - seen) < 0.003
    assert abs(lengths["cast first"] - 1) < 1e-3 and abs(lengths["numpy, halves"] - 1) < 1e-3
PYTHON
