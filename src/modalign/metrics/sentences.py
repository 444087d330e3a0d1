"""Hypotheses and references: what words are scored from."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ModalignError, few

References = Sequence[Sequence[str]]


def check_sentences(hypotheses: Sequence[str], references: References) -> None:
    """Refuse what other programs score silently: transposed references, or nothing at all.

    Raises:
        ModalignError: see ``corpus_bleu``.
    """
    if not len(hypotheses):
        raise ModalignError("there are no hypotheses to score")
    if len(hypotheses) != len(references):
        raise ModalignError(
            f"{len(hypotheses)} hypotheses but {len(references)} lists of references: give one list of references "
            "for each hypothesis"
        )
    empty = [i for i, several in enumerate(references) if not len(several)]
    if empty:
        raise ModalignError(f"{len(empty)} hypotheses have no references ({few(empty)}): leave them out")
