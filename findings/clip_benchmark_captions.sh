#!/usr/bin/env bash
# Guess, written down first: clip_benchmark's image_caption_selection (SugarCrepe: is the picture nearer to its caption than to
# one with words exchanged or changed?) has a model that cannot tell the two captions at chance, .5, and the same result with
# and without amp, but for a few roundings; mean_average_precision of zeroshot_classification is 1 for a perfect model.
# Seen (clip_benchmark 1.6.2): a model that knows words and not their order has text_acc and acc 1.0 on captions whose words are
# exchanged, the very thing that is tested: both similarities are equal, argmax takes the first, and the first caption is always
# the right one. So has a text encoder that is constant. Without amp (amp=False; True is the default and on a CPU means
# bfloat16) the last bits decide, .85. With amp captions of cosine .99999, .9999 and .99 that a model tells apart by nothing but
# noise have .98, .91 and .72, without .55, .52 and .49. With two pictures per item (Winoground) the same model has 0, chance is
# .25. mean_average_precision counts a class without a picture as 0: .80 for a perfect model of five classes, one of which is
# absent.
# So: count equal similarities as a half, without amp; leave out absent classes.
# Source: clip_benchmark/metrics/image_caption_selection.py, evaluate: scores.argmax(dim=1); zeroshot_classification.py,
# average_precision_per_class: max(float(truth.sum()), 1).
# Fails when that changes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1 tqdm==4.68.3
"$place/env/bin/pip" install -q --disable-pip-version-check --no-deps clip-benchmark==1.6.2
TQDM_DISABLE=1 "$place/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from clip_benchmark.metrics.image_caption_selection import evaluate
from clip_benchmark.metrics.zeroshot_classification import average_precision_per_class

print("clip_benchmark", version("clip_benchmark"), "torch", torch.__version__)
draw = torch.Generator().manual_seed(0)
colours = "red blue green white black yellow brown grey".split()
things = "dog ball car boat hat chair bird cup".split()
words = sorted({"a", "on", *colours, *things})


class Words(torch.nn.Module):
    """Knows which words a picture has, and not in which order; noise is what it adds to each caption at random."""

    def __init__(self, noise=0.0, constant=False):
        super().__init__()
        self.image, self.text = (torch.nn.Linear(len(words), 512, bias=False) for _ in range(2))
        self.image.weight.data = torch.randn(512, len(words), generator=draw)
        self.text.weight.data = self.image.weight.data.clone()
        self.noise, self.constant = noise, constant

    def encode_image(self, pictures):
        return self.image(pictures.mean((2, 3)))

    def encode_text(self, counts):
        made = self.text(torch.ones_like(counts) if self.constant else counts)
        return made + self.noise * made.norm(dim=-1, keepdim=True) * torch.randn(made.shape, generator=draw).to(made.dtype) / 512**0.5


def counts(texts):
    return torch.stack([torch.tensor([float(text.split().count(word)) for word in words]) for text in texts])


captions = []
for _ in range(1000):
    (c, d), (t, u) = (torch.randperm(8, generator=draw)[:2].tolist() for _ in range(2))
    captions.append([f"a {colours[i]} {things[t]} on a {colours[j]} {things[u]}" for i, j in ((c, d), (d, c))])
pictures = counts([pair[0] for pair in captions])[:, :, None, None].expand(-1, -1, 2, 2) * 1.0
single = [(pictures[i : i + 50], captions[i : i + 50]) for i in range(0, 1000, 50)]
double = [(part[:, None].repeat(1, 2, 1, 1, 1), texts) for part, texts in single]


def score(model, data, **settings):
    return evaluate(model, data, counts, "cpu", **settings)["text_acc"]


plain = [score(Words(), single), score(Words(constant=True), single), score(Words(), single, amp=False), score(Words(), double)]
print(f"words alone: {plain[0]:.3f}, without amp {plain[2]:.3f}, two pictures {plain[3]:.3f}; constant {plain[1]:.3f}")
assert plain[0] == plain[1] == 1 and 0.4 < plain[2] < 0.95 and plain[3] == 0
for noise in (0.003, 0.01, 0.1):
    told = [score(Words(noise), single, amp=amp) for amp in (True, False)]
    print(f"captions of cosine {1 - noise**2:.6f}, told apart by noise: {told[0]:.3f}, without amp {told[1]:.3f}")
    if noise == 0.003:
        assert told[0] > 0.65 and abs(told[1] - 0.5) < 0.1
targets = torch.nn.functional.one_hot(torch.arange(40) % 4, 5)
mean = average_precision_per_class(targets.float(), targets).mean().item()
print(f"a perfect model of five classes, one absent: mean average precision {mean:.2f}")
assert abs(mean - 0.8) < 1e-6
PYTHON
