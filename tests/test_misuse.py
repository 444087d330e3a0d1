"""Whatever is given for whichever parameter of what the API pages show: one clear error that names it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

import modalign as ma
from modalign.errors import ModalignError
from modalign.parameters import check_value, checked
from modalign.registry import parts

PAGES = Path(__file__).parents[1] / "docs" / "api"
COUNTED = ("int", "float", "Count", "Number", "Dim", "Positive")
NOT_VIEWS = {
    "array": np.eye(3), "tensor": torch.eye(3), "frame": pd.DataFrame(np.eye(3)), "table": {"a": torch.eye(3)},
    "list": [[1.0]], "text": "views.npy", "nothing": None, "number": 5,
}  # fmt: skip


def shown() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function and constructor that checks what it is given, of the modules that the API pages show."""
    places = [name for page in sorted(PAGES.glob("*.md")) for name in re.findall(r"^::: (\S+)", page.read_text(), re.M)]
    for place in places:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError:
            continue  # a class
        for name in list(getattr(module, "__all__", vars(module))):  # a name may load a module
            part = getattr(module, name)
            call = part.__init__ if isinstance(part, type) else part
            code = getattr(call, "__code__", None)
            if code is not None and code.co_qualname == "checked.<locals>.call" and not name.startswith("_"):
                yield f"{place}.{name}", call


SHOWN = dict(shown())


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_of_no_type_is_refused_by_name(name: str) -> None:
    call = SHOWN[name]
    module = inspect.getmodule(inspect.unwrap(call))
    tried = 0
    for parameter in inspect.signature(call).parameters.values():
        kind = parameter.annotation
        kind = eval(kind, vars(module)) if isinstance(kind, str) else kind
        if kind in (Any, parameter.empty) or Any in get_args(kind) or parameter.kind.name.startswith("VAR"):
            continue
        with pytest.raises(ModalignError, match=f"^{parameter.name} must be "):
            pytest.fail(f"{name} took an object as {parameter}: {call(**{parameter.name: object()})}")
        tried += 1
    assert tried or not inspect.signature(call).parameters


def test_the_pages_show_many_such_parts() -> None:
    """Else the table above has lost its rows."""
    assert len(SHOWN) > 100


def rows(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


BAD_ROWS = {
    "one number": rows(), "a vector": rows(5), "three axes": rows(4, 3, 2), "no row": rows(0, 3),
    "no column": rows(4, 0), "more rows": rows(9, 3), "more columns": rows(4, 7), "whole": rows(4, 3).long(),
    "truths": rows(4, 3) > 0, "half": rows(4, 3).half(), "NaN": rows(4, 3) * torch.nan, "infinite": rows(4, 3) / 0,
    "without numbers": rows(4, 3).to("meta"), "sparse": rows(4, 3).to_sparse(),
}  # fmt: skip
NO_NUMBERS = ("without numbers", "sparse")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n in SHOWN if n.startswith(("modalign.geometry", "modalign.metrics"))])
def test_rows_of_any_shape_and_kind_are_taken_or_refused(name: str) -> None:
    """Never an error of torch or scipy, whichever tensor that a function needs is a bad one."""
    needed = [p for p in inspect.signature(SHOWN[name]).parameters.values() if p.default is p.empty]
    kinds = {p.name: str(p.annotation) for p in needed}
    if not all("Tensor" in k or "Rows" in k or k in COUNTED for k in kinds.values()) or "Iterable" in str(kinds):
        return
    for told, tensor in BAD_ROWS.items():
        for wrong in (n for n, k in kinds.items() if k not in COUNTED):
            given = {n: 1 if k in COUNTED else rows(4, 3) for n, k in kinds.items()} | {wrong: tensor}
            with suppress(ModalignError):
                SHOWN[name](**given)
                assert told not in NO_NUMBERS


@pytest.mark.parametrize("given", NOT_VIEWS)
@pytest.mark.parametrize("family", ["metric", "method"])
def test_metrics_and_methods_say_how_views_are_made(family: str, given: str) -> None:
    for name, part in parts(family).items():
        needed = {p.name for p in inspect.signature(part).parameters.values() if p.default is p.empty}
        if needed:
            continue
        made = part()
        with pytest.raises(ModalignError, match=r"must be Views, got .*: Views.from_arrays\(text=X, image=Y\)"):
            pytest.fail(f"{name} took {given}: {(made if family == 'metric' else made.fit)(NOT_VIEWS[given])}")


