"""modalign: geometric alignment of multimodal representations."""

__version__ = "0.1.0"
