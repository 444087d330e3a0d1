#!/usr/bin/env bash
# Guess, written down first: DocumentJoiner(join_mode="distribution_based_rank_fusion") of Haystack puts the scores of each
# retriever on one scale by their mean and deviation, so that units do not matter: cosines, BM25 and negative distances
# are fused to one order, also where a retriever found a single document.
# Seen (haystack-ai 3.4.1): with two different scores in each list that is so. A list of one document, or of equally good
# ones, keeps its raw scores, which are then sorted among the others' scaled ones, between about 0 and 1: the same
# single hit beside ten by embedding is the first with a BM25 score of 9.1, the ninth with a cosine of .31, and the last
# with minus a distance of 1.2. So is a document that both lists have: its better score counts, and 9.1 is always
# better. A rare word, a name or a filter gives such lists. Nothing tells it. weights change nothing in this mode.
# By reciprocal_rank_fusion the single hit is the second in any units, as good as the first.
# So: reciprocal_rank_fusion, or scores of one range before they are joined.
# Source: haystack/components/joiners/document_joiner.py, _distribution_based_rank_fusion; deepset-ai/haystack issue 12507
# asked for the raw scores where there had been 0.
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check haystack-ai==3.4.1
HAYSTACK_TELEMETRY_ENABLED=False "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

from haystack import Document
from haystack.components.joiners import DocumentJoiner

print("haystack-ai", version("haystack-ai"))
units = {"BM25": lambda s: 29.4 * s - 0.014, "cosine": lambda s: s, "minus a distance": lambda s: -((2 - 2 * s) ** 0.5)}
by_embedding = [(f"picture {i}", 0.6 - 0.03 * i) for i in range(10)]


def place(mode, unit, hits, asked, **options):
    """The place of `asked`, from 1, when `hits`, in that unit, are joined with what the embeddings found."""
    lists = [[Document(id=name, content=name, score=score) for name, score in found]
             for found in (by_embedding, [(name, units[unit](cosine)) for name, cosine in hits])]
    joined = DocumentJoiner(join_mode=mode, **options).run(documents=lists)["documents"]
    return [d.id for d in joined].index(asked) + 1


seen = {}
for name, hits, asked in (
    ("a single hit", [("caption", 0.31)], "caption"),
    ("three equal hits", [("caption", 0.31), ("other", 0.31), ("third", 0.31)], "caption"),
    ("a single hit, last by embedding", [("picture 9", 0.31)], "picture 9"),
    ("three different hits", [("caption", 0.31), ("other", 0.3), ("third", 0.27)], "caption"),
):
    for mode in ("distribution_based_rank_fusion", "reciprocal_rank_fusion"):
        seen[name, mode[0]] = [place(mode, unit, hits, asked) for unit in units]
        print(f"{name}, {mode}:", dict(zip(units, seen[name, mode[0]])))
light = place("distribution_based_rank_fusion", "BM25", [("caption", 0.31)], "caption", weights=[0.99, 0.01])
print("a single hit of BM25 with a weight of .01:", light)
assert seen["a single hit", "d"] == [1, 9, 11] and seen["three equal hits", "d"] == [1, 9, 11] and light == 1
assert seen["a single hit, last by embedding", "d"] == [1, 9, 10]
assert len(set(seen["three different hits", "d"])) == 1
assert all(len(set(places)) == 1 for (_, mode), places in seen.items() if mode == "r")
PYTHON
