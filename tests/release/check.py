"""Build wheel and sdist, and try both in clean environments: make release-check

    python tests/release/check.py [--python PYTHON ...] [--lowest] [--out FILE]

For every Python a new environment gets torch (as constraints.txt pins it), then the wheel without extras, and runs
smoke.py from an empty folder. The sdist is built into a wheel of the same files. --lowest adds an environment with the
lowest versions that pyproject.toml allows. One JSON document says what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUTPUTS = (".git", ".venv", "runs", "build", "dist")  # beside the sources; not the package modalign.runs
NEVER = re.compile(r"^(\.git|runs|build|dist)/|(^|/)__pycache__/|\.(pyc|npy|safetensors|tmp)$")


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output; what a failed command said goes to standard error."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MODALIGN_DATA")}
    clean |= {"HF_HUB_OFFLINE": "1", "MODALIGN_CACHE": str((cwd or HERE) / "cache"), "PIP_NO_WARN_SCRIPT_LOCATION": "1"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def environment(place: Path, python: str) -> Path:
    """The interpreter of a new virtual environment."""
    call(python, "-m", "venv", place)
    return place / "bin" / "python"


def install(python: Path, *what: str | Path) -> float:
    """Seconds that pip needed."""
    start = time.perf_counter()
    call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what)
    return round(time.perf_counter() - start, 1)


def left_behind(folder: str, names: list[str]) -> set[str]:
    """What a copy of the checkout does not need."""
    return {name for name in names if name == "__pycache__" or (Path(folder) == ROOT and name in OUTPUTS)}


def built(place: Path) -> tuple[Path, Path]:
    """Wheel and sdist of the checkout, in a copy of it, by the build frontend."""
    python = environment(place / "builder", sys.executable)
    install(python, "build")
    source = place / "source"
    shutil.copytree(ROOT, source, ignore=left_behind)
    call(python, "-m", "build", "--outdir", place / "dist", source)
    (wheel,), (sdist,) = (place / "dist").glob("*.whl"), (place / "dist").glob("*.tar.gz")
    return wheel, sdist


def same_files(place: Path, sdist: Path, wheel: Path) -> dict[str, float]:
    """Sizes; `build` makes the wheel from the sdist, so what the wheel has the sdist has too."""
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as source:
        inside = archive.namelist()
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}
    strange = [name for name in [*inside, *names] if NEVER.search(name)]
    assert not strange, f"these belong to no release: {strange[:5]}"
    missing = [n for n in inside if n.startswith("modalign/") and f"src/{n}" not in names]
    assert not missing, f"the sdist lacks {missing[:5]}"
    here = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src" / "modalign").rglob("*.py")}
    assert here <= set(inside), f"the wheel lacks {sorted(here - set(inside))[:5]}"
    assert {"README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "SECURITY.md", "CONTRIBUTING.md"} <= names
    return {p.suffix.lstrip("."): round(p.stat().st_size / 2**20, 2) for p in (wheel, sdist)}


def lowest() -> list[str]:
    """The core requirements at their lower bounds."""
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r">=", "==", requirement) for requirement in requirements]


def torch_pin() -> str:
    """torch as constraints.txt has it."""
    return next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))


def tried(place: Path, python: str, wheel: Path, first: list[str]) -> dict:
    """What smoke.py measured with the wheel in a new environment, and how long the installation took."""
    inside = environment(place / "env", python)
    before = install(inside, *first)
    took = install(inside, wheel)
    folder = place / "empty"
    folder.mkdir()
    found = json.loads(call(inside, HERE / "smoke.py", cwd=folder).strip().splitlines()[-1])
    shutil.rmtree(place)
    return found | {"install_first_s": before, "install_s": took}


def main() -> None:
    """All environments, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", nargs="*", default=[sys.executable])
    parser.add_argument("--lowest", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        wheel, sdist = built(place)
        found: dict = {"file": wheel.name, "mib": same_files(place, sdist, wheel), "environments": []}
        tries = [(python, [torch_pin()]) for python in asked.python]
        tries += [(sys.executable, lowest())] * asked.lowest
        for number, (python, first) in enumerate(tries):
            one = tried(place / str(number), python, wheel, first)
            found["environments"].append(one)
            print(json.dumps(one), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found["mib"]))


if __name__ == "__main__":
    main()
