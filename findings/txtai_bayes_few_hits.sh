#!/usr/bin/env bash
# Guess, written down first: a hybrid search of txtai with normalize="bb25" (scores of words become probabilities, and are added to
# those of vectors as log odds) ranks an item that alone has the word asked for above what its vector does, as the default
# normalization and rank fusion (False) do, above all where weights=0.1 gives .9 to the words; of two items with it both rise.
# Seen (txtai 9.14.0): probabilities are counted from the median of the items that have the word at all. A single hit is its own
# median: probability .5, log odds 0, so the word adds nothing, whatever the weight; what is left is the odds of its own vector,
# times 1.41 since it is in both lists. Of 100 queries for such items, with .1 for vectors, the reciprocal rank is .23 for 1.00
# by the others (.07 by vectors alone). Of two hits the lower one has odds below 1, and is punished for the word where items
# without it are not: of 50 couples the median place of the second is beyond 100, 2 by the others and 36 by vectors alone.
# Nothing tells it.
# So: the default normalization, or False.
# Source: txtai/scoring/normalize.py, bayes (beta = median of the candidates), embeddings/search/hybrid.py, LogOdds.fuse.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check txtai==9.14.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from txtai import Embeddings

print("txtai", version("txtai"))
draw = np.random.default_rng(0)
n, width = 1000, 16
vectors = draw.normal(size=(n, width)).astype("float32")
asked = vectors + 2.5 * draw.normal(size=(n, width)).astype("float32")


def embed(texts):
    """The vector of an item (its text begins with a number), or of a query, a word."""
    return np.array([wanted[text] if text in wanted else vectors[int(text.split()[0])] for text in texts])


alone = {i: f"word{i}" for i in range(100)}
couples = {i: f"pair{i}" for i in range(100, 200, 2)}
wanted = {word: asked[i] for i, word in alone.items()} | {word: asked[i + 1] for i, word in couples.items()}
texts = [f"{i} {alone.get(i, '')} picture" for i in range(n)]
for i, word in couples.items():
    texts[i] = f"{i} {word} picture"
    texts[i + 1] = f"{i + 1} {word} picture of some more things"


def places(normalize, weight):
    index = Embeddings(
        method="external", transform=embed, backend="numpy", hybrid=True,
        scoring={"method": "bm25", "terms": True, "normalize": normalize},
    )
    index.index((i, text, None) for i, text in enumerate(texts))

    def place(item, word):
        found = [row for row, _ in index.search(word, limit=100, weights=weight)]
        return found.index(item) + 1 if item in found else 101

    return np.array([place(i, word) for i, word in alone.items()]), np.array([place(i + 1, word) for i, word in couples.items()])


seen = {}
for normalize in (True, False, "bb25"):
    for weight in (1.0, 0.1):
        single, second = places(normalize, weight)
        seen[normalize, weight] = (1 / single).mean(), np.median(second)
        print(f"normalize={normalize}, {weight} for vectors: reciprocal rank of the only item with the word "
              f"{(1 / single).mean():.3f}, median place of the second of two {np.median(second)}")
assert min(seen[kind, 0.1][0] for kind in (True, False)) > 0.9
assert max(seen[kind, 0.1][1] for kind in (True, False)) < 5
assert seen["bb25", 0.1][0] < 0.4 and seen["bb25", 0.1][1] > 90 > seen["bb25", 1.0][1] + 20
PYTHON
