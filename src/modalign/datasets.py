"""Every registered data set as a function to its rows, under its name: ``ma.datasets.coco(root, split="val2017")``.

The readers, one file per data set, are the modules of ``modalign.data``.

Example:
    >>> from modalign.datasets import synthetic
    >>> synthetic("arrays", n=20).modalities
    ('a', 'b')
"""

from __future__ import annotations

from functools import partial

from . import public, registry

__path__: list[str] = []  # an import of a module that was here in 0.1 is answered by `renamed`
_parts = partial(registry.parts, "dataset")

__getattr__, __dir__ = public.lazily(__name__, parts=_parts)
