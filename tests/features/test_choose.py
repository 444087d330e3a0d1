"""Encoders by modality: entries, defaults, names of a data set's own, shared weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modalign.data.manifest import Manifest, Row, with_soundtracks
from modalign.data.table import table
from modalign.errors import ModalignError
from modalign.features.choose import Renamed, entries_for, make_encoders, parse_entry
from modalign.features.embed import embed
from modalign.registry import make

MANIFEST = Manifest.from_rows(
    [
        Row(0, "text", text="a dog barks"),
        Row(0, "narration", text="so here we have a dog"),
        Row(0, "audio", uri="a.wav"),
        Row(0, "left", uri="left.png"),
    ]
)


def test_entries_are_names_with_settings() -> None:
    assert parse_entry("text=minilm") == ("text", {"name": "minilm"})
    assert parse_entry("narration=transformer,folder=/a=b,precision=bfloat16") == (
        "narration",
        {"name": "transformer", "folder": "/a=b", "precision": "bfloat16"},
    )
    for wrong in ("text", "text=", "=minilm", "text=minilm,precision", "text=minilm,=3"):
        with pytest.raises(ModalignError, match="an entry of a modality is written"):
            parse_entry(wrong)


def test_defaults_by_modality_and_for_words_of_other_names() -> None:
    chosen = entries_for(MANIFEST, {"left": "efficientnet-lite0"})
    assert {m: e["name"] for m, e in chosen.items()} == {
        "text": "minilm",
        "narration": "minilm",
        "audio": "logmel",
        "left": "efficientnet-lite0",
    }
    with pytest.raises(ModalignError, match="no encoder for left: give --encoder left=NAME"):
        entries_for(MANIFEST, {})
    with pytest.raises(ModalignError, match="unknown modality"):
        entries_for(MANIFEST, {"smell": "minilm"})


def test_the_name_of_a_column_that_is_no_modality_is_told_how_it_was_read() -> None:
    rows = [{"group": 0, "modality": "text", "text": "a cat", "extra": {"narration": "one cat"}}]
    table = Manifest.from_rows(rows, "table")
    for name, told in {"caption": "is read as 'text'", "narration": "metadata.*columns = { narration = "}.items():
        for refuse in (entries_for, make_encoders):
            with pytest.raises(ModalignError, match=f"unknown modality of 'table' '{name}'.*{told}"):
                refuse(table, {name: {"name": "minilm"}})


def test_cells_of_a_table_that_may_be_words_are_said_so(tmp_path: Path) -> None:
    Path(tmp_path / "t.csv").write_text("english,german\na dog,ein Hund\n")
    columns = {"english": "english", "german": "german"}
    for name in ("a dog", "ein Hund"):
        (tmp_path / name).touch()
    files = table(str(tmp_path / "t.csv"), columns=columns)
    with pytest.raises(ModalignError, match=r'if its cells are words.*words = \["english", "german"\]'):
        entries_for(files, {})
    with pytest.raises(ModalignError, match=r'words = \["german"\]'):
        make_encoders(files, {"german": {"name": "minilm"}})
    said = table(str(tmp_path / "t.csv"), columns=columns, words=["english", "german"])
    assert {e["name"] for e in entries_for(said, {}).values()} == {"minilm"}


def test_names_of_the_data_set_take_the_encoder_of_their_kind() -> None:
    made = make_encoders(MANIFEST, {"narration": {"name": "minilm"}, "left": {"name": "efficientnet-lite0"}})
    assert {m: e.modality for m, e in made.items()} == {"narration": "narration", "left": "left"}
    plain = make("encoder", "minilm")
    assert made["narration"].fingerprint() == plain.fingerprint()
    words = ["a dog", "a cat on a mat", "a dog"]
    assert isinstance(made["narration"], Renamed)
    assert torch.equal(made["narration"].encode(words), plain.encode(words))


def test_equal_entries_share_their_weights() -> None:
    entry = {"name": "minilm"}
    made = make_encoders(MANIFEST, {"text": entry, "narration": entry})
    assert isinstance(made["narration"], Renamed)
    assert made["narration"].encoder is made["text"]


@pytest.mark.parametrize(
    ("modality", "name", "reason"),
    [("audio", "efficientnet-lite0", "'audio' is one for 'image'"), ("text", "logmel", "'text' is one for 'audio'"),
     ("narration", "logmel", "'narration' holds words"), ("left", "minilm", "'left' holds files")],
)  # fmt: skip
def test_encoders_of_another_kind_are_refused(modality: str, name: str, reason: str) -> None:
    with pytest.raises(ModalignError, match=reason):
        make_encoders(MANIFEST, {modality: {"name": name}})


def test_features_take_the_name_of_their_modality(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    rows = Manifest.from_rows([Row(i, "sensor", uri=str(tmp_path / "x.npy"), extra={"index": i}) for i in range(3)])
    made = make_encoders(rows, {"sensor": {"name": "features", "path": str(tmp_path / "x.npy")}})
    assert made["sensor"].modality == "sensor"


def test_narrations_are_stored_under_their_name(tmp_path: Path) -> None:
    rows = Manifest.from_rows([Row(0, "text", text="a dog"), Row(0, "narration", text="a dog")])
    store = embed(rows, make_encoders(rows, entries_for(rows, {})), tmp_path)
    x = store.views().data
    assert torch.equal(x["text"], x["narration"])


def test_a_video_without_a_sound_track_has_no_sound(tmp_path: Path) -> None:
    """Absent, not zeros: the video stays, the sound is counted and named."""
    from fractions import Fraction

    import av
    import numpy as np

    for name, sound in (("with", True), ("without", False)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            track = container.add_stream("aac", rate=16000, layout="mono") if sound else None
            for i in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * i, np.uint8), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if track is not None:
                heard = av.AudioFrame.from_ndarray(np.ones((1, 16000), np.float32) * 0.1, format="fltp", layout="mono")
                heard.sample_rate, heard.time_base, heard.pts = 16000, Fraction(1, 16000), 0
                container.mux([*track.encode(heard), *track.encode(None)])
    films = [Row(i, "video", uri=str(tmp_path / f"{n}.mp4")) for i, n in enumerate(("with", "without"))]
    rows = with_soundtracks(Manifest.from_rows(films))
    entries = entries_for(rows, {"video": {"name": "frames", "frames": 1}})
    store = embed(rows, make_encoders(rows, entries), tmp_path / "store")
    x = store.views()
    assert x.group["video"].tolist() == [0, 1]
    assert x.group["audio"].tolist() == [0]
    assert [(f.modality, f.reason.split(":")[0]) for f in store.failures] == [("audio", "no sound track")]
