"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import copy
import math
import warnings
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..geometry.neighbours import collapse
from ..geometry.transport import shared
from ..metrics.mean_recall import DIGITS, mean_of, recalls, sums_of
from ..metrics.ranking import find_all
from ..metrics.score import Score
from ..objectives.base import Objective, check_modalities
from ..objectives.total import Total, pull
from ..progress import Progress, silent
from ..views import Batch, Views
from . import ranks, shards
from .checkpoint import Keeper, Position, mark
from .lion import OPTIMISERS
from .sampling import Sampler
from .settings import TrainingSettings
from .step import RankBatch, Shared, clip_gradient, descend, full, keep_freed, rank_batch, read, read_ahead
from .stream import Stream


class CollapseWarning(RuntimeWarning):
    """The embeddings lose their spread; the message names the term of the loss that draws them together."""


def train(
    heads: nn.Module,
    objective: Objective,
    x: Views,
    settings: TrainingSettings | None = None,
    dev: Views | None = None,
    run: Path | None = None,
    seen: Views | None = None,
    progress: Progress = silent,
    stream: Stream | None = None,
    made_of: Any = None,
) -> Position:
    """Fit heads to an objective, in place, and leave them with the weights that were best on dev.

    A run that is killed and started again with the same arguments and the same ``run`` folder continues from its last
    checkpoint and ends with the same bits as one that was not. Under torchrun every process calls this alike, with the
    same data at hand; losses, gradients and the end are those of one process, to rounding (dropout is drawn anew).

    Args:
        heads: views of features -> views of unit rows.
        objective: what to minimise; its own parameters (temperatures) are trained too.
        x: training views: what the heads take.
        settings: how long and how fast.
        dev: paired views for the choice of the best weights and for stopping early; None: the last weights are kept.
        run: folder for the log and the checkpoint; None: nothing is written.
        seen: the same items as x in the form that the objective sees as ``batch.x``, if not x itself.
        progress: called after each evaluation.
        stream: of the modalities of which x has places in place of rows, which are read batch by batch.
        made_of: plain values that heads and objective were made of: a checkpoint of others is refused.

    Raises:
        ModalignError: no usable data, modalities that teach the objective nothing, a loss that is not finite, or a
            checkpoint of other settings or other data.
    """
    s, seen = settings or TrainingSettings(), seen or x
    keep_freed()
    with torch.random.fork_rng(), shared(ranks.PlanRows()):
        torch.manual_seed(s.seed)
        sampler = Sampler(x, s.batch, s.unpaired, s.seed)
        check_modalities(objective, x.modalities)
        prepare = getattr(objective, "prepare", None)
        if prepare is not None:
            prepare(seen)
        ranks.same(heads.to(ranks.device()), objective.to(ranks.device()))
        trained = copy.deepcopy(heads) if s.sharded and ranks.world() > 1 else heads
        encode = Shared(trained, s.sharded)
        groups = parameter_groups(trained, objective, s.weight_decay)
        optimiser = OPTIMISERS[s.optimiser](groups, lr=s.lr)  # type: ignore[call-arg]
        best = {k: v.clone() for k, v in trained.eval().state_dict().items()}
        at = Position()
        of = "" if run is None else mark(made_of, seen)
        keeper = Keeper(run, s, trained, objective, optimiser, best, at, of)
        watched = rank_batch(dev) if dev is not None else rank_batch(x.select(full(sampler(0), x)), stream)
        if not keeper.resume():
            shown = assess(at, trained, encode, watched, dev is not None, best)
            at.started = spread_of(shown)
            keeper.log({"step": 0, **signs(at, shown, dev is not None)})

        steps = range(s.steps if at.stopped else at.step, s.steps)
        for batch in read_ahead(lambda step: read(x, seen, sampler(step), s, step, stream), steps, s.workers):
            if not trained.training:  # looked at since the last step; asking each part takes as long as a small layer
                trained.train()
            optimiser.zero_grad(set_to_none=True)
            loss, looked_at = descend(encode, objective, batch, s, at.step)
            norm = clip_gradient(optimiser, s.clip)
            for group in optimiser.param_groups:
                group["lr"] = s.rate(at.step) * group["share"]
            optimiser.step()
            objective.after_step()
            at.step += 1

            if at.step % s.every == 0 or at.step == s.steps:
                line = {"step": at.step, "loss": loss.item()}
                line |= {k: v for k, v in objective.log().items() if math.isfinite(v)}
                line |= {"lr": s.rate(at.step - 1), "gradient": norm}
                shown = assess(at, trained, encode, watched, dev is not None, best)
                warn_of_collapse(at, shown, objective, looked_at)
                at.stopped = bool(dev is not None and s.patience and at.waited >= s.patience)
                keeper.log({**line, **signs(at, shown, dev is not None)})
                keeper.save()
                progress(at.step, s.steps, "training")
                if at.stopped:
                    break
            else:
                keeper.save_in_time()

    if dev is not None or trained is not heads:
        heads.load_state_dict(shards.whole(best if dev is not None else trained.state_dict()))
    heads.to("cpu").eval()
    return at