@pytest.mark.parametrize("given", [k for k in NOT_VIEWS if k != "tensor"])
def test_objectives_say_what_a_batch_is_made_of(given: str) -> None:
    with pytest.raises(ModalignError, match="takes a Batch or tensors of torch"):
        ma.objectives.Clip()(NOT_VIEWS[given], torch.eye(3))


@pytest.mark.parametrize("given", NOT_VIEWS)
def test_evaluate_and_diagnose_say_how_views_are_made(given: str) -> None:
    for call in (ma.evaluate, ma.diagnose):
        with pytest.raises(ModalignError, match=r"must be Views, got .*: Views.from_arrays"):
            call(NOT_VIEWS[given], torch.eye(3))  # type: ignore[operator]


SOME = ma.Views.from_arrays(a=torch.eye(20), b=torch.eye(20))
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "two arrays to a metric": (lambda: ma.metrics.Procrustes()(np.eye(3), np.eye(3)), "must be Views"),
    "a metric by number": (lambda: ma.evaluate(SOME, metrics=[5]), "an entry of metrics must be text or Metric"),
    "an unknown metric": (lambda: ma.evaluate(SOME, metrics=["recal"]), "unknown metric 'recal'"),
    "a level of 95": (lambda: ma.evaluate(SOME, level=95), "level must lie in"),
    "no draws": (lambda: ma.evaluate(SOME, draws=0), "draws must be at least 1"),
    "no modality": (lambda: ma.evaluate(ma.Views({}, {})), "nothing to evaluate"),
    "a seed as text": (lambda: ma.evaluate(SOME, seed="x"), "seed must be a whole number"),
    "NaN": (lambda: ma.evaluate(SOME.map(lambda m, x: x * torch.nan)), "NaN or infinite values in 20 of 20 rows"),
    "no rows": (lambda: ma.diagnose(SOME.select({m: torch.arange(0) for m in "ab"})), "at least 30"),
    "a run that is not there": (lambda: ma.Run.open("no/run"), "no/run"),
    "a model that is not there": (lambda: ma.load("no/run"), "no/run"),
    "a number for a run": (lambda: ma.Run.open(5), "a folder is a path or its name, got int"),
    "an Aligner that is not there": (lambda: ma.Aligner.load("no/run"), "no/run"),
    "a family as number": (lambda: ma.names(5), "unknown family"),
    "a part as number": (lambda: ma.make("metric", 5), "unknown metric"),
    "a store that is not there": (lambda: ma.migrate("no.npy", "no2.npy", [[0, 0]]), "no.npy"),
    "pairs as text": (lambda: ma.Views.from_arrays("pairs.csv", a=torch.eye(2), b=torch.eye(2)), "read a file"),
    "nothing as array": (lambda: ma.Views.from_arrays(a=None, b=torch.eye(2)), "'a' must hold numbers"),
    "text as array": (lambda: ma.Views.from_arrays(a="x", b=torch.eye(2)), "'a' must hold numbers"),
    "a file's name as array": (lambda: ma.Aligner().fit("x.npy", "y.npy"), r"read the file .* numpy.load\('x.npy'\)"),
    "an array to a model": (
        lambda: ma.Aligner("cca", dim=2).fit(np.eye(9), np.eye(9)).model_(np.eye(9)),
        r"Views.from_arrays\(text=X, image=Y\) makes some; torch.as_tensor\(x\) makes one$",
    ),
    "a list as data": (lambda: ma.Views([1], [1]), "data must be a table"),
    "tensors of other shape": (
        lambda: ma.geometry.transport.distortion(torch.eye(2), torch.eye(3), torch.eye(2)),
        r"cx must have the shape \(n, n\) with n = 2, got \(3, 3\)",
    ),
    "two precisions": (
        lambda: ma.geometry.correlation.cross_covariance(torch.eye(2), torch.eye(2).double()),
        "y must be of torch.float32 as the others are, got torch.float64",
    ),
    "whole numbers as rows": (
        lambda: ma.geometry.correlation.cross_covariance(torch.eye(2).long(), torch.eye(2)),
        "x must hold real numbers in floating point, got torch.int64",
    ),
    "complex rows": (lambda: ma.geometry.neighbours.knn(torch.eye(3) * 1j, k=1), "x must hold real numbers"),
    "half a neighbour": (lambda: ma.geometry.neighbours.knn(torch.eye(3), k=1.5), "k must be a whole number"),
    "pairs beyond the rows": (
        lambda: ma.geometry.neighbours.carry(torch.eye(3), torch.tensor([[0, 7]]), 2),
        "pairs name rows outside the 3 and 2",
    ),
    "a cost for a problem": (lambda: ma.geometry.transport.solve(np.eye(3)), "problem must be Problem"),
    "a negative ridge": (lambda: ma.geometry.correlation.cca([torch.eye(3)] * 2, ridge=-1.0), "ridge must be at least"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_mistakes_get_one_clear_line(case: str) -> None:
    call, said = CASES[case]
    with pytest.raises(ModalignError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_a_compiled_graph_has_no_room_for_checks() -> None:
    """Functions that are compiled check nothing, and break no graph."""

    @checked
    def double(x: torch.Tensor, k: int = 2) -> torch.Tensor:
        return x * k

    compiled = torch.compile(lambda x: double(x) + 1, fullgraph=True, backend="eager")
    assert compiled(torch.ones(2)).tolist() == [3.0, 3.0]


def test_what_only_a_type_checker_imports_is_let_pass() -> None:
    def part(x: Unknown, k: int) -> None:  # type: ignore[name-defined] # noqa: F821
        pass

    with pytest.raises(ModalignError, match="k must be a whole number"):
        checked(part)(object(), "x")
    checked(part)(object(), 1)
    assert check_value(Any, 3, "x") == 3


TABLE = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "a tensor with gradients": lambda x: torch.from_numpy(x).requires_grad_(),
    "numbers of the other byte order": lambda x: x.astype(">f4"),
    "rows from the last to the first": lambda x: x[::-1].copy()[::-1],
    "every second row": lambda x: np.repeat(x, 2, 0)[::2],
    "a data frame": pd.DataFrame,
    "long numbers": lambda x: x.astype(np.longdouble),
    "lists": lambda x: x.tolist(),
    "objects": lambda x: x.astype(object),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
}
CLOSE = {"bfloat16": 1e-2}


def moved() -> ma.migration.Migration:
    turn = ma.migration.Adapter("orthogonal", torch.eye(3).flip(0), torch.zeros(3))
    return ma.migration.Migration({"rows": turn}, {})


def indexed(x: Any, place: Path) -> np.ndarray:
    pytest.importorskip("faiss", reason="faiss is not installed (pip install 'modalign[search]')")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'modalign[search]')")
    return ma.search.Index.build(place, {"a": x}, {"a": [{} for _ in TABLE]}).vectors("a", np.arange(12))


