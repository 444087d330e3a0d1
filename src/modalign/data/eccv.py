"""Positives of COCO's test captions beyond their own photo: Crisscrossed Captions and ECCV Caption."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ModalignError, check_known, require
from .links import in_common
from .lists import read_json

LISTS = ("original", "cxc", "eccv")


def caption_links(images: Sequence[int], captions: Sequence[int], which: str) -> dict[tuple[str, str], Tensor]:
    """Links for ``Views.links``, one table for each direction, as those lists are asked.

    The lists have their own queries for each direction: ECCV Caption asks with 1,261 photos and 1,332 captions. Items
    that a direction does not ask have no positive there and are counted as ``skipped``; all stay in the gallery.

    Args:
        images: COCO ids of the image items, in their order. captions: annotation ids of the text items.
        which: "original" (five captions a photo), "cxc" or "eccv", from the data of the package eccv-caption.

    Returns:
        (image, text) and (text, image) -> (2, p) rows.

    Raises:
        ModalignError: unknown list, or no item of it is there.

    Reference: Parekh et al. 2021, arXiv 2004.15020 (CxC); Chun et al. 2022, arXiv 2204.03359 (ECCV Caption).

    Example:
        >>> links = caption_links([179765], [38], "original")
        >>> links["image", "text"].tolist(), links["text", "image"].tolist()
        ([[0], [0]], [[0], [0]])
    """
    check_known("list of positives", which, LISTS)
    links = {
        ("image", "text"): _rows(listed_positives(which, "image_to_caption"), images, captions),
        ("text", "image"): _rows(listed_positives(which, "caption_to_image"), captions, images),
    }
    if not any(table.shape[1] for table in links.values()):
        raise ModalignError(
            f"none of {len(images)} images and {len(captions)} captions is in the list '{which}': it knows the photos "
            "of Karpathy's COCO test split"
        )
    return links


def _rows(table: Mapping[int, Sequence[int]], queries: Sequence[int], gallery: Sequence[int]) -> Tensor:
    return torch.from_numpy(in_common([table.get(number, ()) for number in queries], gallery))


def listed_positives(which: str, direction: str) -> dict[int, list[int]]:
    """One of the lists of the package eccv-caption: "caption_to_image" (caption's number -> images) or the reverse."""
    found = importlib.util.find_spec("eccv_caption")  # its data are wanted, its code (and imports) are not
    if found is None or found.origin is None:
        found = require("eccv_caption", "data").__spec__
    path = Path(str(found and found.origin)).parent / "data" / f"{which}_{direction}.json"
    table = read_json(path, "list of positives")
    return {int(key): [int(v) for v in values] for key, values in table.items()}
