"""Every loader is registered, takes root and split, and is built by name with checked settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from modalign import registry
from modalign.errors import ModalignError

FILES = {
    "coco", "flickr8k", "flickr30k", "audioset", "audiocaps", "clotho", "esc50", "howto100m", "youcook2", "msrvtt",
    "clips", "folders", "table", "webdataset", "hf",
}  # fmt: skip


def test_all_are_there_with_a_line_each() -> None:
    described = registry.describe("dataset")
    assert set(described) >= FILES
    assert all(20 < len(described[name]) < 120 for name in FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_signatures_are_alike(name: str) -> None:
    parameters = list(inspect.signature(registry.get("dataset", name)).parameters.values())
    assert [p.name for p in parameters[:2]] == ["root", "split"]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:])


@pytest.mark.parametrize("name", sorted(FILES - {"hf"}))
def test_an_empty_or_absent_folder_is_one_clear_line(name: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModalignError) as caught:
            registry.make("dataset", name, root=str(root))
        assert "\n" not in str(caught.value)
        assert str(root) in str(caught.value) or "no rows" in str(caught.value)


def test_settings_are_checked(tree: Callable[..., Path]) -> None:
    root = tree({"m.csv": "image,text\na.jpg,x\n"})
    made = registry.make("dataset", "table", root=str(root / "m.csv"), missing="drop")
    assert len(made) == 1
    with pytest.raises(ModalignError, match="did you mean 'missing'"):
        registry.make("dataset", "table", root=str(root / "m.csv"), misssing="drop")
    with pytest.raises(ModalignError, match="setting 'missing'"):
        registry.make("dataset", "table", root=str(root / "m.csv"), missing="ignore")
