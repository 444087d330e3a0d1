"""What a training leaves behind while it runs: its log, and a checkpoint from which it goes on bit for bit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModalignError
from ..files import RunFile, atomic, read_jsonl, to_json, write_text, writing
from ..progress import Pause
from ..views import Views
from . import ranks, shards
from .listening import tell

FREE = ("workers", "sharded")
"""Settings that change how a training runs, not where it ends: a checkpoint goes on with others."""


LOOKED_AT = 64
"""Rows of a modality by which views are told from others, beside all of their groups and links."""


def mark(made_of: Any, *views: Views | None) -> str:
    """Identity of what something is made of, to refuse what was kept of something else: 16 hexadecimal digits.

    Args:
        made_of: plain values; of other objects the kind counts.
        views: of which shapes, groups, links and some rows count: reading all of them may take longer than a start.

    Example:
        >>> x = Views.from_arrays(a=torch.eye(3), b=torch.eye(3))
        >>> mark({"lr": 0.1}, x) == mark({"lr": 0.1}, x), mark({"lr": 0.1}, x) == mark({"lr": 0.2}, x)
        (True, False)
    """
    told = json.dumps(made_of, sort_keys=True, default=lambda part: type(part).__qualname__)
    digest = hashlib.blake2b(told.encode(), digest_size=8)
    for x in views:
        digest.update(b"none" if x is None else b"views")
        if x is None:
            continue
        for m, rows in x.data.items():
            digest.update(f"{m}{tuple(rows.shape)}{rows.dtype}".encode())
            some = torch.linspace(0, max(len(rows) - 1, 0), min(len(rows), LOOKED_AT), dtype=torch.float64).long()
            for part in (rows[some.to(rows.device)], x.group[m]):
                digest.update(part.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        for pair, link in (x.links or {}).items():
            digest.update(f"{pair}".encode() + link.long().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass
class Position:
    """Where a training stands: all that decides how it goes on, besides weights, optimiser and random state.

    Args:
        step: the next one.
        score: last dev score. best: greatest. best_step: where. waited: evaluations since.
        started: effective rank and mean cosine at the start. warned: of collapse. stopped: early.
    """

    step: int = 0
    score: float = -1.0
    best: float = -1.0
    best_step: int = 0
    waited: int = 0
    started: tuple[float, float] = (1.0, 0.0)
    warned: bool = False
    stopped: bool = False


class Keeper:
    """Writes log and checkpoint of one training, and reads them back; of several ranks, only the first does.

    Args:
        run: folder; None: nothing is written and nothing read.
        settings: of the training; a checkpoint of others is refused.
        heads, objective, optimiser: whose state is kept.
        best: the best weights so far. at: the position. Both are updated in place by ``resume``.
        made_of: `mark` of all else; a checkpoint of another is refused.
    """

    def __init__(
        self,
        run: Path | None,
        settings: Any,
        heads: nn.Module,
        objective: nn.Module,
        optimiser: torch.optim.Optimizer,
        best: dict[str, Tensor],
        at: Position,
        made_of: str = "",
    ) -> None:
        self.checkpoints, self.sharded = bool(settings.checkpoints), bool(settings.sharded)
        self.pause = Pause()
        self.run, self.heads, self.objective, self.optimiser = run, heads, objective, optimiser
        self.best, self.at = best, at
        shapes = {k: list(v.shape) for k, v in heads.state_dict().items()}
        table = {k: v for k, v in asdict(settings).items() if k not in FREE}
        parts = [type(part).__qualname__ for part in objective.modules()]
        told = {"schedule": table, "heads": shapes, "objective": parts, "made of": made_of}
        self.settings = json.dumps(told, sort_keys=True)

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to the log, for listeners too; values that are not finite are null there."""
        if ranks.leads():
            tell(line)
        if self.run is not None and ranks.leads():
            path = self.run / RunFile.LOG
            with writing(path, "its earlier lines are kept"):
                self.run.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(to_json(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint atomically."""
        if self.run is None or not self.checkpoints:
            return
        state = {
            "settings": self.settings,
            "at": asdict(self.at),
            "heads": shards.whole(dict(self.heads.state_dict())),
            "objective": self.objective.state_dict(),
            "optimiser": shards.whole(self.optimiser.state_dict()),
            "best": shards.whole(self.best),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        self.pause.over()
        if ranks.leads():
            with atomic(self.run / RunFile.CHECKPOINT) as partial:
                torch.save(state, partial)
        self.pause = Pause(self.pause.spent())

    def save_in_time(self) -> None:
        """Write the checkpoint where the last one is some seconds old: steps may take long."""
        over = self.pause.over()
        if ranks.agreed(over) if self.sharded else over:  # shards are made whole by all ranks at once
            self.save()

    def resume(self) -> bool:
        """Go back to the checkpoint, if there is one; lines logged after it are dropped.

        Raises:
            ModalignError: the checkpoint is damaged, or of other data or settings.
        """
        path = None if self.run is None else self.run / RunFile.CHECKPOINT
        if path is None or self.run is None:
            return False
        content = ranks.from_lead(path) if self.checkpoints else None
        if content is None:
            if ranks.leads():
                (self.run / RunFile.LOG).unlink(missing_ok=True)
            return False
        try:
            state = torch.load(content, weights_only=True)
            same = state["settings"] == self.settings
        except Exception as problem:  # torch raises many kinds for damaged files
            reason = " ".join(str(problem).split())[:150]
            raise ModalignError(f"checkpoint is damaged: {path} ({reason}); delete it to start anew") from None
        if not same:
            raise ModalignError(
                f"{path} belongs to a training of other data or settings: use another folder or delete it"
            )
        own = self.heads.state_dict()
        self.heads.load_state_dict(shards.like(state["heads"], own))
        self.objective.load_state_dict(state["objective"])
        shards.load_optimiser(self.optimiser, state["optimiser"])
        self.best.update(shards.like(state["best"], own))
        for name, value in state["at"].items():
            setattr(self.at, name, tuple(value) if name == "started" else value)
        torch.set_rng_state(state["random"])
        if state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        if not ranks.leads():
            return True
        metrics = self.run / RunFile.LOG
        kept = [line for line in read_jsonl(metrics, "training log") if line["step"] <= self.at.step]
        write_text(metrics, "".join(to_json(line) + "\n" for line in kept))
        return True
