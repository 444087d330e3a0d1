#!/usr/bin/env bash
# Guess, written down first: interleave_datasets([a, b], probabilities=[.1, .9], seed=0) of datasets, of two streams in ten files
# each, then .shuffle(seed, buffer_size), draws each example's source by itself: of the first 1,000 some 100 are of a, give or
# take 9.5, and .43 of batches of 8 have none of a.
# Seen (datasets 5.2.0): shuffle reads ten files at a time, in turns, and each of them mixes a and b by the same random numbers, so
# sources come in runs of ten. Of the first 1,000 examples 55 to 150 are of a, a deviation of 22, and with a buffer of 16 .70 of
# batches of 8 have none. Larger buffers spread the runs within them, and leave the deviation: 20 with 1,000. Of parts that were
# shuffled before they were mixed, or by max_buffer_input_shards=1, deviations are 10, and .44 of batches have none. In several
# processes (split_dataset_by_node) all draw the same source in each step, shuffled or not. Nothing tells it.
# So: shuffle the parts, then interleave; or max_buffer_input_shards=1.
# Source: datasets/iterable_dataset.py, shuffle (InterleavedShardsExamplesIterable, max_buffer_input_shards = 10) and
# RandomlyCyclingMultiSourcesExamplesIterable.shard_data_sources, which hands its generator on.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 numpy==2.4.6
HF_HOME="$place/cache" "$place/env/bin/python" -W ignore - <<'PYTHON'
from itertools import islice

import datasets
import numpy as np
from datasets.distributed import split_dataset_by_node

print("datasets", datasets.__version__)
datasets.disable_progress_bars()
rare, common = (datasets.Dataset.from_dict({"rare": [kind] * 4000}) for kind in (1, 0))


def mixed(parts_first=None):
    parts = [part.to_iterable_dataset(num_shards=10) for part in (rare, common)]
    if parts_first is not None:
        parts = [part.shuffle(seed=parts_first, buffer_size=16) for part in parts]
    return datasets.interleave_datasets(parts, probabilities=[0.1, 0.9], seed=0 if parts_first is None else parts_first)


def drawn(stream, n=1000):
    return np.array([row["rare"] for row in islice(stream, n)])


ways = {
    "shuffled, buffer of 16": lambda seed: mixed().shuffle(seed=seed, buffer_size=16),
    "shuffled, buffer of 1000": lambda seed: mixed().shuffle(seed=seed, buffer_size=1000),
    "shuffled, one file at a time": lambda seed: mixed().shuffle(seed=seed, buffer_size=16, max_buffer_input_shards=1),
    "parts shuffled, then mixed": mixed,
}
seen = {}
for name, way in ways.items():
    orders = np.stack([drawn(way(seed)) for seed in range(20)])
    batches = orders.reshape(-1, 8).sum(1)
    seen[name] = orders.sum(1).std(), (batches == 0).mean()
    print(f"{name}: rare of 1,000 {orders.sum(1).min()} to {orders.sum(1).max()}, deviation {seen[name][0]:.1f}; batches of 8 "
          f"without {seen[name][1]:.2f}")
assert min(seen[name][0] for name in ("shuffled, buffer of 16", "shuffled, buffer of 1000")) > 16
assert seen["shuffled, buffer of 16"][1] > 0.6
for name in ("shuffled, one file at a time", "parts shuffled, then mixed"):
    assert seen[name][0] < 14 and abs(seen[name][1] - 0.9**8) < 0.06
sides = [drawn(split_dataset_by_node(mixed(), rank, 2)) for rank in range(2)]
print("two processes draw the same source in", (sides[0] == sides[1]).mean(), "of their steps")
assert (sides[0] == sides[1]).all()
PYTHON
