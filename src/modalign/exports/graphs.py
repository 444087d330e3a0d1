"""Heads as graphs that run without modalign: torch.export and ONNX, for any number of rows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import require
from ..files import atomic
from ..model import Model

INPUT, OUTPUT = "features", "points"
ROWS = 3  # of the example that is traced; any number of rows may follow


def exported(model: Model, modality: str) -> torch.export.ExportedProgram:
    """The head of a modality as a program of torch: (n, width) features -> (n, dim) unit rows, any n >= 1.

    Raises:
        ModalignError: unknown modality.

    Example:
        >>> from modalign.model import FeatureMap, Head, Heads, Projection
        >>> model = Model(Heads({"text": Head(FeatureMap(3), Projection(3, 2))}))
        >>> exported(model, "text").module()(torch.eye(3)).shape
        torch.Size([3, 2])
    """
    head = model.heads[modality]
    training = head.training
    example = torch.randn(ROWS, head.features.width, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(head.eval(), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    head.train(training)
    return program


def write_onnx(model: Model, modality: str, path: Path | str) -> None:
    """Write the head of a modality as an ONNX network: input "features" (n, width), output "points" (n, dim), float32.

    Banks of smoothing and hub removal, and the anchors of relations, lie inside the file.

    Raises:
        ModalignError: unknown modality.
        MissingExtraError: the packages onnx and onnxscript are not installed.
    """
    require("onnx", "onnx"), require("onnxscript", "onnx")
    program = exported(model, modality)
    with _quiet():
        network = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=({0: "n"},)
        )
    assert network is not None
    with atomic(Path(path)) as partial:
        network.save(str(partial))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes of packages that it does not need here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
