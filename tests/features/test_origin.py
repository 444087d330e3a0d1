"""Encoders that made vectors which lie ready: runs of arrays read new words, and other encoders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modalign import cli
from modalign.errors import ModalignError
from modalign.features.origin import origin_of
from modalign.registry import make

WORDS = [
    f"{n} {a} {b}" for n in ("two", "many") for a in ("red", "old", "wet") for b in ("dogs", "boats", "hats", "birds")
]
FACTS = {"caption": [{"text": w} for w in WORDS]}


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return make("encoder", "minilm").encode(WORDS)


def test_the_encoder_of_vectors_is_known_by_what_it_gives(vectors: torch.Tensor) -> None:
    found = origin_of({"caption": "minilm"}, {"caption": vectors.half().float()}, FACTS)
    assert found.encoders == {"caption": {"name": "minilm"}}
    assert found.fingerprints == {"caption": make("encoder", "minilm").fingerprint()}
    assert (len(found.credits), found.notes) == (1, [])
    told = "whether 'minilm' made 'caption' is not known: its table (--ids) has no words to compare"
    assert origin_of({"caption": "minilm"}, {"caption": vectors}, {}).notes == [told]


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        (
            "minilm",
            lambda x: 3 * x,
            r"gives other vectors than 'caption' has \(median cosine 1.00 of 8, theirs are 3 times",
        ),
        ("minilm", lambda x: x.roll(1, 1), "gives other vectors than 'caption' has"),
        ("wordllama", lambda x: x, "encoder 'wordllama' gives 256 numbers, but 'caption' has 384"),
        ("minilmm", lambda x: x, "unknown encoder 'minilmm': did you mean 'minilm'"),
    ],
)
def test_other_encoders_are_refused(vectors: torch.Tensor, entry: str, change: object, message: str) -> None:
    with pytest.raises(ModalignError, match=message):
        origin_of({"caption": entry}, {"caption": change(vectors)}, FACTS)  # type: ignore[operator]
    with pytest.raises(ModalignError, match="unknown modality 'captions'"):
        origin_of({"captions": "minilm"}, {"caption": vectors}, FACTS)


def test_files_may_be_copies_of_another_size(tmp_path: Path) -> None:
    encoder, facts, large = make("encoder", "efficientnet-lite0"), [], []
    for i in range(8):
        noise = np.random.default_rng(i).integers(0, 256, size=(2 + i, 3, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((300, 300), Image.Resampling.BICUBIC)
        picture.resize((8, 8)).save(tmp_path / f"{i}.png")
        large.append(encoder.encode([picture]))
        facts.append({"uri": str(tmp_path / f"{i}.png")})
    x = torch.cat(large)
    (told,) = origin_of({"photo": "efficientnet-lite0"}, {"photo": x}, {"photo": facts}).notes
    assert "gives other vectors than 'photo' has (median cosine 0." in told
    assert told.endswith(": are the image files copies of another size?")
    with pytest.raises(ModalignError, match="name the one that made them, or none"):
        origin_of({"photo": "efficientnet-lite0"}, {"photo": x.roll(1, 0)}, {"photo": facts})
    (tmp_path / "3.png").write_bytes(b"no picture")
    with pytest.raises(ModalignError, match="of 7, theirs"):  # one that cannot be decoded decides nothing
        origin_of({"photo": "efficientnet-lite0"}, {"photo": x.roll(1, 0)}, {"photo": facts})
    with pytest.raises(ModalignError, match=r"3\.png"):
        origin_of({"photo": "efficientnet-lite0"}, {"photo": x[3:4]}, {"photo": facts[3:4]})


def test_a_run_of_arrays_reads_new_words(
    tmp_path: Path, vectors: torch.Tensor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    order = np.random.default_rng(0).permutation(len(WORDS))
    ids = [f"w{i}" for i in range(len(WORDS))]
    pandas.DataFrame({"id": ids, "caption": WORDS, "vector": list(vectors.numpy())}).to_parquet("c.parquet")
    np.save("photo.npy", vectors.numpy()[order] @ np.random.default_rng(1).normal(size=(384, 30)))
    Path("photo.txt").write_text("\n".join(ids[i] for i in order))
    cli.main(
        ["align", "c.parquet#vector", "photo.npy", "--names", "caption", "photo", "--ids", "c.parquet", "photo.txt",
         "--encoder", "caption=minilm", "--method", "cca", "--holdout", "0", "--out", "run"]
    )  # fmt: skip
    capsys.readouterr()
    cli.main(["search", "run", "two wet boats", "--to", "photo", "-k", "1", "--json"])
    found = json.loads(capsys.readouterr().out)["hits"][0]
    assert (found["id"], found["name"]) == (f"photo/w{WORDS.index('two wet boats')}", "two wet boats")
    cli.main(["index", "run", "--out", "index"])
    capsys.readouterr()
    cli.main(["search", "index", "many old hats", "--to", "caption", "-k", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["hits"][0]["name"] == "many old hats"
