"""The folded image network in ONNX Runtime, where that is installed: the same values to rounding, in less time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import require
from .efficientnet_lite import EfficientNetLite, same_padding

OPSET, IR = 17, 10
"""Old enough for any ONNX Runtime of the last years."""


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
    return runner(OnnxGraph().build(net, pixels))


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


class OnnxGraph:
    """The network written down as an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def build(self, net: EfficientNetLite, pixels: int) -> bytes:
        """The serialised model, from "x" (n, 3, pixels, pixels) to "features" (n, net.dim)."""
        from onnx import TensorProto, helper

        self.constant("low", torch.tensor(0.0))
        self.constant("high", torch.tensor(6.0))
        y, size = self.conv(net._conv_stem, "x", pixels)
        for block in cast(list[Any], net._blocks):
            z, before = y, size
            if block.expands:
                z, size = self.conv(block._expand_conv, z, size)
            z, size = self.conv(block._depthwise_conv, z, size)
            z, size = self.conv(block._project_conv, z, size)
            y = self.node("Add", y, z) if block.residual and size == before else z
        y, _ = self.conv(net._conv_head, y, size)
        self.node("Flatten", self.node("GlobalAveragePool", y), name="features")
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, pixels, pixels])]
        outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", net.dim])]
        graph = helper.make_graph(self.nodes, "efficientnet-lite", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        blob: bytes = model.SerializeToString()
        return blob

    def conv(self, layer: Any, x: str, size: int) -> tuple[str, int]:
        """A ``Folded`` convolution: name of its output, and how many pixels wide that is."""
        weight = layer.weight[:, :, layer.lead :, layer.lead :]  # without the zeros put there for torch
        kernel = weight.shape[-1]
        before, after = same_padding(size, kernel, layer.stride)
        number = len(self.nodes)
        y = self.node(
            "Conv",
            x,
            self.constant(f"w{number}", weight),
            self.constant(f"b{number}", layer.bias),
            kernel_shape=[kernel, kernel],
            strides=[layer.stride, layer.stride],
            pads=[before, before, after, after],
            group=layer.groups,
        )
        return (self.node("Clip", y, "low", "high") if layer.clip else y), -(-size // layer.stride)

    def constant(self, name: str, value: Tensor) -> str:
        """A named constant of the graph."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value.detach().float().contiguous().numpy(), name))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node of the graph: the name of its output."""
        from onnx import helper

        output = name or f"y{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output
