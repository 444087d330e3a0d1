"""A small causal transformer that reads one point of the shared space as a prefix, and the search for its words."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import ModalignError
from .vocabulary import BEGIN, END, PAD, UNKNOWN

Memory = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Self-attention and a perceptron, each after a layer norm and added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(n, t, width) and the keys and values before it; with a past, x is one position."""
        n, t, width = x.shape
        q, k, v = self.project(self.before_attention(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=drop, is_causal=past is None)
        x = x + F.dropout(self.merge(mixed.transpose(1, 2).reshape(n, t, width)), drop)
        x = x + F.dropout(self.down(F.gelu(self.up(self.before_perceptron(x)))), drop)
        return x, (k, v)


class Decoder(nn.Module):
    """P(word | words before it, z): z becomes ``prefix`` vectors that stand before the words.

    Input and output share one table of word vectors.

    Args:
        words: size of the vocabulary.
        dim: of the shared space.
        width, layers, heads: of the transformer.
        prefix: vectors made of z, >= 1.
        longest: words of a caption at most.
        dropout: in [0, 1).

    Raises:
        ModalignError: a setting out of range.

    Reference: prefix conditioning: Mokady et al. 2021, arXiv 2111.09734.

    Example:
        >>> decoder = Decoder(words=10, dim=8, width=16)
        >>> decoder.hidden(torch.randn(2, 8), torch.tensor([[1, 5], [1, 6]]))[0].shape
        torch.Size([2, 2, 16])
    """

    def __init__(
        self,
        words: int,
        dim: int,
        width: int = 256,
        layers: int = 2,
        heads: int = 4,
        prefix: int = 4,
        longest: int = 24,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if min(words, dim, width, layers, heads, prefix, longest) < 1 or width % heads or not 0 <= dropout < 1:
            raise ModalignError(
                f"a decoder of width {width} with {heads} heads, {layers} layers, prefix {prefix}, longest {longest}, "
                f"dropout {dropout}: numbers must be positive, width a multiple of heads, dropout in [0, 1)"
            )
        self.settings = {
            "words": words, "dim": dim, "width": width, "layers": layers, "heads": heads, "prefix": prefix,
            "longest": longest, "dropout": dropout,
        }  # fmt: skip
        self.dim, self.prefix, self.longest, self.dropout = dim, prefix, longest, dropout
        self.condition = nn.Linear(dim, prefix * width)
        self.word = nn.Embedding(words, width, padding_idx=PAD)
        self.place = nn.Parameter(torch.randn(prefix + longest + 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        nn.init.normal_(self.word.weight, std=width**-0.5)

    def hidden(self, z: Tensor, tokens: Tensor) -> tuple[Tensor, Memory]:
        """(n, t, width) states that predict the word after each token, and the memory to go on from.

        Args:
            z: (n, dim) points. tokens: (n, t) numbers that start with "begin", t <= longest + 1.
        """
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise ModalignError(f"the decoder takes points of {self.dim} dimensions, got shape {tuple(z.shape)}")
        # Unit rows have entries near 1 / sqrt(dim): brought to size one, like the word vectors after their norm.
        start = self.condition(z.to(self.place.dtype) * self.dim**0.5).view(len(z), self.prefix, -1)
        x = torch.cat([start, self.embed(tokens)], 1) + self.place[: self.prefix + tokens.shape[1]]
        x = F.dropout(x, self.dropout if self.training else 0.0)
        memory: Memory = []
        for block in self.blocks:
            x, pair = block(x, None)
            memory.append(pair)
        return self.last(x[:, self.prefix :]), memory

    def step(self, token: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """(n, words) log-probabilities of the word after one more token, and the longer memory."""
        x = self.embed(token[:, None]) + self.place[memory[0][0].shape[2]]
        longer: Memory = []
        for block, past in zip(self.blocks, memory, strict=True):
            x, pair = block(x, past)
            longer.append(pair)
        return self.logits(self.last(x[:, 0])).log_softmax(1), longer

    def embed(self, tokens: Tensor) -> Tensor:
        """Word vectors at size one."""
        return self.word(tokens) * self.word.embedding_dim**0.5

    def logits(self, states: Tensor) -> Tensor:
        """(..., words) scores of the next word."""
        return F.linear(states, self.word.weight)

    def loss(self, z: Tensor, tokens: Tensor, smoothing: float = 0.1) -> Tensor:
        """Mean over words of the smoothed cross-entropy of the next word, nats.

        L = -1/T sum_t [(1 - e) log p(w_t) + e / V sum_w log p(w)], T the words of the batch, ends included.

        Args:
            z: (n, dim) points. tokens: (n, t) from ``Vocabulary.encode``. smoothing: e, in [0, 1).
        """
        states, _ = self.hidden(z, tokens[:, :-1])
        target = tokens[:, 1:]
        there = target != PAD
        return F.cross_entropy(self.logits(states[there]), target[there], label_smoothing=smoothing)


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
