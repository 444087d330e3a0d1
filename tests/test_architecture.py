"""The shape of the code: imports point one way, start-up is quick, modules stay short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "modalign"

#: From the core outwards, one layer per name: a module may import from its own and the layers before it.
LAYERS = (
    "__init__", "renamed", "errors", "equality", "progress", "values", "files", "outputs", "parameters", "registry",
    "public", "specification", "geometry", "views", "metrics", "data", "datasets", "features", "model", "objectives",
    "robustness", "diagnosis", "tasks", "training", "methods", "estimator", "runs", "report", "exports", "search",
    "migration", "serve", "bench", "cli", "__main__",
)  # fmt: skip
DEPTH = {name: i for i, name in enumerate(LAYERS)}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """Top-level modules of modalign that a file imports, also inside functions."""
    package = path.relative_to(SOURCE).parts[:-1]
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = list(package[: len(package) - node.level + 1])
            parts = base + (node.module.split(".") if node.module else [])
        elif node.module and node.module.split(".")[0] == "modalign":
            parts = node.module.split(".")[1:]
        else:
            continue
        found |= {parts[0]} if parts else {alias.name for alias in node.names}
    return {name for name in found if name in DEPTH}


def modules() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*.py") if p.relative_to(SOURCE).parts != ("__init__.py",))


def test_imports_point_the_same_way() -> None:
    for path in modules():
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        assert own in DEPTH, f"{own} has no layer: add it to LAYERS"
        late = {name for name in imports(path) if DEPTH[name] > DEPTH[own]}
        assert not late, f"{path.relative_to(SOURCE)} must not import {late}"


def test_geometry_is_the_functional_core() -> None:
    used = {name for p in (SOURCE / "geometry").rglob("*.py") for name in imports(p)}
    assert used <= {"geometry", "errors", "parameters", "public", "renamed"}


def test_the_files_of_a_run_are_named_below_and_in_runs_alone() -> None:
    """Their names stand in one module; what is above asks a Run for what it holds."""
    texts = {p: p.read_text() for p in modules()}
    named = {"/".join(p.relative_to(SOURCE).parts) for p, text in texts.items() if re.search(r"\bRunFile\b", text)}
    assert not {name for name in named if DEPTH[name.partition("/")[0].removesuffix(".py")] > DEPTH["runs"]}
    own = ("config.toml", "metrics.jsonl", "model.json", "scores.json", "evaluation.json", "items.jsonl")
    pattern = re.compile("|".join(f'["/]{re.escape(name)}"' for name in own))
    assert {p.name for p, text in texts.items() if pattern.search(text)} == {"files.py"}


def test_no_dataclass_asks_an_array_for_one_truth_value() -> None:
    """The equality that dataclasses are given fails of fields that are arrays: on Python 3.13 always."""
    classes = [(path, n) for path in modules() for n in ast.walk(tree(path)) if isinstance(n, ast.ClassDef)]
    holders: set[str] = set()
    for _ in classes:  # fields are inherited, so until no more are found
        found = {n.name for _, n in classes if _counts_an_array(n) or holders & set(map(ast.unparse, n.bases))}
        if found == holders:
            break
        holders = found
    wrong = []
    for path, node in classes:
        made = [d for d in map(ast.unparse, node.decorator_list) if d.startswith("dataclass")]
        if made and node.name in holders and "eq=False" not in made[0]:
            wrong.append(f"{path.relative_to(SOURCE)}: {node.name}")
    assert not wrong, f"these need eq=False, and modalign.equality.ByContent where they are compared: {wrong}"


def _counts_an_array(node: ast.ClassDef) -> bool:
    """Whether a field of its own, which counts for equality, may be an array."""
    fields = [ast.unparse(f) for f in node.body if isinstance(f, ast.AnnAssign)]
    arrays = [f for f in fields if re.search(r":.*\b(Tensor|ndarray|csr_array)\b", f.partition("=")[0])]
    return any("ClassVar" not in f and "Callable" not in f and "compare=False" not in f for f in arrays)


DRAWS = {"bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"}


def test_draws_name_their_generator_or_their_place() -> None:
    """Else they come from the state of the process, on the device that is the default there; parameters of a module
    are drawn so, as in torch."""
    may_draw = re.compile(rf"torch\.({'|'.join(DRAWS)})\(")
    for path in (p for p in modules() if may_draw.search(p.read_text())):
        for where in ast.walk(tree(path)):
            if isinstance(where, ast.FunctionDef) and where.name != "__init__":
                for call in (n for n in ast.walk(where) if isinstance(n, ast.Call)):
                    if ast.unparse(call.func) in {f"torch.{name}" for name in DRAWS}:
                        named = {keyword.arg for keyword in call.keywords}
                        assert named & {"generator", "device"}, f"{path.name}:{call.lineno} draws from anywhere"


def test_modules_stay_short() -> None:
    long = {str(p.relative_to(SOURCE)): n for p in modules() if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def loaded(*steps: str) -> list[set[str]]:
    """Names of the packages outside the standard library that a fresh process holds after each of some steps."""
    show = "import sys; print('\\n= ' + ' '.join({m.split('.')[0] for m in sys.modules}))"
    code = "".join(f"{step}\n{show}\n" for step in steps)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    held = [line[2:].split() for line in done.stdout.splitlines() if line.startswith("= ")]
    return [{m for m in names if not m.startswith("_")} - set(sys.stdlib_module_names) for names in held]


def test_help_needs_no_heavy_import() -> None:
    """What takes seconds to import is what other packages bring: modules are counted, not the seconds."""
    code = "import modalign.cli\ntry: modalign.cli.main(['--help'])\nexcept SystemExit: pass"
    heavy = {"torch", "numpy", "scipy", "sklearn", "ot", "transformers", "pydantic", "PIL", "pandas"}
    assert not loaded(code)[0] & heavy


def test_import_of_modalign_costs_little_beyond_torch() -> None:
    names = "import modalign as ma; ma.Views, ma.load, ma.geometry, ma.objectives, ma.metrics"
    own, torch, all_of_it = loaded("import modalign", "import torch", names)
    assert own == {"modalign"}
    assert all_of_it - torch <= {"modalign", "safetensors", "pydantic", "pydantic_core", "typing_inspection"}


def test_every_benchmark_returns_rows() -> None:
    folder = SOURCE.parents[1] / "benchmarks"
    scripts = [p for p in folder.glob("*.py") if not p.name.startswith("_")]
    assert scripts
    for script in scripts:
        names = {n.name for n in ast.parse(script.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert "run" in names, f"{script.name} has no run()"
