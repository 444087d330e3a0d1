"""Safe decoding of pictures, sounds and videos: a file becomes data, or one line says which file is broken and how."""

from .pictures import MAX_PIXELS, VERSION, Source, load_image, thumbnail, versions
from .sound import MAX_SAMPLES, SoundSource, load_sound, sound_blocks, sound_versions
from .source import HASHED_BYTES, MAX_BYTES, installed, named, open_bytes, read_bytes, signature
from .svg import SVG_PIXELS, is_svg
from .video import Frames, film_length, load_frames, sample_frames, video_versions

__all__ = [
    "Frames", "HASHED_BYTES", "MAX_BYTES", "MAX_PIXELS", "MAX_SAMPLES", "SVG_PIXELS", "VERSION", "SoundSource",
    "Source", "film_length", "installed", "is_svg", "load_frames", "load_image", "load_sound", "named", "open_bytes",
    "read_bytes", "sample_frames", "signature", "sound_blocks", "sound_versions", "thumbnail", "versions",
    "video_versions",
]  # fmt: skip
