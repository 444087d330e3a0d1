"""One aligned run in other programs: scikit-learn, torch, ONNX, the Hugging Face hub.

    python examples/elsewhere.py [FOLDER]

Data are generated. Parts whose packages are not installed are left out, and it says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import modalign as ma


def main(folder: Path) -> dict[str, str]:
    """Align, then take the run to each program. Returns what became of it there."""
    draw = np.random.default_rng(0)
    meaning = draw.normal(size=(200, 6))
    arrays = {
        m: (meaning @ draw.normal(size=(6, d)) + 0.2).astype(np.float32) for m, d in (("image", 20), ("text", 12))
    }
    aligner = ma.Aligner("cca", dim=6).fit(arrays)
    aligner.save(folder / "run")
    parts: dict[str, Callable[[], str]] = {
        "scikit-learn": lambda: searched(arrays),
        "torch": lambda: module(folder, arrays),
        "onnx": lambda: network(folder, arrays),
        "hub": lambda: repository(folder),
    }
    found = {}
    for name, part in parts.items():
        try:
            found[name] = part()
        except ImportError as problem:
            found[name] = f"left out: {problem}"
        print(f"{name}: {found[name]}")
    return found


def searched(arrays: dict[str, np.ndarray]) -> str:
    """The best size of the space by cross-validation over paired arrays."""
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(ma.Aligner("cca"), {"dim": [2, 4, 6]}, cv=3).fit(arrays["image"], arrays["text"])
    return f"dim {search.best_params_['dim']}, mean recall {search.best_score_:.2f}"


def module(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    """A few steps of training by a loss on two tensors."""
    import torch

    model, objective = ma.load(folder / "run"), ma.objectives.Clip()
    x = {m: torch.from_numpy(rows) for m, rows in arrays.items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(10):
        loss = objective(*(model(rows, m) for m, rows in x.items()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return f"loss {losses[0]:.3f}, after ten steps {losses[-1]:.3f}"


def network(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    """The head of text as an ONNX network, run without modalign."""
    import onnxruntime

    from modalign.exports import write_onnx

    model = ma.load(folder / "run")
    write_onnx(model, "text", folder / "text.onnx")
    session: Any = onnxruntime.InferenceSession(folder / "text.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {"features": arrays["text"]})[0]
    apart = np.abs(found - ma.Aligner.load(folder / "run").transform(arrays["text"], "text")).max()
    return f"{len(found)} points, {apart:.0e} from torch's"


def repository(folder: Path) -> str:
    """Files for the hub, read back."""
    from modalign.exports import HubModel

    HubModel.from_run(folder / "run").save_pretrained(folder / "hub", model_card_kwargs={"license": "apache-2.0"})
    again = HubModel.from_pretrained(folder / "hub")
    return f"{len(list((folder / 'hub').iterdir()))} files, {again.heads.dim} dimensions"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "elsewhere"))
