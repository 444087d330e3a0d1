"""Pictures as small data: URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

SIDE = 96  # pixels


def data_uri(path: Path) -> str:
    """A picture, scaled down to fit ``SIDE`` pixels, as a WebP data: URI.

    Raises:
        ModalignError: the file is no picture, is damaged, or is larger than a decoder should trust.
    """
    from PIL import Image

    from ..data.media import load_image

    picture = load_image(path, SIDE)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
