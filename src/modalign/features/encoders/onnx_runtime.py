"""The folded image network in ONNX Runtime, where that is installed: the same values to rounding, in less time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import require
from .efficientnet_lite import EfficientNetLite, same_padding

OPSET, IR = 17, 10
"""Old enough for any ONNX Runtime of the last years."""
ZERO, SIX = torch.tensor(0.0), torch.tensor(6.0)


@cache
def available() -> bool:
    """Whether the packages onnxruntime and onnx are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "onnx"))


def compiled(net: EfficientNetLite, pixels: int = 224) -> Callable[[Tensor], Tensor]:
    """(n, 3, pixels, pixels) float32 pictures -> (n, 1280) features, as ``net`` gives them.

    Each call runs on one thread, and several threads may call at once.

    Args:
        net: a folded network (``efficientnet_lite.fold``).
        pixels: height and width of the pictures, fixed when the graph is made.
    """
    graph = Graph()
    y, size = _conv(graph, net._conv_stem, "x", pixels)
    for block in cast(list[Any], net._blocks):
        z, before = y, size
        if block.expands:
            z, size = _conv(graph, block._expand_conv, z, size)
        z, size = _conv(graph, block._depthwise_conv, z, size)
        z, size = _conv(graph, block._project_conv, z, size)
        y = graph("Add", y, z) if block.residual and size == before else z
    y, _ = _conv(graph, net._conv_head, y, size)
    graph("Flatten", graph("GlobalAveragePool", y), name="features")
    ends = {"x": ["n", 3, pixels, pixels]}, {"features": ["n", net.dim]}
    return runner(graph.network("efficientnet-lite", *ends, OPSET, IR).SerializeToString())


def runner(model: bytes | str) -> Callable[[Tensor], Tensor]:
    """A model of one input and one output as a function; on one thread, so that its bits are the same every time.

    ONNX Runtime keeps its arena of memory. Without it every call takes fresh memory from the system's heap, which the
    small results that stay behind cut into pieces: it grew by 1.2 GB in 1,000 calls.

    Args:
        model: serialised, or a file.
    """
    onnxruntime = require("onnxruntime", "demo")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: x.contiguous().numpy()})[0])

    return run


class Graph:
    """An ONNX network under construction: each call adds a node and returns the name of what it gives.

    Inputs are names of earlier results, or values, which become constants of the network.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, kind: str, *inputs: str | Tensor, name: str = "", **attributes: Any) -> str:
        """A node of a kind that ONNX knows."""
        names = [i if isinstance(i, str) else self._constant(i) for i in inputs]
        output = name or f"y{len(self.nodes)}"
        self.nodes.append(require("onnx.helper", "image").make_node(kind, names, [output], **attributes))
        return output

    def _constant(self, value: Tensor) -> str:
        name = f"c{len(self.constants)}"
        array = value.detach().contiguous().numpy()
        self.constants.append(require("onnx.numpy_helper", "image").from_array(array, name))
        return name

    def network(self, name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], opset: int, ir: int) -> Any:
        """The checked network; inputs and outputs of float32, name -> shape."""
        onnx, helper = require("onnx", "image"), require("onnx.helper", "image")
        kind = onnx.TensorProto.FLOAT
        ends = [[helper.make_tensor_value_info(*end) for end in ((m, kind, s) for m, s in side.items())]
                for side in (inputs, outputs)]  # fmt: skip
        graph = helper.make_graph(self.nodes, name, *ends, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
        onnx.checker.check_model(made)
        return made


def _conv(graph: Graph, layer: Any, x: str, size: int) -> tuple[str, int]:
    """A ``Folded`` convolution: name of its output, and how many pixels wide that is."""
    weight = layer.weight[:, :, layer.lead :, layer.lead :].float()  # without the zeros put there for torch
    kernel = weight.shape[-1]
    before, after = same_padding(size, kernel, layer.stride)
    y = graph(
        "Conv", x, weight, layer.bias.float(), kernel_shape=[kernel, kernel], strides=[layer.stride, layer.stride],
        pads=[before, before, after, after], group=layer.groups,
    )  # fmt: skip
    return (graph("Clip", y, ZERO, SIX) if layer.clip else y), -(-size // layer.stride)
