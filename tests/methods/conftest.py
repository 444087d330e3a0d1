"""A problem whose answer is known, for all tests of methods; transport-CCA once more, slowly, in numpy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from modalign.methods import canonical_space, transport_cca
from modalign.methods.transport_cca import TransportCCA
from modalign.views import Views

Array = np.ndarray
Rows = dict[str, Array]


@pytest.fixture(name="latent", scope="session")
def _latent() -> Callable[..., Views]:
    return latent


def latent(n: int, seed: int, dims: tuple[int, ...] = (12, 8), noise: float = 0.15) -> Views:
    """Modalities that are noisy linear images of the same skewed latent."""
    maps = torch.Generator().manual_seed(42)
    g = torch.Generator().manual_seed(seed)
    s = torch.randn(n, 5, generator=g) ** 3 * torch.tensor([1.6, 1.4, 1.2, 1.0, 0.8])
    data = {
        name: s @ torch.linalg.qr(torch.randn(d, 5, generator=maps))[0].T + noise * torch.randn(n, d, generator=g)
        for name, d in zip(("image", "text", "sound"), dims, strict=False)
    }
    return Views(data, {m: torch.arange(n) for m in data})


@pytest.fixture(name="slow", scope="session")
def _slow() -> SimpleNamespace:
    return SimpleNamespace(
        Slow=Slow,
        problem=problem,
        dev_of=dev_of,
        recall=recall,
        hits=hits,
        crowded=crowded,
        unit=unit,
        reduced=reduced,
        scaled=scaled,
    )  # fmt: skip


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transport-CCA in float64, with plans solved to the last digit."""
    monkeypatch.setattr(canonical_space, "PRECISION", torch.float64)
    monkeypatch.setattr(transport_cca, "TOLERANCE", 1e-13)
    monkeypatch.setattr(transport_cca, "ITERATIONS", 100_000)


