"""Sounds and the titles of their recordings: recall over five folds, and what knowing the class alone would give.

    MODALIGN_DATA=... python -m benchmarks sound_titles

ESC-50's CC0 part: 214 clips of 160 recordings; all clips of a recording have one title, which stands in the list once,
and any of the clips is right. Recordings never part. Heads learn from three folds with the next as dev, or from all
four ("folds"), with their default settings. "class known" draws the order at random, clips of the asked class first: no
sound of the class, nor its title, is told from the others. Mean of Recall@1, 5 and 10 over both directions, percent,
with 95 % bootstraps over recordings.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.sound_captions import folds
from modalign.data.esc50 import esc50
from modalign.metrics.intervals import bootstrap
from modalign.metrics.recall import KS
from modalign.metrics.score import Score
from modalign.registry import make
from modalign.runs.data import encode
from modalign.views import Views, concat

HEADS: dict[str, dict[str, Any]] = {"cca": {"dim": 64}, "clip": {}, "full": {}}


def recalls(similarity: Tensor, right: Tensor) -> Tensor:
    """(q,) mean over k of whether a right item is among the first k."""
    first = right.gather(1, similarity.argsort(dim=1, descending=True)).float().argmax(1)
    return torch.stack([(first < k).float() for k in KS]).mean(0)


def both_ways(similarity: Tensor, right: Tensor) -> Tensor:
    """(q,) recalls of sounds among titles, each recording's once, and of titles among sounds, averaged clip by clip."""
    once = right.float().argmax(1).unique()
    return (recalls(similarity[:, once], right[:, once]) + recalls(similarity.T, right.T)) / 2


def run() -> list[dict[str, Any]]:
    """A row for each heads and number of folds, and one for the class."""
    torch.set_num_threads(1)
    manifest = esc50(Path(os.environ["MODALIGN_DATA"]) / "esc50_cc0")
    x = concat(list(encode(manifest, {"audio": {"name": "aisfx"}, "text": {"name": "minilm"}}).splits.values()))
    source = {row.group: str(row.extra["source"]) for row in manifest}
    kind = {row.group: int(row.extra["target"]) for row in manifest}
    parts = folds(x, source, 0)
    asked = [g for *_, test in parts for g in test.group["audio"].tolist()]
    rows = []
    for name, settings in HEADS.items():
        for whole in (False, True):
            found = [_fold(name, settings, *part, whole, source) for part in parts]
            rows.append({"heads": name, "folds": 3 + whole, "mean recall": shown(torch.cat(found), asked, source)})
    draw = torch.Generator().manual_seed(0)
    known = torch.cat([_class_known(test, source, kind, draw) for *_, test in parts])
    return [*rows, {"heads": "class known", "mean recall": shown(known, asked, source)}]


def _fold(
    name: str, settings: dict[str, Any], train: Views, dev: Views, test: Views, whole: bool, source: dict[int, str]
) -> Tensor:
    method = make("method", name, **settings)
    z = (method.fit(concat([train, dev])) if whole else method.fit(train, dev)).embed(test)
    audio, text = (torch.nn.functional.normalize(z[m], dim=1) for m in ("audio", "text"))
    return both_ways(audio @ text.T, _same(test, source))


def _same(test: Views, of: dict[int, Any]) -> Tensor:
    a, t = (test.group[m].tolist() for m in ("audio", "text"))
    return torch.tensor([[of[i] == of[j] for j in t] for i in a])


def _class_known(test: Views, source: dict[int, str], kind: dict[int, int], draw: torch.Generator) -> Tensor:
    """Mean over 200 orders that are random within the class and outside it."""
    right, near = _same(test, source), _same(test, kind).float()
    orders = (near + 0.5 * torch.rand(near.shape, generator=draw) for _ in range(200))
    return torch.stack([both_ways(order, right) for order in orders]).mean(0)


def shown(values: Tensor, asked: list[int], source: dict[int, str]) -> str:
    """Mean in percent with its interval; clips of one recording are drawn together."""
    number = {s: i for i, s in enumerate(sorted(set(source.values())))}
    group = torch.tensor([number[source[g]] for g in asked])
    s = bootstrap(Score(100 * float(values.mean()), per_item=100 * values, group=group))
    return f"{s.value:.1f} [{s.low:.1f}, {s.high:.1f}]"


if __name__ == "__main__":
    for row in run():
        print(row)
