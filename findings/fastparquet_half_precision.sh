#!/usr/bin/env bash
# Guess, written down first: vectors in half precision that pyarrow writes to Parquet (the format has had the type FLOAT16
# since version 2.10) come out of fastparquet as numbers, or it says that it does not know the type.
# Seen (fastparquet 2026.9.0, pyarrow 26.0.1): they come as byte strings without a word, in a plain column, a list and a list
# of fixed size: 1.0 is b"\x00<", 6e-8 is b"\x01" and 0.0 is b"", because numpy drops the zero bytes at the end of such strings.
# pandas.read_parquet(engine="fastparquet") gives the same. Single precision, 8-bit integers and missing vectors come out right,
# also in lists of fixed size, and pyarrow and polars read the halves as numbers.
# So: read such files with pyarrow or polars. Strings already read: np.frombuffer(x.ljust(2, b"\0"), "<f2") each.
# Source: apache/parquet-format pull request 184 (the type FLOAT16).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" fastparquet==2026.9.0 pyarrow==26.0.1 \
  polars==2.1.0 pandas==3.1.1 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 - <<'PYTHON'
import fastparquet
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet

print("fastparquet", fastparquet.__version__, "pyarrow", pa.__version__, "polars", polars.__version__)
rows = np.array([[0.0, 1.0, -2.0, 6e-8], [0.5, 3.0, 65504.0, -0.1]], dtype="float16")


def fixed(rows, kind):
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), type=kind), rows.shape[1])


table = pa.table(
    {
        "plain": pa.array(rows[:, 1]),
        "list": pa.array(rows.tolist(), pa.list_(pa.float16())),
        "fixed": fixed(rows, pa.float16()),
        "single": fixed(rows.astype("float32"), pa.float32()),
        "missing": pa.array([None, [1.0, 2.0]], pa.list_(pa.float32(), 2)),
    }
)
pa.parquet.write_table(table, "rows.parquet")
seen = fastparquet.ParquetFile("rows.parquet").to_pandas()
print(seen.to_dict("list"))
for name in ("list", "fixed"):
    assert np.stack(seen[name].to_numpy()).dtype == "S2"
    assert list(seen[name][0]) == [b"", b"\x00<", b"\x00\xc0", b"\x01"]
    whole = b"".join(x.ljust(2, b"\0") for vector in seen[name] for x in vector)
    assert np.array_equal(np.frombuffer(whole, "<f2").reshape(rows.shape), rows)
assert seen["plain"][0] == b"\x00<"
assert np.array_equal(np.stack(seen["single"].to_numpy()), rows.astype("float32"))
assert seen["missing"][0] is None and list(seen["missing"][1]) == [1.0, 2.0]
assert np.array_equal(polars.read_parquet("rows.parquet")["fixed"].to_numpy(), rows)
assert pyarrow.parquet.read_table("rows.parquet")["fixed"].to_pylist() == rows.tolist()
PYTHON