# ------------------------------------------------------------------ the transcription


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def power_of(symmetric: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(symmetric)
    return vectors @ np.diag(np.maximum(values, 1e-300) ** exponent) @ vectors.T


def sinkhorn(cost: Array, epsilon: float) -> Array:
    """The entropic plan of uniform weights: passes in the log domain, then Newton steps to the last digit."""
    n, m = cost.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(300):
        f = -epsilon * np.log(np.exp((g[None] - cost) / epsilon).mean(1))
        g = -epsilon * np.log(np.exp((f[:, None] - cost) / epsilon).mean(0))
    for _ in range(60):
        plan = np.exp((f[:, None] + g[None] - cost) / epsilon) / (n * m)
        rows, columns = plan.sum(1), plan.sum(0)
        slope = np.concatenate([1 / n - rows, 1 / m - columns])
        if abs(slope).max() < 1e-15:
            break
        curvature = np.block([[np.diag(rows), plan], [plan.T, np.diag(columns)]]) / epsilon
        step = np.linalg.lstsq(curvature, slope, rcond=1e-14)[0]
        step *= min(1.0, epsilon / abs(step).max())
        f, g = f + step[:n], g + step[n:]
    return plan


def smooth(w: Array, bank: Array, neighbours: int, amount: float) -> Array:
    out = []
    for row in w:
        cosine = unit(bank) @ unit(row)
        near = [j for j in np.argsort(-cosine) if cosine[j] <= 0.9999][:neighbours]
        share = np.maximum(cosine[near], 0) ** 2
        out.append(row + amount * (share / max(share.sum(), 1e-9)) @ bank[near])
    return np.array(out)


def nearest(w: Array, k: int) -> list[Array]:
    cosine = unit(w) @ unit(w).T
    np.fill_diagonal(cosine, -9)
    return [np.argsort(-row, kind="stable")[: min(k, len(w) - 1)] for row in cosine]


def recall(z: Mapping[str, Array]) -> float:
    """Mean over directions and k = 1, 5, 10 of the share of items whose partner, of the same row, is among the k."""
    found = []
    for a, b in itertools.permutations(z, 2):
        scores = z[a] @ z[b].T
        place = [int((row > row[i]).sum()) for i, row in enumerate(scores)]
        found += [np.mean([p < k for p in place]) for k in (1, 5, 10)]
    return float(np.mean(found))


def hits(z: Mapping[str, Array]) -> Array:
    """What each item adds to ``recall``, over k and both ways; items of both sides in the same order."""
    found = []
    for a, b in itertools.permutations(z, 2):
        scores = z[a] @ z[b].T
        place = np.array([(row > row[i]).sum() for i, row in enumerate(scores)])
        found += [place < k for k in (1, 5, 10)]
    return np.asarray(np.mean(found, 0))


def crowded(z: Mapping[str, Array], others: Mapping[str, Array]) -> float:
    """The same among further items, which are nobody's partner."""
    found = []
    for a, b in itertools.permutations(z, 2):
        scores = z[a] @ np.concatenate([z[b], others[b]]).T
        place = [int((row > row[i]).sum()) for i, row in enumerate(scores)]
        found += [np.mean([p < k for p in place]) for k in (1, 5, 10)]
    return float(np.mean(found))


def reduced(z: Rows, by: Rows, dim: int) -> tuple[Rows, Array]:
    """Unit rows in the principal directions of some rows of all modalities, not centred."""
    axes = np.linalg.eigh(sum(v.T @ v / len(v) for v in by.values()))[1][:, ::-1][:, :dim]
    return {m: unit(v @ axes) for m, v in z.items()}, axes


def scaled(z: Rows, train: Rows, strength: float, near: int = 5, edge: float = 0.25) -> Rows:
    """Cosines less half of both crowds, by one more coordinate for each modality."""
    out = {}
    for own, m in enumerate(z):
        bank = np.concatenate([train[o] for o in train if o != m])
        crowd, usual = (np.sort(v[m] @ bank.T, 1)[:, -near:].mean(1) for v in (z, train))
        more = np.full((len(z[m]), len(z)), edge)
        more[:, own] = -strength * (crowd - usual.mean()) / (2 * edge)
        out[m] = unit(np.hstack([z[m], more]))
    return out


class Slow:
    """Transport-CCA on views, step by step, in float64 and in the features' own coordinates."""

    def __init__(self, x: Views, root: bool = False, whole: Views | None = None, **settings: Any) -> None:
        """``whole``: views whose items give the means and own covariances, x itself by default."""
        self.s = vars(TransportCCA(**settings))
        self.x = x if whole is None else whole
        self.root, self.unit = root, root
        phi = {m: self.phi(m, self.x[m].numpy()) for m in x.modalities}
        self.mean = {m: v.mean(0) for m, v in phi.items()}
        self.own = {m: (v - self.mean[m]).T @ (v - self.mean[m]) / len(v) for m, v in phi.items()}
        phi = {m: self.phi(m, x[m].numpy()) for m in x.modalities}
        self.ids = {m: np.unique(x.group[m].numpy()) for m in phi}
        self.plain = {
            m: np.array([(v - self.mean[m])[x.group[m].numpy() == g].mean(0) for g in self.ids[m]])
            for m, v in phi.items()
        }
        self.rows = dict(self.plain)
        if self.s["smoothing"]:
            for m, rows in self.plain.items():
                root_of = self.regular(m, self.s["ridge"])
                w = rows @ power_of(root_of, -0.5)
                moved = smooth(w, w, self.s["neighbours"], self.s["smoothing"])
                self.rows[m] = moved @ power_of(root_of, 0.5)
        self.pairs = {
            (a, b): [(i, list(self.ids[b]).index(g)) for i, g in enumerate(self.ids[a]) if g in self.ids[b]]
            for a, b in itertools.combinations(self.ids, 2)
        }

    def phi(self, m: str, x: Array) -> Array:
        x = x.astype(np.float64)
        if self.root and (self.x[m] >= 0).all():
            x = np.sqrt(x)
        return unit(x) if self.unit else x

    def regular(self, m: str, ridge: float) -> Array:
        sizes = [len(own) for own in self.own.values()]
        ridge = ridge * (len(self.own[m]) / np.prod(sizes) ** (1 / len(sizes))) ** self.s["tilt"]
        return self.own[m] + ridge * np.trace(self.own[m]) / len(self.own[m]) * np.eye(len(self.own[m]))

    def fit(self, plans: Mapping[Any, Any], ridge: float, power: float) -> None:
        """Whitening and canonical directions; several sets by the blocks of all pairs of them."""
        self.white = {m: power_of(self.regular(m, ridge), -0.5) for m in self.rows}
        blocks = {}
        for (a, b), pairs in self.pairs.items():
            x, y = self.rows[a], self.rows[b]
            cross = sum(np.outer(x[i], y[j]) for i, j in pairs)
            count = float(len(pairs))
            if (a, b) in plans:
                left, right, plan = plans[a, b]
                more = self.s["weight"] * min(len(left), len(right))
                guess = sum(plan[i, j] * np.outer(x[k], y[n]) for i, k in enumerate(left) for j, n in enumerate(right))
                cross, count = cross + more * guess, count + more
            blocks[a, b] = self.white[a] @ (cross / count) @ self.white[b]
        names = list(self.rows)
        if len(names) == 2:
            u, s, vt = np.linalg.svd(blocks[names[0], names[1]])
            vectors = {names[0]: u[:, : len(s)], names[1]: vt[: len(s)].T}
        else:
            whole = np.block(
                [
                    [
                        blocks[a, b] if (a, b) in blocks else blocks[b, a].T if (b, a) in blocks else 0 * self.own[a]
                        for b in names
                    ]
                    for a in names
                ]
            )
            values, vectors_ = np.linalg.eigh(whole)
            ends = np.cumsum([len(self.own[m]) for m in names])[:-1]
            parts = np.split(vectors_[:, ::-1] * len(names) ** 0.5, ends)
            s, vectors = values[::-1] / (len(names) - 1), dict(zip(names, parts, strict=True))
        keep = int((s[: self.s["dim"]] > 1e-9 * s[0]).sum())
        self.correlations = np.minimum(s[:keep], 1.0)
        self.directions = {m: v[:, :keep] for m, v in vectors.items()}
        self.maps = {m: v * s[:keep] ** power for m, v in self.directions.items()}
        self.anchors: Rows = {}

    def anchor(self, plans: Mapping[Any, Any]) -> None:
        """Known pairs, and half as strong the surest mutual matches, as anchors."""
        names = list(self.rows)
        if len(names) == 2:
            found = {names[k]: [p[k] for p in self.pairs[names[0], names[1]]] for k in (0, 1)}
        else:
            every = np.unique(np.concatenate(list(self.ids.values())))
            shared = [g for g in every if sum(g in self.ids[m] for m in names) >= 2]
            found = {m: [list(self.ids[m]).index(g) if g in self.ids[m] else -1 for g in shared] for m in names}
        known = len(found[names[0]])
        if known < 10:
            return
        if plans and len(names) == 2:
            left, right, plan = plans[names[0], names[1]]
            mutual = [(i, int(plan[i].argmax())) for i in range(len(left))]
            mutual = [(i, j) for i, j in mutual if plan[:, j].argmax() == i]
            mutual.sort(key=lambda p: -plan[p])
            for i, j in mutual[: self.s["matches"]]:
                found[names[0]].append(left[i])
                found[names[1]].append(right[j])
        self.chosen = found
        self.weight = np.array([1.0] * known + [0.5] * (len(found[names[0]]) - known))
        there = {m: self.rows[m][r] @ self.white[m] for m, r in found.items()}
        self.anchors = {
            m: unit(np.array([self.side(m, k, there, found) for k in range(len(r))])) for m, r in found.items()
        }

    def side(self, m: str, k: int, there: Rows, found: Mapping[str, list[int]]) -> Array:
        """One side of a thing, whitened; where it is absent, its mean given the others in the probabilistic model."""
        if found[m][k] >= 0:
            return there[m][k]
        others = [n for n in there if found[n][k] >= 0]
        shared = sum(there[n][k] @ self.directions[n] for n in others)
        r = self.correlations
        return self.directions[m] @ (shared * r / (1 + (len(others) - 1) * r))

    def coordinates(self, m: str, w: Array) -> Array:
        """Whitened rows in the shared space, not reduced."""
        if not self.anchors:
            return unit(w @ self.maps[m])
        likeness = np.maximum(unit(w) @ self.anchors[m].T, 0) ** self.s["sharpness"] * self.weight
        size = np.linalg.norm(likeness, axis=1, keepdims=True)
        likeness = likeness / np.where(size > 0, size, 1)
        norm = np.linalg.norm(unit(self.rows[m] @ self.white[m]) @ self.maps[m], axis=1).mean()
        return unit(np.hstack([unit(w) @ self.maps[m] / norm, self.s["share"] ** 0.5 * likeness]))

    def embed(self, m: str) -> Array:
        return self.coordinates(m, self.rows[m] @ self.white[m])

    def new(self, m: str, x: Array) -> Array:
        """Raw items in the shared space."""
        w = (self.phi(m, x) - self.mean[m]) @ self.white[m]
        if self.s["smoothing"]:
            w = smooth(w, self.plain[m] @ self.white[m], self.s["neighbours"], self.s["smoothing"])
        return self.coordinates(m, w)

    def placed(self, m: str) -> Array:
        """Where plans see the items: of three sides and more, by all that a thing has."""
        z = {n: self.embed(n) for n in self.rows}
        if len(z) == 2:
            return z[m]
        return unit(np.array([sum(z[n][self.ids[n] == g].sum(0) for n in z) for g in self.ids[m]]))

    def plans(self, number: int) -> dict[Any, Any]:
        first, last = self.s["epsilon"], self.s["last_epsilon"]
        epsilon = first * (last / first) ** ((number - 1) / max(1, self.s["rounds"] - 1))
        out = {}
        for (a, b), pairs in self.pairs.items():
            left = [i for i in range(len(self.rows[a])) if i not in [p[0] for p in pairs]]
            right = [j for j in range(len(self.rows[b])) if j not in [p[1] for p in pairs]]
            if not left or not right:
                continue
            similarity = self.placed(a)[left] @ self.placed(b)[right].T
            if k := self.s["plan_neighbours"]:
                by_row = nearest(self.rows[a][left] @ self.white[a], k)
                by_column = nearest(self.rows[b][right] @ self.white[b], k)
                around = [[similarity[np.ix_(p, q)].mean() for q in by_column] for p in by_row]
                similarity = (similarity + np.array(around)) / 2
            out[a, b] = (left, right, sinkhorn(1 - similarity, epsilon))
        return out

    def rounds(self) -> Iterator[tuple[float, float, dict[Any, Any]]]:
        """Ridge, power and plans of each round; this object then stands at that round."""
        relative = self.s["share"] > 0 and not self.s["late"]
        plans: dict[Any, Any] = {}
        for number in range(self.s["rounds"] + 1):
            if number:
                plans = self.plans(number)
            share = number / self.s["rounds"]
            ridge = self.s["ridge"] ** (1 - share) * self.s["last_ridge"] ** share
            power = self.s["last_power"] if number == self.s["rounds"] else self.s["power"]
            self.fit(plans, ridge, power)
            if relative:
                self.anchor(plans)
            yield ridge, power, plans

    def close(self, last: tuple[float, float, dict[Any, Any]]) -> None:
        """Late anchors, added to the round with this ridge, power and plans."""
        ridge, power, plans = last
        self.fit(plans, ridge, power)
        self.anchor(plans)

    def score(self, dev: Views) -> float:
        return recall({m: self.new(m, dev[m].numpy()) for m in dev.modalities})

    def solved(self, dev: Views) -> tuple[float, Callable[[Views], Rows], Rows]:
        """Best dev score, how the best round embeds, and its training rows in the shared space (groups' means)."""
        best: tuple[float, Callable[[Views], Rows], Rows] | None = None

        def consider(now: tuple[float, float, dict[Any, Any]]) -> None:
            nonlocal best
            score = self.score(dev)
            if best is None or score > best[0]:
                frozen = Slow.__new__(Slow)
                frozen.__dict__ = dict(self.__dict__)
                embed = lambda v: {m: frozen.new(m, v[m].numpy()) for m in v.modalities}  # noqa: E731
                best = score, embed, {m: self.embed(m) for m in self.rows}
                self.last = now

        for now in self.rounds():
            consider(now)
        if self.s["late"]:
            self.close(self.last)
            consider(self.last)
        assert best is not None
        return best


# ------------------------------------------------------------------ problems


def problem(
    parts: tuple[str, ...] = ("image", "text"), linked: int = 14, seed: int = 0, noise: float = 0.5, texts: int = 9
) -> Views:
    """Linked groups, two texts for some groups, and groups whose partner is not known or not there."""
    g = np.random.default_rng(seed)
    n, latent = 44, np.random.default_rng(seed + 100).normal(size=(44, 4)) ** 3
    maps = np.random.default_rng(7)
    data, group = {}, {}
    for k, m in enumerate(parts):
        d = 6 - k
        rows = latent @ maps.normal(size=(4, d)) + noise * g.normal(size=(n, d))
        ids = np.where(np.arange(n) < linked, np.arange(n), np.arange(n) + 1000 * k)
        keep = np.sort(g.permutation(n)[: n - 4 * k])
        if m == "text":
            keep = np.concatenate([keep, keep[:texts]])
        data[m] = torch.from_numpy((rows[keep] + 0.1 * g.normal(size=(len(keep), d))).astype(np.float32))
        group[m] = torch.from_numpy(ids[keep])
    return Views(data, group)


def dev_of(parts: tuple[str, ...] = ("image", "text"), seed: int = 1, n: int = 40) -> Views:
    whole = problem(parts, linked=44, seed=seed)
    ids = [g for g in range(44) if all(g in whole.group[m] for m in parts)][:n]
    rows = {m: torch.tensor([whole.group[m].tolist().index(g) for g in ids]) for m in parts}
    return whole.select(rows)
