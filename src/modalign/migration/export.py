"""An adapter as files that other programs read: ONNX, a sentence-transformers folder, ten lines of numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from ..errors import ModalignError, require
from ..files import atomic, write_json, write_text
from .adapter import Adapter

OPSET = 20
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
    onnx = require("onnx", "image")
    helper, numpy_helper = require("onnx.helper", "image"), require("onnx.numpy_helper", "image")
    graph = _Graph(helper)
    length = graph("ReduceL2", "x", graph.constant("axes", np.array([1])), keepdims=1)
    u = graph("Div", "x", graph("Max", length, graph.constant("least", np.array([1e-30], np.float32))))
    y = graph("Add", graph("MatMul", u, graph.tensor("weight", adapter.weight)), graph.tensor("bias", adapter.bias))
    if adapter.bend:
        y = graph("Add", y, _bend(graph, adapter, u))
    size = graph("Max", graph("ReduceL2", y, "axes", keepdims=1), "least")
    y = graph("Div", y, size)
    if adapter.norm is not None:
        slope = graph.constant("slope", np.array([adapter.norm[0]], np.float32))
        level = graph.constant("level", np.array([adapter.norm[1]], np.float32))
        log = graph("Log", graph("Max", length, "least"))
        y = graph("Mul", y, graph("Exp", graph("Add", graph("Mul", log, slope), level)))
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size])
        for name, size in (("x", adapter.width), ("y", adapter.dim))
    ]
    values = [numpy_helper.from_array(v, name) for name, v in graph.values.items()]
    made = helper.make_graph(graph.nodes, "adapter", ends[:1], ends[1:], values)
    network = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(network)
    with atomic(path) as partial:
        partial.write_bytes(network.SerializeToString())


class _Graph:
    """Nodes and constants of a network, with a name for each result."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper
        self.nodes: list[Any] = []
        self.values: dict[str, np.ndarray] = {}

    def __call__(self, kind: str, *inputs: str, **settings: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], **settings))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self.values[name] = value
        return name

    def tensor(self, name: str, value: torch.Tensor) -> str:
        return self.constant(name, np.ascontiguousarray(value.numpy(), np.float32))


def _bend(g: _Graph, adapter: Adapter, u: str) -> str:
    """The part that is not linear."""
    names = {name: g.tensor(name, v) for name, v in adapter.parts.items()}
    if adapter.bend == "perceptron":
        inner = g("Add", g("MatMul", u, names["inner"]), names["offset"])
        return g("MatMul", g("Gelu", inner), names["outer"])
    c = g("Sub", u, names["centre"])
    c = g("Div", c, g("ReduceL2", c, "axes", keepdims=1))
    likeness = g("MatMul", c, g("Transpose", names["anchors"], perm=[1, 0]))
    sharpness = g.constant("sharpness", np.array([adapter.sharpness], np.float32))
    if adapter.bend == "kernel":
        one = g.constant("one", np.array([1.0], np.float32))
        return g("MatMul", g("Exp", g("Mul", g("Sub", likeness, one), sharpness)), names["values"])
    gate = g("Softmax", g("Mul", likeness, sharpness), axis=1)
    each = g("Einsum", gate, u, names["maps"], equation="nh,nw,hwd->nd")
    return g("Add", each, g("MatMul", gate, names["shifts"]))


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
