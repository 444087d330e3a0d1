"""Missing modalities: the rates that are looked at, which modalities are there, and who loses how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

from ..errors import ModalignError

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, the small ones first.

    Example:
        >>> subsets(["a", "b"])
        [('a',), ('b',), ('a', 'b')]
    """
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def unbalanced(modalities: Sequence[str], rates: Sequence[float] = (0.3, 0.5, 0.7)) -> Iterator[dict[str, float]]:
    """Every way of dealing different rates to the modalities.

    Example:
        >>> list(unbalanced(["a", "b"], (0.3, 0.7)))
        [{'a': 0.3, 'b': 0.7}, {'a': 0.7, 'b': 0.3}]

    Raises:
        ModalignError: fewer rates than modalities.
    """
    if len(rates) < len(modalities):
        raise ModalignError(f"{len(modalities)} modalities need as many rates, got {list(rates)}")
    for order in permutations(rates, len(modalities)):
        yield dict(zip(modalities, order, strict=True))
