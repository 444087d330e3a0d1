"""The four drawings of docs/how.md, each of data that the package itself computes: python site/drawings.py

Written into docs/images/how as SVG that follows the reader's light or dark screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor

import modalign as ma
from modalign.files import write_text
from modalign.geometry.neighbours import knn_graph
from modalign.geometry.transport import Problem, SemiPaired, Solver, solve
from modalign.metrics.corrected import csls_bias
from modalign.report import svg

PLACE = Path(__file__).parents[1] / "docs" / "images" / "how"
WIDTH = 640  # narrow, so that words stay readable on a phone


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) cosines of rows."""
    return torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T


def heading(x: float, content: str, note: str) -> Markup:
    """The name of a part, and what to look at in it."""
    return svg.join([svg.text(x, 26, content, 17, weight=600), svg.text(x, 48, note, 14, "var(--muted)")])


def groups() -> Markup:
    """Items of three modalities; those of one group are joined, an absent item has no place."""
    views = ma.Views(
        {"photo": torch.ones(5, 1), "caption": torch.ones(7, 1), "sound": torch.ones(4, 1)},
        {
            "photo": torch.tensor([0, 1, 2, 3, 5]),
            "caption": torch.tensor([0, 0, 0, 1, 2, 4, 6]),
            "sound": torch.tensor([0, 1, 3, 4]),
        },
    )
    ids = sorted({int(g) for ids in views.group.values() for g in ids})
    left, step = 92.0, (WIDTH - 102) / len(ids)
    parts, places = [], {}
    for row, (modality, of) in enumerate(views.group.items()):
        y = 110.0 + 90 * row
        parts.append(svg.text(12, y + 5, modality, 16, f"var(--m{row})", weight=600))
        for g in ids:
            rows = (of == g).nonzero().flatten().tolist()
            for k, i in enumerate(rows):
                x = left + step * (ids.index(g) + 0.5) + 21 * (k - (len(rows) - 1) / 2)
                places[modality, i] = (x, y, row, g)
    for g in ids:
        members = [place for place in places.values() if place[3] == g]
        alone = len({place[2] for place in members}) == 1
        x = left + step * (ids.index(g) + 0.5)
        parts.insert(
            0,
            svg.tag(
                "rect", x=x - step / 2 + 3, y=70, width=step - 6, height=260, rx=10,
                fill="var(--soft)", stroke="var(--faint)", stroke_dasharray="5 4" if alone else None,
            ),
        )  # fmt: skip
        parts.append(svg.text(x, 352, f"group {g}", 14, "var(--muted)", "middle"))
        parts.append(svg.text(x, 371, "unpaired" if alone else "linked", 14, "var(--muted)", "middle"))
    parts += [svg.marker(row, x, y, 9, f"var(--m{row})") for x, y, row, _ in places.values()]
    title = "Views: items of several modalities with their group ids"
    note = "One column, one thing. What is absent has no row; unpaired items are data."
    return svg.picture(WIDTH, 385, title, heading(12, title, note), *parts, description=note)


def crescent(n: int, turned: bool, seed: int) -> Tensor:
    """Points along half a circle with some noise; turned over or not."""
    draw = torch.Generator().manual_seed(seed)
    angle = torch.linspace(0, math.pi, n) + 0.05 * torch.randn(n, generator=draw)
    points = torch.stack([angle.cos(), angle.sin()], 1) * (1 + 0.06 * torch.randn(n, 1, generator=draw))
    return points * torch.tensor([1.0, -0.55]) + torch.tensor([0.35, -0.55]) if turned else points


def plans() -> Markup:
    """One problem, three plans: much entropy, little, and little with three known pairs held."""
    x, y = crescent(16, False, 0), crescent(16, True, 1)
    cost = (x[:, None] - y[None]).square().sum(-1)
    pairs = torch.tensor([[2, 8], [8, 12], [12, 4]])
    kinds = [
        ("epsilon .5", "mass is spread", solve(Problem(cost), Solver(epsilon=0.5)).plan, []),
        ("epsilon .01", "nearly one partner each", solve(Problem(cost), Solver(epsilon=0.01)).plan, []),
        ("three pairs held", "the rest goes around them",
         solve(SemiPaired(cost, pairs=pairs), Solver(epsilon=0.01)).plan, pairs.tolist()),
    ]  # fmt: skip
    title = "The transport plan: how much of each item goes where"
    parts = []
    for number, (name, note, plan, held) in enumerate(kinds):
        left = 12 + 210 * number
        at = at_place(left + 82, 180, 74)
        share = plan / plan.max()
        edges = [(i, j, float(share[i, j])) for i in range(16) for j in range(16) if share[i, j] > 0.02]
        lines = [svg.line(*at(x[i]), *at(y[j]), "var(--accent)", 1 + 1.6 * w, opacity=round(w, 2)) for i, j, w in edges]
        lines += [svg.line(*at(x[i]), *at(y[j]), "var(--miss)", 3) for i, j in held]
        points = [svg.marker(0, *at(p), 5, "var(--m0)") for p in x] + [svg.marker(1, *at(p), 5, "var(--m1)") for p in y]
        parts += [heading(left, name, note), *lines, *points]
    return svg.picture(WIDTH, 275, title, *parts, description="Circles: one modality; squares: the other.")


