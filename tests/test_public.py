"""The public face: what `import modalign` and each package offer, under their names and at what cost."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import modalign as ma
from modalign import registry

#: Packages whose names load on first use, and the family of parts that each offers.
FACES = {
    "modalign": None,
    "modalign.geometry": None,
    "modalign.metrics": "metric",
    "modalign.objectives": "objective",
    "modalign.methods": "method",
    "modalign.data": None,
    "modalign.features": None,
    "modalign.training": None,
    "modalign.features.encoders": "encoder",
    "modalign.datasets": "dataset",
}
HEAVY = ("torch", "numpy", "scipy", "sklearn", "pydantic", "ot", "transformers", "cyclopts", "rich", "jinja2", "PIL")


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


PLACES = (
    "geometry.transport", "geometry.neighbours", "metrics.Procrustes", "metrics.Score", "objectives.Clip",
    "objectives.Objective", "datasets.coco", "methods.Full", "diagnose", "robustness.missing_curves", "evaluate",
    "Aligner", "Run", "Result", "Views", "Model", "load", "make", "register", "migrate", "features.encoders.MiniLM",
    "search.Index",
)  # fmt: skip


def test_public_names_are_reached_from_the_root_and_can_be_imported() -> None:
    lines = ["import modalign as ma"]
    for place in PLACES:
        home, _, name = f"modalign.{place}".rpartition(".")
        lines += [f"a = ma.{place}", f"from {home} import {name} as b", f"assert a is b, {place!r}"]
    in_a_fresh_process("\n".join(lines))


@pytest.mark.parametrize("package", FACES)
def test_every_listed_name_is_there_and_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    for name in {*dir(module), *getattr(module, "__all__", ())}:
        if not name.startswith("_") and not name.isupper():
            value = getattr(module, name)
            assert inspect.getdoc(value) or not callable(value), f"{package}.{name} says nothing of itself"
    with pytest.raises(AttributeError, match="has no attribute 'nothing_here'"):
        module.nothing_here  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module(f"{package}.nothing_here")


@pytest.mark.parametrize(("package", "family"), [(p, f) for p, f in FACES.items() if f])
def test_every_part_is_public_under_its_class_name(package: str, family: str) -> None:
    module = importlib.import_module(package)
    own = {n: p for n, p in registry.parts(family).items() if p.__module__.startswith("modalign.")}  # not other tests'
    assert own
    for name, part in own.items():
        assert getattr(module, name if family == "dataset" else part.__name__) is part
        assert part.__name__ in dir(module)


def test_a_function_is_not_hidden_by_a_module_of_its_name() -> None:
    """A module that is imported takes its name in its package: no public function may bear the same one."""
    for package in FACES:
        module = importlib.import_module(package)
        for home, held in getattr(module, "_HOMES", {}).items():
            names = {entry.partition("=")[0] for entry in held.split()}
            assert not names & own_modules(module), f"{package}: names of {home} are modules too"


def own_modules(package: ModuleType) -> set[str]:
    import pkgutil

    return {m.name for m in pkgutil.iter_modules(getattr(package, "__path__", []))}


def test_evaluate_is_a_function_however_often_and_however_it_is_reached() -> None:
    out = in_a_fresh_process(
        "import torch, modalign as ma\n"
        "z = ma.Views.from_arrays(a=torch.eye(8), b=torch.eye(8))\n"
        "first = ma.evaluate(z, ['retrieval'], intervals=False)\n"
        "from modalign import evaluate\n"
        "second = evaluate(z, ['retrieval'], intervals=False)\n"
        "third = ma.evaluate(z, ['retrieval'], intervals=False)\n"
        "print(len(first) == len(second) == len(third) > 0, ma.diagnose is ma.diagnose, callable(ma.diagnose))"
    )
    assert out.strip() == "True True True"


def test_import_is_light_and_quick() -> None:
    code = (
        "import sys, time\n"
        "start = time.process_time()\n"
        "import modalign\n"
        "spent = time.process_time() - start\n"
        f"heavy = set({HEAVY!r}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(spent)"
    )
    assert min(float(in_a_fresh_process(code)) for _ in range(3)) < 0.1  # processor time: .01 s


def test_a_new_part_is_public_without_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.parts("metric")
    monkeypatch.setattr(registry, "_parts", {**registry._parts, "metric": dict(registry._parts["metric"])})

    class Fresh:
        """A metric of one file."""

    Fresh.__module__ = "modalign.metrics.fresh"
    registry.register("metric", "fresh")(Fresh)
    assert ma.metrics.Fresh is Fresh
    assert "Fresh" in dir(ma.metrics)
