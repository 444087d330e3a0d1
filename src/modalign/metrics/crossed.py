"""Means over runs and groups, both drawn from larger populations: standard errors that few runs do not make too small.

The runs of one method share the test groups. A percentile bootstrap over three runs leaves out a third of their
variance and knows nothing of how badly three numbers tell a spread; Student's t does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ModalignError


class Spread(NamedTuple):
    """How far a mean may lie from the truth. error: its standard error. freedom: degrees of freedom, > 0."""

    error: float
    freedom: float

    def interval(self, value: float, level: float = 0.95) -> tuple[float, float]:
        """value -+ t error, t the quantile of Student's distribution.

        Example:
            >>> low, high = Spread(1.0, 2.0).interval(0.0)
            >>> round(low, 3), round(high, 3)
            (-4.303, 4.303)
        """
        from scipy.special import stdtrit

        if not 0.0 < level < 1.0:
            raise ModalignError(f"the interval's level must lie between 0 and 1, got {level}")
        half = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return value - half, value + half

    def p(self, value: float) -> float:
        """Two-sided p of a mean that would be 0; 1 where it is 0.

        Example:
            >>> round(Spread(1.0, 2.0).p(4.303), 3), Spread(0.0, 2.0).p(0.0)
            (0.05, 1.0)
        """
        from scipy.special import stdtr

        if value == 0.0:
            return 1.0
        return float(2 * stdtr(self.freedom, -abs(value) / self.error)) if self.error > 0 else 0.0


def crossed(table: np.ndarray) -> Spread:
    """Spread of the mean of runs x groups, where other runs and other groups might have been drawn.

    With the mean squares of a two-way layout of S runs and G groups, M_s = G var_s(mean_g), M_g = S var_g(mean_s) and
    M_r of what is left: error^2 = max(M_s + M_g - M_r, M_s, M_g) / (S G). Degrees of freedom are the fewer of two
    approximations, each of which is too bold where the other is not: Satterthwaite's, M_total^2 / (M_s^2 / (S - 1) +
    M_g^2 / (G - 1) + M_r^2 / ((S - 1) (G - 1))), and those whose 95 % interval has the half-width sqrt(t_{S-1}^2 (M_s -
    M_r) + t_{G-1}^2 M_g). With one run the groups alone count, and the mean is that of this run.

    Args:
        table: (S, G), G >= 2.

    Raises:
        ModalignError: fewer than two groups.

    Reference: Satterthwaite 1946; Graybill & Wang 1980; runs and items as crossed random effects: Clark 1973, "The
    language-as-fixed-effect fallacy" (quasi F).

    Example:
        >>> round(crossed(np.array([[0.0, 2.0, 4.0]])).error, 6)
        1.154701
    """
    x = np.asarray(table, float)
    runs, groups = x.shape
    if groups < 2:
        raise ModalignError(f"a spread needs at least two groups, got {groups}")
    by_run, by_group = x.mean(1, keepdims=True), x.mean(0, keepdims=True)
    of_groups = runs * float(by_group.var(ddof=1))
    if runs == 1:
        return Spread((of_groups / groups) ** 0.5, groups - 1.0)
    of_runs = groups * float(by_run.var(ddof=1))
    rest = float(((x - by_run - by_group + x.mean()) ** 2).sum()) / ((runs - 1) * (groups - 1))
    total = max(of_runs + of_groups - rest, of_runs, of_groups)
    if total == 0.0:
        return Spread(0.0, runs - 1.0)
    loss = (of_runs**2 + (of_groups**2 * (runs - 1) + rest**2) / (groups - 1)) / (runs - 1)
    return Spread(
        (total / (runs * groups)) ** 0.5, min(total**2 / loss, _wide(of_runs, of_groups, rest, total, x.shape))
    )


def _wide(of_runs: float, of_groups: float, rest: float, total: float, shape: tuple[int, ...]) -> float:
    """Degrees of freedom at which Student's 95 % interval is as wide as both parts' intervals, squared and added."""
    from scipy.special import stdtridf, stdtrit

    squares = [float(stdtrit(n - 1.0, 0.975)) ** 2 for n in shape]
    ratio = ((squares[0] * max(of_runs - rest, 0.0) + squares[1] * of_groups) / total) ** 0.5
    return float(stdtridf(0.975, ratio)) if ratio**2 > squares[1] else shape[1] - 1.0


def together(a: Spread, b: Spread) -> Spread:
    """Spread of a sum or difference of two independent means (Welch 1947).

    Example:
        >>> together(Spread(3.0, 5.0), Spread(4.0, 5.0)).error
        5.0
    """
    loss = a.error**4 / a.freedom + b.error**4 / b.freedom
    total = a.error**2 + b.error**2
    return Spread(total**0.5, total**2 / loss if loss > 0 else min(a.freedom, b.freedom))
