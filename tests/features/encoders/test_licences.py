"""Whoever uses weights of others says whose they are."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import modalign.features.encoders as encoders
from modalign.features.encoders.weights import Credit, licences

FETCHES = {"package_folder", "weights_file"}


def test_every_encoder_with_weights_from_a_package_names_them() -> None:
    seen = 0
    for module in pkgutil.iter_modules(encoders.__path__):
        tree = ast.parse((Path(encoders.__path__[0]) / f"{module.name}.py").read_text())
        for made in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            called = {n.func.id for n in ast.walk(made) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            if called & FETCHES:
                seen += 1
                credit = getattr(importlib.import_module(f"{encoders.__name__}.{module.name}"), made.name).credit
                assert isinstance(credit, Credit), f"{made.name} uses weights of a package and does not say whose"
                assert all(credit), f"{made.name}: {credit}"
    assert seen >= 4


def test_the_list_has_every_encoder() -> None:
    told = licences()
    assert {"minilm", "efficientnet-lite0", "aisfx", "speech", "wordllama"} <= set(told)
    for name in ("minilm", "efficientnet-lite0", "aisfx", "speech", "wordllama"):
        assert not told[name].startswith("no weights"), name
