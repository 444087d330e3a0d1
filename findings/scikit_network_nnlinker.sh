#!/usr/bin/env bash
# Guess, written down first: NNLinker of scikit-network links each row of a bipartite graph (users, items) to the columns that
# are nearest in the embedding, by default that of the graph itself, or of SVD and GSVD, made for such graphs: users to items
# like theirs. In other graphs it links each node to others.
# Seen (scikit-network 0.33.5): by the default all similarities of a bipartite graph are 0, since a user is described by items
# and an item by users; by SVD and GSVD they are 1e-15. n_neighbors columns come back all the same, by the last bits: of 200
# users and 300 items in four groups .24 of the links stay within a group by the default, by SVD and GSVD .25 to .5, otherwise
# in each run, by Spectral 1.00. The default threshold, 0, lets them through. In other graphs most nodes have a link to
# themselves, with similarity 1, in place of one of their neighbours.
# So: Spectral as the embedding, n_neighbors one higher and the diagonal taken off; threshold=1e-9.
# Source: sknetwork/linkpred/nn.py, fit: get_adjacency(input_matrix), the square table of rows and columns, as the embedding;
# _fit_core.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check scikit-network==0.33.5 numpy==2.3.5 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from scipy import sparse
from sknetwork.data import karate_club
from sknetwork.embedding import GSVD, SVD, Spectral
from sknetwork.linkpred import NNLinker

print("scikit-network", version("scikit-network"))
draw = np.random.default_rng(0)
users, items = draw.integers(4, size=200), draw.integers(4, size=300)
chance = np.where(users[:, None] == items, 0.2, 0.01)
graph = sparse.csr_matrix((draw.random(chance.shape) < chance).astype(float))
seen = {}
for name, embedding in {"default": None, "SVD": SVD(8), "GSVD": GSVD(8), "Spectral": Spectral(8)}.items():
    links = NNLinker(n_neighbors=5, embedding_method=embedding).fit_predict(graph).tocoo()
    seen[name] = links.nnz, np.abs(links.data).max(), (users[links.row] == items[links.col]).mean()
    print(f"{name}: {links.nnz} links, similarities up to {seen[name][1]:.2g}, within a group {seen[name][2]:.3f}")
for name in ("default", "SVD", "GSVD"):
    assert seen[name][0] > 300 and seen[name][1] < 1e-9 and seen[name][2] < (0.35 if name == "default" else 0.75)
assert seen["Spectral"][1] > 0.9 and seen["Spectral"][2] > 0.9
links = NNLinker(n_neighbors=3).fit_predict(karate_club())
own = (links.diagonal() > 0).mean()
print(f"karate club: {own:.2f} of the nodes are linked to themselves")
assert own > 0.5
PYTHON
