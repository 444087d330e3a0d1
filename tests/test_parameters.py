"""One check per kind of parameter, whichever way it comes in: Python, a specification, the command line."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import modalign as ma
from modalign import cli
from modalign.bench.suite import build
from modalign.diagnosis import diagnose_arrays
from modalign.errors import ModalignError
from modalign.parameters import Count, Seed, check_names, check_value, checked
from modalign.registry import FAMILIES, make, parts
from modalign.specification import specification
from modalign.training import TrainingSettings

WRONG: list[tuple[str, Any]] = [
    ("dim", -3), ("dim", 0), ("dim", 10_000_000), ("dim", 1.5), ("dim", True),
    ("seed", -1), ("seed", 99999999999999999999999), ("trials", 0), ("steps", -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_method_refuses_the_same_from_everywhere(name: str, value: Any) -> None:
    ways = {
        "constructor": lambda: ma.methods.Full(**{name: value}),
        "make": lambda: make("method", "full", **{name: value}),
        "specification": lambda: specification(
            {"method": {"name": "full", name: value}, "data": {"arrays": {"a": "a.npy", "b": "b.npy"}}}
        ),
        "Aligner": lambda: ma.Aligner("full", **{name: value}).fit(np.eye(20), np.eye(20)),
    }
    for way, call in ways.items():
        with pytest.raises(ModalignError, match=f"{name}.* must ") as refused:
            call()
        assert "\n" not in str(refused.value), way


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "fast", None])
def test_rates_are_positive_and_finite(value: Any) -> None:
    with pytest.raises(ModalignError, match=r"lr.* must be "):
        TrainingSettings(lr=value)
    with pytest.raises(ModalignError, match="lr"):
        make("method", "gradient", lr=value)


def wrong_for(annotation: Any) -> Any:
    """What a parameter of this type must refuse."""
    kind = str(annotation)
    if "Range" in kind:
        return (-1,) if "tuple" in kind else math.nan if "float" in kind else -1
    return object()


def test_every_registered_part_refuses_what_its_type_excludes() -> None:
    """A value of the wrong kind is refused by each constructor of each family, by the name of the parameter."""
    tried = 0
    for family in FAMILIES:
        for name, part in parts(family).items():
            signature = inspect.signature(part, eval_str=True)
            for parameter in signature.parameters.values():
                if parameter.annotation is Any or "typing.Any, Abs" in str(parameter.annotation):
                    continue
                wrong = wrong_for(parameter.annotation)
                with pytest.raises(ModalignError, match=f"{parameter.name}.* must "):
                    pytest.fail(f"{family} {name} made {part(**{parameter.name: wrong})} of {parameter} = {wrong}")
                tried += 1
    assert tried > 450


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (int, True, "x must be a whole number, got True"),
        (int, 1.5, "x must be a whole number, got 1.5"),
        (float, "1", "x must be a number, got '1'"),
        (float, math.inf, "x must be finite"),
        (bool, 1, "x must be true or false, got 1"),
        (str | None, 5, "x must be text or None, got 5"),
        (Literal["keep", "drop"], "throw", "x must be 'keep' or 'drop', got 'throw'"),
        (Literal[2014, 2017] | None, 2014.0, "x must be 2014 or 2017 or None"),
        (Sequence[str], "text", "x must be a list, got 'text'"),
        (tuple[int, str], (1,), "x must have 2 entries"),
        (tuple[Count, ...], [1, 0], "an entry of x must be at least 1"),
        (dict[str, Count], {"a": 0}, "x (a) must be at least 1"),
        (Mapping[str, int], [1], "x must be a table"),
        (Path, 3, "x must be a path"),
        (ma.Views, np.eye(2), "x must be Views, got ndarray of shape (2, 2): Views.from_arrays("),
        (Callable[[], int], 3, "x must be a function"),
    ],
)
def test_what_a_type_excludes(annotation: Any, value: Any, said: str) -> None:
    with pytest.raises(ModalignError, match=re.escape(said)):
        check_value(annotation, value, "x")


@pytest.mark.parametrize(
    ("annotation", "value", "made"),
    [
        (int, np.int64(3), 3), (float, 1, 1.0), (float, np.float32(0.5), 0.5), (bool, np.True_, True),
        (tuple[int, ...], [1, 2], (1, 2)), (list[int], (1, 2), [1, 2]), (Path, "a/b", Path("a/b")),
        (str, Path("a/b"), "a/b"), (Path | str, "a/b", "a/b"), (Any, None, None), (Literal["a"] | None, None, None),
        (object, 3, 3), (dict[str, Path], {"a": "b"}, {"a": Path("b")}), (tuple[int, str], [1, "a"], (1, "a")),
    ],
)  # fmt: skip
def test_what_a_type_takes_and_makes(annotation: Any, value: Any, made: Any) -> None:
    found = check_value(annotation, value, "x")
    assert found == made
    assert isinstance(found, type(made))


def test_numbers_that_no_type_names_must_still_be_finite() -> None:
    with pytest.raises(ModalignError, match="finite"):
        make("dataset", "films", root=".", step=math.inf)


def test_settings_of_suites_and_diagnoses() -> None:
    suite = {"name": "s", "data": {"store": "x"}, "methods": ["cca"]}
    for settings in ({"regime": "hidden", "pairs": [-10, 5]}, {"items": 0}, {"regime": "disjoint", "missing": 1.0}):
        with pytest.raises(ModalignError, match=r"pairs|items|missing"):
            build({**suite, "settings": [settings]})
    with pytest.raises(ModalignError, match="seeds"):
        build({**suite, "settings": [{}], "seeds": [0, -1]})
    with pytest.raises(ModalignError, match="rows must be at least 1"):
        diagnose_arrays([Path("a.npy"), Path("b.npy")], rows=-1)


def test_lists_and_absent_values_are_looked_at() -> None:
    check_value(Count | None, None, "limit")
    check_value(list[Seed] | None, [0, 1], "seed")
    with pytest.raises(ModalignError, match="seed must"):
        check_value(list[Seed] | None, [0, -1], "seed")
    check_value(Seed, np.int64(7), "seed")


def test_checked_leaves_wrong_calls_to_python() -> None:
    @checked
    def draw(n: Count = 1) -> int:
        return n

    assert draw(2) == 2
    with pytest.raises(TypeError, match="unexpected"):
        draw(m=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "a\n", "x" * 101, " a"])
def test_names_that_nothing_can_be_called(name: str) -> None:
    with pytest.raises(ModalignError, match="name of a modality"):
        check_names([name])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("align a.npy b.npy --out x --dim -3", "dim must lie in [1, 65,536], got -3"),
        ("align a.npy b.npy --out x --dim 1.5", "--dim takes a whole number, got '1.5'"),
        ("align a.npy b.npy --out x --dim 10000000", "dim must lie in"),
        ("align a.npy b.npy --out x --seed -1", "seed must lie in"),
        ("align a.npy b.npy --out x --seed 99999999999999999999999", "seed must lie in"),
        ("align a.npy b.npy --out x --holdout nan", "holdout must lie in [0, 1), got nan"),
        ("align a.npy b.npy --out x --names a/b c", "the name of a modality"),
        ("embed synthetic --out x --limit -1", "limit must be at least 1"),
        ("embed synthetic --out x --limit 0", "limit must be at least 1"),
        ("diagnose a.npy b.npy --rows -1", "rows must be at least 1"),
        ("demo --pairs -5", "pairs must be at least 1"),
        ("demo --seeds 1.5", "--seeds takes a whole number"),
        ("search run word -k 0", "k must be at least 1"),
        ("serve run --port 99999", "port must lie in [0, 65,535]"),
        ("serve run --threads 0", "threads must be at least 1"),
        ("bench quick --hours nan", "hours must be positive and finite"),
        ("bench quick --workers 0", "workers must be at least 1"),
        ("bench quick --seed 0 1.5", "--seed takes a whole number, got '1.5'"),
        ("finetune run --out x --share 0", "share must lie in (0, 1]"),
        ("migrate a.npy b.npy --pairs p.csv --out x --k 0", "k must be at least 1"),
        ("migrate a.npy --out x --choose -2", "choose must be at least 1"),
    ],
)
def test_the_command_line_refuses_before_any_file_is_opened(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(line.split())
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert said.lower() in err.lower()
