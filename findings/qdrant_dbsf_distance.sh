#!/usr/bin/env bash
# Guess, written down first: two searches of Qdrant, by the picture and by the text of one item, are fused by DBSF (scores are
# put on one scale by their mean and deviation, then summed) to the item that is nearest in both, whatever the distance of
# the collection: the answers of unit vectors by Euclid are those by Cosine, as they are for each search alone.
# Seen (qdrant-client 1.20.0, in memory): by Cosine and Dot the right item is first for 100 of 100 queries, by Euclid and
# Manhattan for none, nor among the first ten for any, without a word. The distances are summed as if more were better, so
# that the best candidates come last. RRF is right in all four.
# So: fuse distances by RRF, or store unit vectors by Cosine.
# Source: qdrant/qdrant issue 10611 (open: the server does so as well) and qdrant-client pull request 1455 (open).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check qdrant-client==1.20.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from qdrant_client import QdrantClient, models

print("qdrant-client", version("qdrant-client"))
n, d, asked = 300, 16, 100
draw = np.random.default_rng(0)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


items = {side: unit(draw.normal(size=(n, d))) for side in ("picture", "text")}
queries = {side: unit(x[:asked] + 0.5 * unit(draw.normal(size=(asked, d)))) for side, x in items.items()}
client = QdrantClient(":memory:")


def right_within(name, k, **query):
    """Share of queries whose own item is among the first k."""
    hits = [client.query_points(name, limit=k, **{a: b(i) for a, b in query.items()}).points for i in range(asked)]
    return float(np.mean([i in [hit.id for hit in found] for i, found in enumerate(hits)]))


def both(i):
    return [models.Prefetch(query=queries[side][i].tolist(), using=side, limit=10) for side in items]


for distance in ("Cosine", "Dot", "Euclid", "Manhattan"):
    sides = {side: models.VectorParams(size=d, distance=models.Distance(distance)) for side in items}
    client.create_collection(distance, vectors_config=sides)
    client.upsert(
        distance,
        [models.PointStruct(id=i, vector={side: x[i].tolist() for side, x in items.items()}) for i in range(n)],
    )
    alone = [
        right_within(distance, 1, query=lambda i: queries[side][i].tolist(), using=lambda i: side) for side in items
    ]
    fused = {
        (fusion.value, k): right_within(distance, k, prefetch=both, query=lambda i: models.FusionQuery(fusion=fusion))
        for fusion in (models.Fusion.RRF, models.Fusion.DBSF)
        for k in (1, 10)
    }
    print(distance, "each alone", alone, "fused", fused)
    assert min(alone) == 1.0 and fused["rrf", 1] == 1.0
    if distance in ("Cosine", "Dot"):
        assert fused["dbsf", 1] == 1.0
    else:
        assert fused["dbsf", 1] == 0.0 and fused["dbsf", 10] < 0.1
PYTHON
