"""Small folders of files for the loaders, and the real ones where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Tree = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files below a new folder: text, bytes, or anything else as JSON."""

    def write(files: Mapping[str, Any]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                text = content if isinstance(content, str) else json.dumps(content)
                path.write_bytes(text.encode())
        return tmp_path

    return write
