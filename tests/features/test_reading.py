"""Texts that an encoder does not read as they are: cut, unknown, alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from modalign import cli
from modalign.data.openmoji import openmoji
from modalign.features.choose import Renamed
from modalign.features.encoders.text import MiniLM
from modalign.features.reading import remarks
from modalign.features.store import Store
from modalign.model import Heads, Model
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.search import Index

LONG = [f"{'woof ' * 600}{end}" for end in ("here", "there")]
CHINESE = ["狗在奔跑", "猫在睡觉", "鱼在唱游"]


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    cli.main([str(a) for a in argv])
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_captions_that_differ_behind_the_cut_are_told(minilm: MiniLM) -> None:
    same = minilm.encode(LONG)
    assert torch.allclose(same[0], same[1])
    cut, alike = remarks([*LONG, "a dog"], minilm)
    assert cut.startswith("2 texts are longer than the 256 tokens that are read, and were cut: ")
    assert alike.startswith("2 different texts are read alike, as 1: ")


def test_texts_without_a_known_word_are_told(minilm: MiniLM) -> None:
    lines = remarks([*CHINESE, "a dog", "ein Hündchen"], minilm)
    assert lines == ['3 texts hold no word that the encoder knows: "狗在奔跑", "猫在睡觉", "鱼在唱游"',
                     '3 different texts are read alike, as 1: "狗在奔跑"']  # fmt: skip


def test_case_and_blanks_make_no_other_text(minilm: MiniLM) -> None:
    assert remarks(["Über  den Hügel", "über den hügel"], minilm) == []


def test_names_of_pictograms_that_share_a_vector_are_told(minilm: MiniLM) -> None:
    """Every text that is told to be read alike has the vector of another one."""
    texts = [t for t in openmoji(language="zh").text if t]
    told = next(line for line in remarks(texts, minilm) if "read alike" in line)
    total, groups = (int(part.replace(",", "")) for part in (told.split()[0], told.split(", as ")[1].split(":")[0]))
    vectors = {tuple((v * 1e4).round().int().tolist()) for v in minilm.encode(texts)}
    assert len(texts) - (total - groups) == pytest.approx(len(vectors), abs=2)


def test_an_encoder_under_another_name_tells_the_same(minilm: MiniLM) -> None:
    assert remarks(LONG, Renamed(minilm, "narration")) == remarks(LONG, minilm)


def test_embed_and_search_tell_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"caption": t}) + "\n" for t in [*LONG, *CHINESE, "a dog"]))
    found = json.loads(printed(capsys, "embed", "table", path, "--out", tmp_path / "s", "--json"))
    assert [n.split(":")[0] for n in found["notes"]] == ["text"] * 3
    assert list(Store.open(tmp_path / "s").notes) == found["notes"]
    assert "note: text: 2 texts are longer than the 256 tokens" in printed(
        capsys, "embed", "table", path, "--out", tmp_path / "s"
    )
    heads = Heads({"text": Head(FeatureMap(384), Projection(384, 8))})
    Model(heads, {"text": {"name": "minilm"}}, {}, {"name": "test"}).save(tmp_path / "run")
    Index.build(tmp_path / "index", {"text": torch.eye(8)}, {"text": [{"text": str(i)} for i in range(8)]},
                model=tmp_path / "run")  # fmt: skip
    words = "woof " * 400
    out = printed(capsys, "search", tmp_path / "index", words)
    assert "note: 1 text is longer than the 256 tokens" in out
    assert json.loads(printed(capsys, "search", tmp_path / "index", "a dog", "--json"))["notes"] == []