TAKERS: dict[str, Callable[[Any, Path], np.ndarray]] = {
    "an index": indexed,
    "a query": lambda x, place: ma.search.Query().vector(x).terms[0].value,
    "a store to migrate": lambda x, place: ma.migration.in_memory(x).at(np.arange(12)),
    "a migration": lambda x, place: moved().rows(x).numpy()[:, ::-1],
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("form", FORMS)
def test_one_table_is_the_same_in_every_form(form: str, taker: str, tmp_path: Path) -> None:
    unit = taker in ("an index", "a migration")
    right = TABLE / np.linalg.norm(TABLE, axis=1, keepdims=True) if unit else TABLE
    found = TAKERS[taker](FORMS[form](TABLE), tmp_path / "index")
    assert np.allclose(found, right, atol=CLOSE.get(form, 1e-6))


@pytest.mark.parametrize("taker", TAKERS)
def test_what_a_mask_hides_is_taken_for_no_number(taker: str, tmp_path: Path) -> None:
    for given, words in (
        (np.ma.masked_greater(TABLE, 1.0), "is a masked array: leave the masked rows out"),
        (torch.from_numpy(TABLE).to("meta"), "device 'meta'"),
        (torch.from_numpy(TABLE).to_sparse(), r"give it dense, as x.to_dense\(\)"),
        (TABLE.astype(str), "must hold numbers"),
    ):
        with pytest.raises(ModalignError, match=words):
            TAKERS[taker](given, tmp_path / "index")


def test_a_frame_in_place_of_a_tensor_is_told_what_to_write() -> None:
    frame = pd.DataFrame(TABLE)
    with pytest.raises(ModalignError, match=r": torch.as_tensor\(x.to_numpy\(\)\) makes one"):
        ma.geometry.procrustes.rotation(frame, torch.from_numpy(TABLE))
    with pytest.raises(ModalignError, match="z \\(a\\) must be Tensor, got MaskedArray"):
        ma.search.in_memory({"a": np.ma.array(TABLE)}, {"a": [{} for _ in TABLE]})
    with pytest.raises(ModalignError, match=r"vectors of 'a' must have the shape \(rows, dimensions\), got \(12,\)"):
        ma.search.in_memory({"a": torch.ones(12)}, {"a": [{} for _ in TABLE]})
