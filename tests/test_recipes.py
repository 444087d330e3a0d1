"""The recipes for parts of one's own: each printed file, put into its family's folder, is found and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modalign

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "own-parts.md"
FOLDERS = {
    "A loss": "objectives", "A metric": "metrics", "An encoder": "features/encoders", "A data set": "data",
    "A method": "methods",
}  # fmt: skip
USE = """
import torch, modalign as ma
names = {
    "objective": "own_distance", "metric": "own_farthest", "encoder": "own_letters", "dataset": "own_numbers",
    "method": "own_pls",
}
for family, name in names.items():
    assert name in ma.names(family), (family, name)
features = ma.make("encoder", "own_letters").encode(["one", "two", "three"])
unit = torch.nn.functional.normalize(features)
z = ma.Views.from_arrays(a=unit, b=unit.flip(0))
gap = ma.evaluate(z, ["own_farthest"])["own_farthest/a~b"].value
assert abs(gap - float((unit[0] - unit[2]).norm())) < 1e-6
loss = ma.make("objective", "own_distance", margin=0.0)(ma.Batch(z=z, x=z))
assert abs(float(loss) - float((unit - unit.flip(0)).square().sum(1).mean())) < 1e-6
rows = ma.datasets.own_numbers(12)
assert [row.text for row in rows if row.group == 11] == ["11", "one one"]
x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
y = (x + 3) @ torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
found = ma.Aligner("own_pls").fit({"a": x, "b": y})
assert abs(found.transform({"a": x})["a"] - found.transform({"b": y})["b"]).max() < 1e-5  # a rotation is found exactly
"""


def recipes() -> dict[str, str]:
    return dict(re.findall(r"^## ([^\n]+)\n\n```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.slow
def test_recipes_are_one_file_each(tmp_path: Path) -> None:
    """In a copy of the package; nothing but these files is added."""
    copy = tmp_path / "modalign"
    shutil.copytree(Path(modalign.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    found = recipes()
    for title, folder in FOLDERS.items():
        (copy / folder / f"own_{folder.split('/')[-1]}.py").write_text(found[title])
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", USE], env=environment, cwd=tmp_path, check=True)
