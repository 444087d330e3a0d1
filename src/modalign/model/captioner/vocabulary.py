"""Words and their numbers, from training captions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...errors import ModalignError
from ...metrics.coco_tokens import coco_tokens

PAD, BEGIN, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<begin>", "<end>", "<unknown>")


class Vocabulary:
    """Words as numbers: 0 padding, 1 begin, 2 end, 3 unknown, then words by falling frequency.

    Args:
        words: without the four special ones.

    Raises:
        ModalignError: no words, or the same word twice.

    Example:
        >>> v = Vocabulary.of(["a red fox", "a dog"])
        >>> v.words, v.decode(v.encode(["A fox?"])[0].tolist())
        (('a', 'dog', 'fox', 'red'), 'a fox')
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.number = {word: i for i, word in enumerate(self.words, len(SPECIAL))}
        if not self.words or len(self.number) != len(self.words):
            raise ModalignError(f"a vocabulary needs words, each once: got {len(words)}, {len(self.number)} different")

    @classmethod
    def of(cls, captions: Iterable[str], least: int = 1) -> Vocabulary:
        """The words that occur at least ``least`` times in captions; equally frequent ones in alphabetical order.

        Raises:
            ModalignError: no such word.
        """
        count = Counter(word for caption in captions for word in coco_tokens(caption))
        words = sorted((w for w, n in count.items() if n >= least), key=lambda w: (-count[w], w))
        if not words:
            raise ModalignError(f"no word occurs {least} times in the training captions: lower the least count")
        return cls(words)

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    def encode(self, captions: Sequence[str], longest: int = 24) -> Tensor:
        """(n, t) numbers: begin, at most ``longest`` words, end, padding; t as small as it can be."""
        rows = [
            [BEGIN, *(self.number.get(w, UNKNOWN) for w in coco_tokens(caption)[:longest]), END] for caption in captions
        ]
        out = torch.full((len(rows), max(map(len, rows), default=2)), PAD)
        for i, row in enumerate(rows):
            out[i, : len(row)] = torch.tensor(row)
        return out

    def decode(self, numbers: Iterable[int]) -> str:
        """Words up to the end; clitics join the word before them."""
        words: list[str] = []
        for n in numbers:
            if n == END:
                break
            if n >= len(SPECIAL):
                words.append(self.words[n - len(SPECIAL)])
        text = " ".join(words)
        for clitic in (" 's", " n't", " 're", " 'll", " 've", " 'd", " 'm"):
            text = text.replace(clitic, clitic[1:])
        return text