# ------------------------------------------------------------------ pieces of the loop


def parameter_groups(heads: nn.Module, objective: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, scales, temperatures and everything of the objective do not.

    A module may say with ``slow()`` which of its parameters learn at a share of the rate: (parameters, share).
    """
    ask: Any = getattr(heads, "slow", None)
    slow, share = ask() if ask is not None else ([], 1.0)
    known = {id(p) for p in slow}
    own = [p for p in heads.parameters() if p.requires_grad]
    quick = [p for p in own if id(p) not in known]
    slow = [p for p in own if id(p) in known]
    free = [p for p in objective.parameters() if p.requires_grad]
    sharded = bool(shards.whole_and_sharded(quick)[1])  # an optimiser takes the two kinds apart
    groups = [
        {"params": [p for p in quick if p.ndim >= 2], "weight_decay": weight_decay, "share": 1.0},
        {"params": [p for p in quick if p.ndim < 2] + free * (not sharded), "weight_decay": 0.0, "share": 1.0},
        {"params": free * sharded, "weight_decay": 0.0, "share": 1.0},
        {"params": [p for p in slow if p.ndim >= 2], "weight_decay": weight_decay, "share": share},
        {"params": [p for p in slow if p.ndim < 2], "weight_decay": 0.0, "share": share},
    ]
    return [group for group in groups if group["params"]]


# ------------------------------------------------------------------ looking at where it stands


@torch.no_grad()
def assess(
    at: Position, heads: nn.Module, encode: Shared, watched: RankBatch, paired: bool, best: dict[str, Tensor]
) -> Views:
    """The watched views in the shared space; where they are dev views, their score, and the best weights kept."""
    heads.eval()
    z = encode(watched).to("cpu")
    if not all(bool(torch.isfinite(rows).all()) for rows in z.data.values()):
        raise ModalignError(f"the embeddings are not finite after step {at.step}: lower the learning rate")
    if paired:
        at.score = dev_recall(z)
        at.waited += 1
        if at.score > at.best:
            at.best, at.best_step, at.waited = at.score, at.step, 0
            best.update({k: v.clone() for k, v in heads.state_dict().items()})
    return z


def dev_recall(z: Views) -> float:
    """Mean any-hit Recall@k over k and all directions with pairs, in [0, 1]: what weights and settings are chosen by.

    To 12 digits, so that scores which are equal but for rounding are. Of several ranks, all take the number of the
    first, so that all choose alike.

    Example:
        >>> dev_recall(Views.from_arrays(a=torch.eye(20), b=torch.eye(20)))
        1.0
    """
    return ranks.agreed(round(mean_of([_dev_scores(z)], samples=0).value, DIGITS))


def dev_recalls(z: Views) -> Tensor:
    """(g,) what each dev group adds to `dev_recall`, which is their mean, to 12 digits as well.

    Example:
        >>> dev_recalls(Views.from_arrays(a=torch.eye(20), b=torch.eye(20))).shape
        torch.Size([20])
    """
    return sums_of(_dev_scores(z)).of_each_group().round(decimals=DIGITS)


def _dev_scores(z: Views) -> list[Score]:
    found = find_all(z, list(permutations(z.modalities, 2)))
    if not found:
        raise ModalignError("the dev views have no pairs: nothing can be chosen on them")
    return recalls(found.values())


def spread_of(z: Views) -> tuple[float, float]:
    """The least effective rank and the greatest mean cosine of all modalities."""
    found = [collapse(rows) for rows in z.data.values() if len(rows) > 1]
    rank_least = min((v["effective_rank"] for v in found), default=1.0)
    return rank_least, max((v["mean_cosine"] for v in found), default=0.0)


def signs(at: Position, z: Views, paired: bool) -> dict[str, float]:
    """Numbers for the log: signs of collapse, and the dev score."""
    effective_rank, cosine = spread_of(z)
    return {"effective_rank": effective_rank, "mean_cosine": cosine, **({"dev": at.score} if paired else {})}


def warn_of_collapse(at: Position, z: Views, objective: Objective, batch: Batch) -> None:
    """Warn, once, when the embeddings use few of the directions they started with and all point one way."""
    effective_rank, cosine = spread_of(z)
    if at.warned or effective_rank > 0.5 * at.started[0] or cosine < max(0.5, at.started[1]):
        return
    at.warned = True
    pulls = pull(objective, batch) if isinstance(objective, Total) else {}
    term = max(pulls, key=lambda name: pulls[name]) if pulls else type(objective).__name__
    warnings.warn(
        f"the embeddings collapse at step {at.step}: effective rank {effective_rank:.1f} ({at.started[0]:.1f} at the "
        f"start), mean cosine {cosine:.2f}; '{term}' draws them together: lower its weight",
        CollapseWarning,
        stacklevel=3,
    )
