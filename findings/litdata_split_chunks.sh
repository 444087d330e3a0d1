#!/usr/bin/env bash
# Guess, written down first: train_test_split of litdata draws the items of its parts at random, since shuffle=True, its default,
# is "whether to shuffle the data before splitting", and another seed draws others.
# Seen (litdata 0.2.76): the files are shuffled, not the items, and each part is a run of items as they were written. Embeddings of 64
# columns fit into one file of 64 MB up to some 250,000: 10,000 of ten classes, written class by class, give a part for training with
# the first eight classes and one for testing with the other two, for every seed the same; a classifier of nearest means tells none
# of the test items, with items drawn at random all. Nothing tells it.
# So: write items in a random order (shuffle the inputs of optimize), or subset_dataset with drawn indices.
# Source: litdata/utilities/train_test_split.py: shuffle_lists_together of chunks.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check litdata==0.2.76 torch==2.13.0 numpy==2.4.6
cat > "$place/split.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

import litdata
import numpy as np

classes, each, columns = 10, 1000, 64
draw = np.random.default_rng(0)
rows = np.repeat(10 * np.eye(classes, columns), each, axis=0) + draw.normal(size=(classes * each, columns))


def item(i):
    return {"row": rows[i].astype(np.float32), "class": int(i // each), "number": int(i)}


def read(part):
    found = [part[i] for i in range(len(part))]
    return np.array([x["row"] for x in found]), np.array([x["class"] for x in found]), np.array([x["number"] for x in found])


def told(train, test):
    """Share of test rows whose nearest mean of a class, of the classes that were seen, is their own."""
    known = np.unique(train[1])
    means = np.stack([train[0][train[1] == c].mean(0) for c in known])
    return float(np.mean(known[((test[0][:, None] - means) ** 2).sum(-1).argmin(1)] == test[1]))


if __name__ == "__main__":
    print("litdata", version("litdata"))
    folder = sys.argv[1]
    litdata.optimize(fn=item, inputs=list(range(len(rows))), output_dir=folder, chunk_bytes="64MB", num_workers=1)
    files = [name for name in os.listdir(folder) if name.endswith(".bin")]
    data, numbers = litdata.StreamingDataset(folder), []
    for seed in (42, 0, 1):
        train, test = (read(part) for part in litdata.train_test_split(data, splits=[0.8, 0.2], seed=seed, shuffle=True))
        print(f"{len(files)} file, seed {seed}: classes for training {sorted(set(train[1].tolist()))}, for testing "
              f"{sorted(set(test[1].tolist()))}; told rightly {told(train, test):.2f}")
        numbers.append(test[2])
        assert told(train, test) == 0 and np.array_equal(np.sort(test[2]), np.arange(8000, 10000))
    everything, mixed = read(data), draw.permutation(len(rows))
    train, test = ([part[order] for part in everything] for order in (mixed[:8000], mixed[8000:]))
    print(f"items drawn at random: told rightly {told(train, test):.2f}")
    assert len(files) == 1 and told(train, test) > 0.99
PYTHON
cd "$place" && "$place/env/bin/python" -W ignore "$place/split.py" "$place/data" 2> /dev/null | grep -E "^litdata|rightly|Error"
exit "${PIPESTATUS[0]}"
