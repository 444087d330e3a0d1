"""Beam search with length normalisation, for many points at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModalignError
from .decoder import Decoder, Memory
from .vocabulary import BEGIN, END, PAD, UNKNOWN


@torch.no_grad()
def beam_search(decoder: Decoder, z: Tensor, beam: int = 4, power: float = 0.7) -> tuple[Tensor, Tensor]:
    """The words of highest normalised log-probability that a beam finds for each point.

    score = sum_t log p(w_t) / T^power, T the number of words and the end. A finished caption keeps its place in the
    beam while it is among the best, and the search ends when all in it are finished or have the greatest length. Beam
    1 is greedy decoding.

    Args:
        decoder: in evaluation mode; its dropout is not touched.
        z: (n, dim) points.
        beam: captions kept, >= 1.
        power: of the length, >= 0; 0: no normalisation, which favours short captions.

    Returns:
        (n, longest + 1) word numbers padded with 0, and (n,) scores.

    Raises:
        ModalignError: beam or power out of range.

    Reference: Wu et al. 2016, arXiv 1609.08144, section 7 (with T in place of their (5 + T) / 6).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> words, score = beam_search(Decoder(10, 4, width=8).eval(), torch.eye(4), beam=2)
        >>> words.shape, bool((score < 0).all())
        (torch.Size([4, 25]), True)
    """
    if beam < 1 or power < 0:
        raise ModalignError(f"beam {beam} must be at least 1 and the power of the length {power} at least 0")
    n, longest = len(z), decoder.longest
    words = torch.full((n, beam, longest + 1), PAD, device=z.device)
    if n == 0:
        return words[:, 0], z.new_zeros(0)
    total = torch.full((n, beam), -torch.inf, device=z.device)
    total[:, 0] = 0.0  # all places hold the same empty caption: only one may grow
    done = torch.zeros(n, beam, dtype=torch.bool, device=z.device)
    length = torch.zeros(n, beam, device=z.device)
    states, memory = decoder.hidden(z, torch.full((n, 1), BEGIN, device=z.device))
    memory = [(k.repeat_interleave(beam, 0), v.repeat_interleave(beam, 0)) for k, v in memory]
    found = decoder.logits(states[:, 0]).log_softmax(1).repeat_interleave(beam, 0)
    for t in range(longest + 1):
        grown = total[..., None] + _allowed(found, done.flatten(), last=t == longest).view(n, beam, -1)
        longer = torch.where(done, length, length + 1)
        score = (grown / longer[..., None] ** power).flatten(1)
        place = score.topk(beam, 1).indices
        parent, word = place // grown.shape[2], place % grown.shape[2]
        total = grown.flatten(1).gather(1, place)
        words = words.gather(1, parent[..., None].expand(-1, -1, longest + 1))
        words[..., t] = word
        length, done = longer.gather(1, parent), done.gather(1, parent) | (word == END)
        if t == longest or bool(done.all()):
            break
        memory = _reorder(memory, parent)
        found, memory = decoder.step(word.flatten(), memory)
    return words[:, 0], (total / length**power)[:, 0]


def _allowed(found: Tensor, done: Tensor, last: bool) -> Tensor:
    """Log-probabilities of what may follow: padding after the end, else real words or the end, at last the end."""
    out = found.clone()
    out[:, [PAD, BEGIN, UNKNOWN]] = -torch.inf
    if last:
        end = out[:, END].clone()
        out.fill_(-torch.inf)
        out[:, END] = end
    out[done] = -torch.inf
    out[done, PAD] = 0.0
    return out


def _reorder(memory: Memory, parent: Tensor) -> Memory:
    """The memory of each place's parent."""
    n, beam = parent.shape
    rows = (parent + beam * torch.arange(n, device=parent.device)[:, None]).flatten()
    return [(k[rows], v[rows]) for k, v in memory]
