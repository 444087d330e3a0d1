"""A captioner: words from points of the shared space, by a small transformer decoder."""

from .captioner import Captioner
from .decoder import Decoder
from .vocabulary import Vocabulary

__all__ = ["Captioner", "Decoder", "Vocabulary"]
