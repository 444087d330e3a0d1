"""Label transfer by nearest neighbours: what a cell, or any item, is called by its neighbours of another modality."""

from __future__ import annotations

from itertools import permutations

import torch
from torch.nn.functional import normalize

from ..data.annotations import Annotations
from ..errors import ModalignError
from ..metrics.key import Key
from ..metrics.labels import accuracy
from ..metrics.score import Score
from ..parameters import Count, checked
from ..views import Views
from .classify import Labels

BLOCK = 4096


@checked
def label_transfer(
    known: Views, asked: Views, labels: Annotations, k: Count = 5, samples: Count = 1000, seed: int = 0
) -> dict[str, Score]:
    """Accuracy of the label that most of an item's k nearest items of another modality have, in every direction.

    Use when: results are to be compared with those of single-cell integration, which reports it with k = 5. Related:
    ``evaluate_transfer``, whose linear classifiers weigh all labelled items.

    Args:
        known: embedded items whose labels are given. asked: embedded items to be labelled; may be the same.
        labels: group -> one label, or a file of them, as ``evaluate_transfer`` takes.
        k: neighbours that vote; ties share the vote. samples, seed: of the bootstrap over groups.

    Returns:
        ``accuracy/a->b/<k>nn``: labels of a, asked of b; chance is the share of the most frequent label.

    Raises:
        ModalignError: no labelled items of two modalities, fewer than two labels, or a group with several.

    Reference: Cao et al. (2020), UnionCom, and Demetci et al. (2022), SCOT: accuracy of label transfer.

    Example:
        >>> z = Views.from_arrays(rna=torch.eye(4).repeat(3, 1), atac=torch.eye(4).repeat(3, 1))
        >>> found = label_transfer(z, z, {g: "T" if g % 4 < 2 else "B" for g in range(12)}, k=3)
        >>> found["accuracy/rna->atac/3nn"].value
        1.0
    """
    classes = Labels.of(labels, known.group_ids(), several=False)
    out = {}
    for source, target in permutations([m for m in known.modalities if m in asked], 2):
        rows, told = classes.rows(known, source)
        queries, truth = classes.rows(asked, target)
        if not len(rows) or not len(queries):
            continue
        bank, z = normalize(known[source][rows].float(), dim=1), normalize(asked[target][queries].float(), dim=1)
        near = torch.cat([(part @ bank.T).topk(min(k, len(bank)), dim=1).indices for part in z.split(BLOCK)])
        votes = told.float()[near].sum(1)
        group = asked.group[target][queries]
        out[str(Key("accuracy", source, target, f"{k}nn"))] = accuracy(
            votes, truth.argmax(1), group, samples, seed=seed
        )
    if not out:
        raise ModalignError("no labelled items of two modalities: are the group ids of the labels those of the items?")
    return out
