"""An adapter as files that other programs read: ONNX, a sentence-transformers folder, ten lines of numpy."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from ..errors import ModalignError
from ..features.encoders.onnx_runtime import Graph
from ..files import atomic, write_json, write_text
from .adapter import Adapter

OPSET, IR = 20, 9
NUMPY: dict[str, str] = {
    "": "",
    "kernel": """c = (u - a["centre"]) / np.linalg.norm(u - a["centre"], axis=1, keepdims=True)
y += np.exp({sharpness!r} * (c @ a["anchors"].T - 1)) @ a["values"]
""",
    "perceptron": """h = u @ a["inner"] + a["offset"]
y += (h * 0.5 * (1 + erf(h / 2**0.5))) @ a["outer"]
""",
    "local": """c = (u - a["centre"]) / np.linalg.norm(u - a["centre"], axis=1, keepdims=True)
g = np.exp({sharpness!r} * (c @ a["anchors"].T))
g /= g.sum(1, keepdims=True)
y += np.einsum("nh,nw,hwd->nd", g, u, a["maps"]) + g @ a["shifts"]
""",
}


def numpy_lines(adapter: Adapter) -> str:
    """The adapter in about ten lines of numpy, for a program without modalign or torch.

    Example:
        >>> print(numpy_lines(Adapter("orthogonal", torch.eye(2), torch.zeros(2))))
        import numpy as np
        from safetensors.numpy import load_file
        a = load_file("adapter.safetensors")
        x = np.load("x.npy").astype("float32")
        length = np.linalg.norm(x, axis=1, keepdims=True)
        u = x / length
        y = u @ a["weight"] + a["bias"]
        y /= np.linalg.norm(y, axis=1, keepdims=True)
    """
    lines = "import numpy as np\nfrom safetensors.numpy import load_file\n"
    lines += "from scipy.special import erf\n" if adapter.bend == "perceptron" else ""
    lines += 'a = load_file("adapter.safetensors")\nx = np.load("x.npy").astype("float32")\n'
    lines += "length = np.linalg.norm(x, axis=1, keepdims=True)\nu = x / length\n"
    lines += 'y = u @ a["weight"] + a["bias"]\n' + NUMPY[adapter.bend].format(sharpness=adapter.sharpness)
    lines += "y /= np.linalg.norm(y, axis=1, keepdims=True)"
    if adapter.norm is not None:
        lines += f"\ny *= np.exp({adapter.norm[0]!r} * np.log(length) + {adapter.norm[1]!r})"
    return lines


def write_onnx(adapter: Adapter, path: Path) -> None:
    """Write the adapter as an ONNX network: input "x" (n, width), output "y" (n, dim), float32.

    Raises:
        MissingExtraError: the package onnx is not installed.
    """
    graph = Graph()
    axes, least = torch.tensor([1]), torch.tensor([1e-30])
    length = graph("ReduceL2", "x", axes, keepdims=1)
    u = graph("Div", "x", graph("Max", length, least))
    y = graph("Add", graph("MatMul", u, adapter.weight), adapter.bias)
    if adapter.bend:
        y = graph("Add", y, _bend(graph, adapter, u))
    y = graph("Div", y, graph("Max", graph("ReduceL2", y, axes, keepdims=1), least))
    if adapter.norm is not None:
        slope, level = torch.tensor(adapter.norm)
        log = graph("Log", graph("Max", length, least))
        y = graph("Mul", y, graph("Exp", graph("Add", graph("Mul", log, slope), level)))
    graph("Identity", y, name="y")
    network = graph.network("adapter", {"x": ["n", adapter.width]}, {"y": ["n", adapter.dim]}, OPSET, IR)
    with atomic(path) as partial:
        partial.write_bytes(network.SerializeToString())


def _bend(g: Graph, adapter: Adapter, u: str) -> str:
    """The part that is not linear."""
    p = adapter.parts
    if adapter.bend == "perceptron":
        return g("MatMul", g("Gelu", g("Add", g("MatMul", u, p["inner"]), p["offset"])), p["outer"])
    c = g("Sub", u, p["centre"])
    c = g("Div", c, g("ReduceL2", c, torch.tensor([1]), keepdims=1))
    likeness, sharpness = g("MatMul", c, p["anchors"].T), torch.tensor(adapter.sharpness)
    if adapter.bend == "kernel":
        return g("MatMul", g("Exp", g("Mul", g("Sub", likeness, torch.tensor(1.0)), sharpness)), p["values"])
    gate = g("Softmax", g("Mul", likeness, sharpness), axis=1)
    each = g("Einsum", gate, u, p["maps"], equation="nh,nw,hwd->nd")
    return g("Add", each, g("MatMul", gate, p["shifts"]))


def write_dense(adapter: Adapter, folder: Path) -> None:
    """Write the linear part as a ``Dense`` module of sentence-transformers, to stand behind the new model.

    The files are those of the package's own ``Dense.save``; append it after a ``Normalize`` module, since adapters take
    rows of length 1, and put another ``Normalize`` behind it.

    Raises:
        ModalignError: an adapter with a part that is not linear, which such a module cannot hold.
    """
    if adapter.bend:
        raise ModalignError(
            f"a Dense module is linear, but this adapter has a part '{adapter.bend}': take the ONNX file, or fit with "
            "--method orthogonal ridge low_rank cca"
        )
    settings = {
        "in_features": adapter.width, "out_features": adapter.dim, "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }  # fmt: skip
    write_json(folder / "config.json", settings)
    with atomic(folder / "model.safetensors") as partial:
        save_file({"linear.weight": adapter.weight.T.contiguous(), "linear.bias": adapter.bias}, str(partial))


def write_files(adapter: Adapter, folder: Path) -> list[str]:
    """All files of an adapter; those that cannot be written are left out. Returns what was written."""
    adapter.save(folder)
    write_text(folder / "adapter.py", numpy_lines(adapter) + '\nnp.save("y.npy", y)\n')
    written = ["adapter.safetensors", "adapter.json", "adapter.py"]
    if not adapter.bend:
        write_dense(adapter, folder / "dense")
        written.append("dense/")
    try:
        write_onnx(adapter, folder / "adapter.onnx")
        written.append("adapter.onnx")
    except ImportError:
        pass
    return written
