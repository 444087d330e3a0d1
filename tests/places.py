"""Where tests make their tensors: on the device that MODALIGN_DEVICE names, without a word in the tests.

A tensor that a test of `FOLDERS` makes lies there, and so do the parameters of modules and objectives made on its
behalf; what the package makes in its functions lies where the package says. So a function that forgets to ask where its
arguments are fails. Draws of a seeded generator of the host are carried over; numpy and the libraries that tests
compare with get copies on the host. Tests named ``test_device`` say themselves where their tensors are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

TESTS = Path(__file__).parent
PACKAGE = str(TESTS.parent / "src")
COMMANDS = str(TESTS.parent / "src" / "modalign" / "cli")  # what they make is theirs
FOLDERS = tuple(str(TESTS / name) for name in ("geometry", "metrics", "model", "objectives", "views"))
MAKERS = {*_device_constructors()}
TO_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}
MADE = ("__init__", "prepare", "reset_parameters")


class Elsewhere(TorchFunctionMode):
    """Inside, tests make their tensors on a device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if torch.compiler.is_compiling():
            return func(*args, **named)
        if func in TO_NUMPY and not _of(sys._getframe(1), PACKAGE):
            return func(args[0].cpu(), *args[1:], **named)
        if func not in MAKERS or named.get("device") is not None or not wanted(sys._getframe(1)):
            return func(*args, **named)
        learned = named.pop("requires_grad", False)
        made = func(*args, **named).to(self.device)
        return made.requires_grad_() if learned else made


def wanted(frame: FrameType | None) -> bool:
    """Whether a test makes this tensor, itself or as a part of a module."""
    part = False
    while frame is not None and not _of(frame, *FOLDERS):
        part = part or (frame.f_code.co_name in MADE and isinstance(frame.f_locals.get("self"), torch.nn.Module))
        if _of(frame, PACKAGE if not part else COMMANDS):
            return False
        frame = frame.f_back
    return frame is not None and not any(f.f_code.co_filename.endswith("test_device.py") for f in above(frame))


def above(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _of(frame: FrameType, *folders: str) -> bool:
    return frame.f_code.co_filename.startswith(folders)
