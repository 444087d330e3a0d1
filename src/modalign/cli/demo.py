"""The table that the demo prints as it goes, and its last words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ..metrics.key import Key
from ..metrics.score import Score
from ..metrics.shown import interval, shown
from ..outputs import from_here
from ..runs import MethodResult, Run

ROW = "{:<6} {:>5}  {:>16}  {:>16}  {:>20}  {:>16}  {:>12}  {:>7}"
HEADER = (
    ROW.format("", "", "word -> picture", "picture -> word", "mean recall", "Procrustes", "mutual kNN", "")
    + "\n"
    + ROW.format("method", "pairs", "R@1   5   10", "R@1   5   10", "% [95 %]", "disparity", "k = 10", "seconds")
)


class LiveTable:
    """Prints the rows as they become known, under a heading."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.begun = quiet, False

    def __call__(self, name: str, m: MethodResult) -> None:
        if not self.quiet:
            print(row(m) if self.begun else f"{HEADER}\n{row(m)}", flush=True)
        self.begun = True


def row(m: MethodResult) -> str:
    """One row of the table; of spoken names, what they find on a second line."""
    named = {k: s for k, s in m.scores.items() if "audio" not in k}
    distance = next(s for k, s in named.items() if Key.parse(k).measure == "procrustes")
    mutual = next(s for k, s in named.items() if Key.parse(k).measure == "mutual_knn")
    mean = m.scores["mean_recall"]
    line = ROW.format(
        m.label,
        str(m.pairs),
        recalls(m.scores, "text", "image"),
        recalls(m.scores, "image", "text"),
        f"{shown(mean, sign=False)} [{interval(mean, ', ')}]",
        f"{distance.value:.3f} [{distance.low:.3f}, {distance.high:.3f}]",
        f"{mutual.value:.3f}",
        f"{m.seconds:.1f}",
    )
    if not any("audio" in k for k in m.scores):
        return line
    found = [f"-> {what} {recalls(m.scores, 'audio', to)}" for to, what in (("image", "picture"), ("text", "word"))]
    return f"{line}\n{'':<14}spoken name {', '.join(found)}  (R@1 5 10; synthetic voice)"


def recalls(scores: Mapping[str, Score], query: str, gallery: str) -> str:
    """Recall@1, 5 and 10 of a direction, in percent."""
    return " ".join(f"{100 * scores[str(Key('recall', query, gallery, 'any', k))].value:4.1f}" for k in (1, 5, 10))


def summary(run: Run) -> str:
    """What the demo says at its end."""
    from ..search import open_space
    from ..search.examples import examples

    assert run.result is not None
    folder = shlex.quote(str(run))
    words = shlex.quote(next(iter(examples(open_space(run.folder), 1)), "a sad face"))
    data, chance = run.result.data, run.result.methods["full"].scores["mean_recall"].chance
    return "\n".join(
        [
            "",
            str(run.result.saving["text"]),
            f"(test: {data['test']} pictograms and names that no method saw; chance {100 * (chance or 0):.1f} %; "
            f"{data['pairs']} links known in training, {min(data['unlinked'].values())} pictograms and names unlinked; "
            f"settings chosen on {data['dev']} others)",
            "",
            f"Look at it:     {from_here(run.report)}",
            f"Search it:      modalign search {folder} {words}",
            f"Browse it:      modalign serve {folder}",
            "Your own data:  modalign align A.npy B.npy --out runs/mine",
            "Repeat it:      modalign demo --seeds 3",
            "",
            run.result.attribution,
        ]
    ).rstrip()
