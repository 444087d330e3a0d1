"""Retrieval with queries composed of several modalities, as a metric over views."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ModalignError, check_known
from ..geometry.cost import unit
from ..metrics.recall import KS, scores_of
from ..metrics.score import Score
from ..robustness.fusion import RULES, ranking
from ..views import Stack, Views, aligned, side
from ..views.compose import positives_of


@dataclass(frozen=True)
class FusedRetrieval:
    """Retrieval scores of composed queries, under names such as ``recall/text+audio->image/any@1``.

    A query is one per group, of the mean of its items of each modality; where a group lacks one of the modalities it is
    composed of what is there. The gallery is every item of each other modality.

    Args:
        query: two modalities or more. gallery: modalities that are searched; None: all others.
        rule: of fusion, see ``robustness.fusion.ranking``. ks: depths.

    Raises:
        ModalignError: one modality, an unknown one, or one that is asked and searched; an unknown rule.
    """

    query: tuple[str, ...]
    gallery: tuple[str, ...] | None = None
    rule: str = "mean"
    ks: tuple[int, ...] = KS

    def __call__(self, z: Views) -> dict[str, Score]:
        """Scores of every gallery that shares groups with the queries."""
        searched_in = self.gallery or tuple(m for m in z.modalities if m not in self.query)
        self._check(z, searched_in)
        name, asked = "+".join(self.query), side(aligned(z, self.query), self.query)
        out: dict[str, Score] = {}
        for m in searched_in:
            rows = unit(z[m].float())[:, None]
            searched = Stack(rows, torch.ones(len(rows), 1, dtype=torch.bool), z.group[m].long())
            r = ranking(asked, searched, self.rule, pairs=positives_of(z, asked.group, self.query, m))
            if len(r.asked):
                out |= scores_of(r, (name, m), self.ks)
        return out

    def _check(self, z: Views, gallery: tuple[str, ...]) -> None:
        check_known("fusion rule", self.rule, RULES)
        if len(set(self.query)) < 2 or set(self.query) & set(self.gallery or ()):
            raise ModalignError(
                f"a composed query needs two modalities or more that are not searched, got {'+'.join(self.query)}"
                + (f" in {', '.join(self.gallery)}" if self.gallery else "")
            )
        for m in (*self.query, *gallery):
            z[m]
        if not gallery:
            raise ModalignError(f"a query of {'+'.join(self.query)} leaves no other modality to search")
