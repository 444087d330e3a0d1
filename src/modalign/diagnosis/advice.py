"""From numbers to advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .gain import Gain

STRONG = 0.45
"""Share explained, mean of both ways, from which most of what the modalities hold is held in common."""
PARTIAL = 0.1
"""From here a common part is worth a space of its own beside what each keeps to itself."""
PARTIAL_BITS = 2.0
"""Bits about the partner (ranks four times better than chance) that are as good a reason as a share of ``PARTIAL``."""
NOTICEABLE, NOTICEABLE_BITS = 0.003, 0.1
"""Share and bits of which evidence counts for nothing, however sure: less is nothing for practical purposes."""
SURE = 4.0
"""Standard errors above chance at which ranks count as evidence; shuffled pairs of any number hardly reach them."""
LEVELS = ("none", "weak", "partial", "strong")
MEANING = {
    "strong": "align them strongly: most of what they hold is common",
    "partial": "align a common part and keep separate parts: each also holds what the other lacks",
    "weak": "align weakly, if at all: little is common, and pulling harder would erase what each has of its own",
    "none": "not worth aligning: these pairs share no more than shuffled ones",
}


def judge(share: float, significant: bool, quick: Gain) -> str:
    """The advice for two modalities: "strong", "partial", "weak" or "none".

    Args:
        share: of the variance that they tell of each other, mean of both ways.
        significant: the share lies above all shuffles, by far.
        quick: what a quick alignment reaches on held-out pairs.
    """
    found = quick.bits > SURE * quick.error
    if not ((significant and share >= NOTICEABLE) or (found and quick.bits >= NOTICEABLE_BITS)):
        return "none"
    if share >= STRONG:
        return "strong"
    return "partial" if share >= PARTIAL or quick.bits >= PARTIAL_BITS else "weak"


def say(a: str, b: str, advice: str, explained: Mapping[str, float], quick: Gain) -> str:
    """One sentence with the numbers behind the advice.

    Args:
        explained: "a->b" and "b->a" -> share of the variance told.
    """
    there, back = (100 * max(0.0, explained[way]) for way in (f"{a}->{b}", f"{b}->{a}"))
    now, chance = 100 * quick.recall.value, 100 * (quick.recall.chance or 0.0)
    return (
        f"{a} and {b}: {MEANING[advice]} ('{a}' tells {there:.0f} % of '{b}', '{b}' tells {back:.0f} % of '{a}'; "
        f"a quick alignment of {quick.pairs} pairs finds held-out partners with mean recall {now:.1f} %, "
        f"chance {chance:.1f} %)."
    )


def overall(advice: Mapping[tuple[str, str], str], modalities: Sequence[str]) -> tuple[str, str]:
    """The advice for one space of several modalities: each counts with its best partner, and the least of these holds.

    Modalities without enough pairs with any other are left out.

    Returns: advice and a sentence.

    Example:
        >>> overall({("a", "b"): "strong", ("a", "c"): "none", ("b", "c"): "none"}, "abc")
        ('none', "Leave out 'c', which shares nothing with the others; for 'a', 'b' see the pairs.")
    """
    known = [m for m in modalities if any(m in pair for pair in advice)]
    best = {m: max(LEVELS.index(level) for pair, level in advice.items() if m in pair) for m in known}
    least = min(best.values())
    names = {level: ", ".join(f"'{m}'" for m in known if best[m] == level) for level in range(len(LEVELS))}
    if len(set(best.values())) == 1:
        return LEVELS[least], f"{names[least]}: {MEANING[LEVELS[least]]}."
    others = ", ".join(f"'{m}'" for m in known if best[m] > least)
    if least == 0:
        words = f"Leave out {names[0]}, which shares nothing with the others; for {others} see the pairs."
    else:
        words = f"{names[least]} fits in least ({LEVELS[least]}); {others} share more, see the pairs."
    return LEVELS[least], words