def at_place(x: float, y: float, scale: float) -> Callable[[Tensor], tuple[float, float]]:
    """Where a point of the plane stands in the drawing."""
    return lambda p: (x + scale * float(p[0]), y - scale * float(p[1]))


def diffusion() -> Markup:
    """The neighbour graph of points on a curve, and how a walk from one item spreads in 1, 4 and 16 hops."""
    draw = torch.Generator().manual_seed(3)
    t = torch.linspace(0.6, 3.4, 70) * math.pi
    points = torch.stack([t * t.cos(), t * t.sin()], 1) / 11 + 0.012 * torch.randn(70, 2, generator=draw)
    graph = knn_graph(points, k=4, metric="euclidean").toarray() > 0
    walk = torch.tensor(graph, dtype=torch.float64)
    walk = (walk + torch.eye(len(walk), dtype=torch.float64)) / (walk.sum(1, keepdim=True) + 1)
    title = "Neighbourhoods and diffusion: likeness follows the data, not the straight line"
    parts = []
    for number, hops in enumerate((1, 4, 16)):
        left = 12 + 210 * number
        at = at_place(left + 92, 158, 104)
        reached = torch.linalg.matrix_power(walk, hops)[12]
        weight = (reached / reached.max()).sqrt().tolist()
        edges = zip(*np.nonzero(np.triu(graph)), strict=True)
        parts.append(heading(left, f"{hops} hop{'s' * (hops > 1)}", f"{int((reached > 1e-3).sum())} items reached"))
        parts += [svg.line(*at(points[i]), *at(points[j]), "var(--line)", 1.5) for i, j in edges]
        parts += [svg.marker(0, *at(p), 4, "var(--soft)", stroke="var(--faint)", stroke_width=1) for p in points]
        parts += [
            svg.marker(0, *at(p), 4.5, "var(--m0)", opacity=round(w, 2))
            for p, w in zip(points, weight, strict=True)
            if w > 0.03
        ]
        parts.append(svg.marker(2, *at(points[12]), 8, "var(--miss)"))
    return svg.picture(
        WIDTH, 270, title, *parts, description="The walk starts at the diamond and goes along the curve."
    )


def hubs() -> Markup:
    """How often each of 300 items is among the ten nearest of 300 queries, by plain cosine and by CSLS."""
    draw = torch.Generator().manual_seed(5)
    meaning = torch.randn(300, 60, generator=draw)
    x, y = (meaning + 1.1 * torch.randn(300, 60, generator=draw) for _ in "xy")
    x, y = x + 0.6, y + 0.6 * torch.randn(300, 1, generator=draw)  # some items lie where all queries do
    score = cosines(x, y)
    ways = {"plain cosine": score, "with local scaling": score + csls_bias(x, y)}
    title = "Hubs: items that are near to everybody"
    parts = [heading(12, title, "An item's height: for how many of 300 queries it is among the ten nearest.")]
    most = 150
    for number, (name, scores) in enumerate(ways.items()):
        left, base, high = 44 + 315 * number, 350.0, 220.0
        found = scores.topk(10).indices.flatten().bincount(minlength=300).sort(descending=True).values.tolist()
        right = float((scores.argmax(1) == torch.arange(300)).double().mean())
        never = sum(n == 0 for n in found)
        for n in range(0, most + 1, 50):
            y = base - high * n / most
            parts += [svg.line(left, y, left + 270, y), svg.text(left - 6, y + 5, n, 14, "var(--muted)", "end")]
        for part, colour in ((range(300), "var(--m0)"), (range(10), "var(--miss)")):
            steps = [(left + 0.9 * (i + side), base - high * found[i] / most) for i in part for side in (0, 1)]
            outline = [(left, base), *steps, (steps[-1][0], base)]
            parts.append(svg.tag("path", d=svg.path_of(outline, closed=True), fill=colour))
        worth = [f"most often {found[0]} times, {never} never", f"first place right: {100 * right:.0f} %"]
        parts.append(svg.text(left + 48, 92, name, 15, weight=600))
        parts += [svg.text(left + 48, 113 + 20 * k, row, 14, "var(--muted)") for k, row in enumerate(worth)]
    return svg.picture(WIDTH, 385, title, *parts, description="The ten largest hubs are marked.")


DRAWINGS = {"groups": groups, "plan": plans, "neighbourhoods": diffusion, "hubs": hubs}


def draw(place: Path = PLACE) -> None:
    """Write all of them."""
    place.mkdir(parents=True, exist_ok=True)
    for name, make in DRAWINGS.items():
        write_text(place / f"{name}.svg", svg.standalone(make(), "auto") + "\n")


if __name__ == "__main__":
    draw()
