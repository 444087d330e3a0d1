"""Small whole files and folders of every kind that modalign reads: what the fuzzer damages."""

from __future__ import annotations

import io
import json
import tarfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from modalign.data.manifest import Manifest
from modalign.data.table_out import write_table
from modalign.features.embed import embed
from modalign.features.encoders.base import FrozenEncoder, source
from modalign.runs.train import align_arrays
from modalign.search import AnnSettings, Index

PHOTO, SOUND = "1000268201_693b08cb0e.jpg", "Fire Alarm.wav"


class Letters(FrozenEncoder):
    """Counts of letters."""

    modality, dim, batch_size = "text", 26, 8

    def description(self) -> dict[str, Any]:
        return {"encoder": "letters"}

    def collate(self, items: Any) -> list[str]:
        return [str(source(i)) for i in items]

    def __call__(self, batch: list[str]) -> torch.Tensor:
        return torch.tensor([[1.0 + t.count(chr(97 + k)) for k in range(26)] for t in batch])


def picture(kind: str = "png") -> bytes:
    out = io.BytesIO()
    pixels = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(9, 12, 3)
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def tone(rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((9000 * np.sin(np.arange(rate // 4) / 9)).astype("<i2").tobytes())
    return out.getvalue()


def files(folder: Path, content: dict[str, Any]) -> Path:
    """Write files below a folder: text, bytes, or anything else as JSON."""
    for name, value in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def shard(folder: Path) -> Path:
    with tarfile.open(folder / "0.tar", "w") as out:
        for i in range(3):
            meta = json.dumps({"caption": f"b {i}"}).encode()
            for name, blob in ((f"{i}.png", picture()), (f"{i}.txt", f"a {i}".encode()), (f"{i}.json", meta)):
                member = tarfile.TarInfo(name)
                member.size = len(blob)
                out.addfile(member, io.BytesIO(blob))
    return folder


def datasets(folder: Path) -> dict[str, Path]:
    """A small folder of every data set that reads files, by its name."""
    jpg, wav = picture("jpeg"), tone()
    photos = [{"id": i, "file_name": f"{i:012d}.jpg"} for i in (1, 2)]
    said = [{"id": 10 + i, "image_id": i, "caption": f"a thing {i}"} for i in (1, 2)]
    clotho = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n" + f"{SOUND},a,b,c,d,e\n"
    sentences = [{"video_id": "video0", "caption": "x"}]
    videos = {"videos": [{"video_id": "video0", "split": "train"}], "sentences": sentences}
    steps = [{"id": 0, "segment": [1, 5], "sentence": "cut"}]
    cooked = {"database": {"v1": {"subset": "training", "annotations": steps}}}
    esc = "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"
    labels = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n'
    segments = "# a\n# b\n# YTID, start_seconds, end_seconds, positive_labels\n"
    segments += '--abc12345_x, 0.000, 10.000, "/m/09x0r"\n'
    ontology = [{"id": "/m/09x0r", "name": "Speech", "child_ids": [], "restrictions": []}]
    content: dict[str, dict[str, Any]] = {
        "coco": {"annotations/captions_val2017.json": {"images": photos, "annotations": said}, "val2017/x.jpg": jpg},
        "flickr8k": {"captions.txt": f"image,caption\n{PHOTO},a child\n", f"Images/{PHOTO}": jpg},
        "clotho": {"clotho_captions_development.csv": clotho, f"development/{SOUND}": wav},
        "esc50": {"meta/esc50.csv": esc, "audio/1-1-A-0.wav": wav},
        "audiocaps": {"test.csv": "audiocap_id,youtube_id,start_time,caption\n1,abcdefghijk,10,a dog\n"},
        "audioset": {"class_labels_indices.csv": labels, "eval_segments.csv": segments, "ontology.json": ontology},
        "msrvtt": {"MSRVTT_data.json": videos, "MSRVTT_JSFUSION_test.csv": "key,video_id,sentence\nr,video0,a man\n"},
        "youcook2": {"youcookii_annotations_trainval.json": cooked},
        "howto100m": {"caption.json": {"v1": {"start": [0, 4], "end": [4, 8], "text": ["cut it", "boil it"]}}},
        "folders": {"train/cat/0.png": picture(), "train/cat/0.txt": "a cat", "labels.csv": "file,label\n0.png,cat\n"},
        "clips": {"a.jpg": jpg, "a.txt": "a thing", "a.json": {"caption": "b", "split": "train"}},
        "films": {"train/a.txt": "a", "a.srt": "1\n00:00:00,000 --> 00:00:02,000\nhello\n"},
        "tuxpaint": {"stamps/animals/cat.png": picture(), "stamps/animals/cat.txt": "A cat\nde.utf8=Eine Katze\n"},
    }
    made = {name: files(folder / name, own) for name, own in content.items()}
    (folder / "webdataset").mkdir()
    made["webdataset"] = shard(folder / "webdataset")
    rows = [{"group": i, "modality": "text", "text": f"thing {i}", "extra": {"n": i}} for i in range(4)]
    manifest = Manifest.from_rows(rows, name="rows")
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        made[f"table.{ending}"] = folder / f"list.{ending}"
        write_table(manifest, made[f"table.{ending}"])
    made["table.wide"] = files(folder / "wide", {"list.csv": "image,caption_1\na.png,a\nb.png,b\n", "a.png": picture()})
    made["table.utf16"] = files(folder / "utf16", {"list.csv": "image,caption_1\na.png,größer\n".encode("utf-16")})
    return made


def products(folder: Path) -> dict[str, Path]:
    """A store, a run, indexes, arrays and lists, by name."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(60, 3))
    arrays = {name: (shared @ rng.normal(size=(3, 5))).astype("f4") for name in ("a", "b")}
    for name, x in arrays.items():
        np.save(folder / f"{name}.npy", x)
    np.savez(folder / "x.npz", x=arrays["a"])
    save_file({"x": torch.from_numpy(arrays["a"])}, folder / "x.safetensors")
    (folder / "pairs.csv").write_text("a,b\n0,1\n2,3\n")
    np.save(folder / "pairs.npy", np.arange(8).reshape(4, 2))
    align_arrays([folder / "a.npy", folder / "b.npy"], folder / "run", method="cca", dim=3)
    rows = [{"group": i, "modality": "text", "text": f"thing {i}", "split": "ab"[i % 2]} for i in range(6)]
    embed(Manifest.from_rows(rows, name="rows"), {"text": Letters()}, folder / "store")
    items = {"a": [{"text": f"t {i}", "year": i} for i in range(60)]}
    for kind in ("exact", "hnsw"):
        Index.build(folder / kind, {"a": arrays["a"]}, items, settings=AnnSettings(kind))
    (folder / "run.toml").write_text(
        'pairs = 3\nseed = 1\n[data]\nname = "openmoji"\n[encoders]\ntext = "minilm"\n[method]\nname = "full"\n'
    )
    (folder / "suite.toml").write_text(
        'name = "x"\nmethods = ["cca"]\nseeds = [0]\n[data]\nfeatures = "synthetic"\nn = 50\n[[settings]]\n'
        'regime = "hidden"\npairs = [5, 10]\n'
    )
    return {p.name: p for p in folder.iterdir()}


def media(folder: Path) -> dict[str, Path]:
    """Pictures and sounds."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="2cm" height="10"><rect width="5" height="5"/></svg>'
    content: dict[str, Any] = {f"p.{kind}": picture(kind) for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp")}
    return {n: files(folder, {n: c}) / n for n, c in {**content, "p.svg": svg, "s.wav": tone()}.items()}


FILMS = {
    "f.mp4": ("mp4", "libx264", "aac"), "f.mkv": ("matroska", "mpeg4", "aac"), "f.avi": ("avi", "mpeg4", "pcm_s16le"),
    "f.webm": ("webm", "libvpx-vp9", "libopus"), "f.ts": ("mpegts", "mpeg2video", "mp2"),
    "f.mov": ("mov", "mjpeg", "pcm_s16le"), "f.flv": ("flv", "flv", "aac"), "f.gif": ("gif", "gif", ""),
}  # fmt: skip
"""Name of a small film -> container, codec of its pictures and of its sound."""


def film(folder: Path, name: str) -> Path:
    """Six pictures of 32 x 32 in a quarter of a second, and a tone where the container has sound."""
    import av

    form, codec, heard = FILMS[name]
    with av.open(str(folder / name), "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        track: Any = container.add_stream(heard, rate=48000, layout="mono") if heard else None
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        if track is not None:
            wave = (9000 * np.sin(np.arange(12000) / 9)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate = 48000
            resampled = av.AudioResampler(track.format.name, "mono", 48000, track.frame_size or None).resample(frame)
            container.mux([p for f in (*resampled, None) for p in track.encode(f)])
    return folder / name
