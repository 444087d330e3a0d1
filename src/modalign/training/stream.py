"""Raw rows that are decoded when a batch asks for them: every shard by one rank, and there by one worker.

A batch is drawn among all items, whatever shard they lie in, and is a function of seed and step alone: trainings go on
to the bit with another number of workers, and to rounding with another number of ranks, which read other shards then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

import torch
from torch import Tensor

from ..data.manifest import Manifest
from ..data.shards import shard_of
from ..views import Views
from . import ranks

TOGETHER = 64
"""Files that lie in no shard are read by so many, in the order of the manifest."""
Decode = Callable[[Tensor], Tensor]


class Stream:
    """Gives views of places (which row of the manifest) the raw rows that stand there.

    Args:
        decode: modality -> a function of places, (n,) rows of the manifest, to raw rows, (n, ...).
        shard: modality -> (rows of the manifest,) number of the shard that each lies in.
        workers: threads, each of which reads shards of its own; 0: what is asked for is read at once.

    Example:
        >>> places = torch.tensor([3, 0, 2])
        >>> x = Views({"image": places, "text": torch.eye(3)}, {m: torch.arange(3) for m in ("image", "text")})
        >>> shard = torch.tensor([0, 0, 1, 1])
        >>> with Stream({"image": lambda rows: 10.0 * rows}, {"image": shard}, workers=2) as stream:
        ...     stream.own(x)["image"].tolist()
        [30.0, 0.0, 20.0]
    """

    def __init__(self, decode: Mapping[str, Decode], shard: Mapping[str, Tensor], workers: int = 0) -> None:
        self.decode, self.shard = decode, shard
        self.workers = [ThreadPoolExecutor(1, f"shards-{number}") for number in range(workers)]

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self.workers:
            worker.shutdown(wait=True, cancel_futures=True)

    def owner(self, batch: Views) -> dict[str, Tensor]:
        """Modality -> the rank that reads each row."""
        return {m: self.shard[m][batch[m]] % ranks.world() for m in self.decode}

    def own(self, batch: Views) -> Views:
        """This rank's part of a batch of places, decoded."""
        part = ranks.own_part(batch, self.owner(batch))
        return replace(
            part, data={m: self._read(m, rows) if m in self.decode else rows for m, rows in part.data.items()}
        )

    def _read(self, m: str, places: Tensor) -> Tensor:
        """Raw rows, shard by shard, so that what is decoded together does not depend on the number of workers."""
        shard = self.shard[m][places]
        lots = [(shard == s).nonzero().flatten() for s in torch.unique(shard)]
        if not self.workers:
            read = [self.decode[m](places[lot]) for lot in lots]
        else:
            numbers = [int(shard[lot[0]]) // ranks.world() % len(self.workers) for lot in lots]
            waiting = [
                self.workers[n].submit(self.decode[m], places[lot]) for n, lot in zip(numbers, lots, strict=True)
            ]
            read = [one.result() for one in waiting]
        if not lots:
            return torch.empty(0)
        rows = torch.cat(read)
        return torch.empty_like(rows).index_copy_(0, torch.cat(lots), rows)


def shards(manifest: Manifest) -> Tensor:
    """(rows,) the shard that each row of a manifest lies in, numbered as they come; other files by 64 in a row.

    Example:
        >>> rows = [{"group": i, "modality": "image", "uri": f"{i // 2}.tar#{i}.png"} for i in range(4)]
        >>> shards(Manifest.from_rows(rows)).tolist()
        [0, 0, 1, 1]
    """
    names = [shard_of(uri) or f"\0{row // TOGETHER}" for row, uri in enumerate(manifest.uri)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])
