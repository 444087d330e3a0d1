"""Encoders in the loop: the same start, the right parameters moving, and a run that encodes with what it trained."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modalign import cli
from modalign.errors import ModalignError
from modalign.features.encoders.image import EfficientNetLite0
from modalign.features.encoders.text import TransformerText
from modalign.features.encoders.tuned import as_tunable
from modalign.features.encoders.tuning import Tuning, digest, restore, trained
from modalign.model import Model
from modalign.registry import make
from modalign.runs import finetune as runs_finetune
from modalign.runs.items import Items
from modalign.training import TrainingSettings
from modalign.training.finetune import Together, finetune, raw_inputs
from modalign.training.loop import parameter_groups
from modalign.views import Batch, Views

COLOURS = [(220, 30, 30), (30, 180, 60), (40, 60, 220), (230, 220, 40)]
WORDS = ["red", "green", "blue", "yellow"]
TEXTS = [f"a {w} square {'on the left ' * (i % 3)}".strip() for i, w in enumerate(WORDS * 4)]
LAYERS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT of random weights with a tokenizer of whole words."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("bert")
    words = {w: i for i, w in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *sorted(set(" ".join(TEXTS).split()))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = transformers.BertConfig(**LAYERS, vocab_size=len(words), max_position_embeddings=12)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers as t

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    t.ViTModel(t.ViTConfig(**LAYERS, image_size=32, patch_size=8)).save_pretrained(folder)
    t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def pictures(n: int = 16) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(n, 32, 32, 3)) * 25
    return [
        Image.fromarray(np.clip(np.array(COLOURS[i % 4]) + noise[i], 0, 255).astype(np.uint8)) for i in range(n)
    ]  # fmt: skip


def parts_of(encoder: Any, **settings: Any) -> tuple[Any, torch.Tensor]:
    made = as_tunable(encoder).tunable(Tuning(**settings))
    items = TEXTS if encoder.modality == "text" else pictures()
    return made, raw_inputs(encoder, made, items)


# ------------------------------------------------------------------ the parts


@pytest.mark.parametrize("settings", [{"part": "last"}, {"part": "last", "blocks": 3}, {"part": "all"}])
def test_the_image_network_in_parts_is_the_encoder(settings: dict[str, Any]) -> None:
    encoder = EfficientNetLite0()
    made, rows = parts_of(encoder, **settings)
    with torch.no_grad():
        found = made.net(rows[:4])
    assert torch.allclose(found, encoder.encode(pictures(4)), atol=2e-4)
    names = trained(made.net)
    if settings["part"] == "last":
        assert rows.shape[1:] == (192, 7, 7)
        assert all(n.startswith(("blocks", "head")) for n in names)
    else:
        assert sum(p.numel() for p in names.values()) == sum(p.numel() for p in encoder.trainable().parameters())


@pytest.mark.parametrize("kind", ["text", "vision"])
@pytest.mark.parametrize("settings", [{"part": "last"}, {"part": "lora", "rank": 2}, {"part": "all"}])
def test_transformers_in_parts_are_the_encoder(
    text_folder: Path, vision_folder: Path, kind: str, settings: dict[str, Any]
) -> None:
    encoder: Any = (
        TransformerText(str(text_folder)) if kind == "text" else make("encoder", "hf-vision", folder=str(vision_folder))
    )
    if settings["part"] == "lora":
        pytest.importorskip("peft", reason="LoRA needs peft (the extra 'finetune')")
    made, rows = parts_of(encoder, **settings)
    items = TEXTS if kind == "text" else pictures()
    frozen = encoder.encode(items)
    assert torch.allclose(made.net(rows), frozen, atol=1e-5)
    names = set(trained(made.net))
    assert names
    if settings["part"] == "lora":
        assert all("lora_" in n for n in names)
    if settings["part"] == "last":
        assert not any(f".layer.{i}." in n or f".layers.{i}." in n for n in names for i in (0, 1))
        assert not any("embeddings" in n or "pooler" in n for n in names)
    assert made.net(rows).square().sum().requires_grad


def test_additions_have_the_rank_of_a_layer_at_most(text_folder: Path) -> None:
    """A rank of a million took all memory, and the system ended the program."""
    pytest.importorskip("peft", reason="LoRA needs peft (the extra 'finetune')")
    encoder = TransformerText(str(text_folder))
    full = int(encoder.dim)
    made = encoder.tunable(Tuning("lora", rank=full))
    assert any(full in p.shape for p in trained(made.net).values())
    with pytest.raises(
        ModalignError, match=f"rank {full + 1} was asked for, but the encoder's layers have {full} at most"
    ):
        encoder.tunable(Tuning("lora", rank=full + 1))


def test_tuned_weights_come_back_and_others_are_refused(text_folder: Path) -> None:
    encoder = TransformerText(str(text_folder))
    made, rows = parts_of(encoder, part="last")
    with torch.no_grad():
        for p in made.net.parameters():
            p.add_(0.01 * p.requires_grad)
    weights = trained(made.net)
    again, _ = parts_of(encoder, part="last")
    assert digest(trained(again.net)) != digest(weights)
    restore(again.net, weights)
    assert torch.equal(again.net(rows), made.net(rows))
    other, _ = parts_of(encoder, part="last", blocks=2)
    with pytest.raises(ModalignError, match="do not fit"):
        restore(other.net, weights)


def test_what_cannot_be_trained_is_said(text_folder: Path) -> None:
    with pytest.raises(ModalignError, match="no part that can be trained"):
        as_tunable(make("encoder", "logmel"))
    with pytest.raises(ModalignError, match="LoRA"):
        EfficientNetLite0().tunable(Tuning("lora"))
    with pytest.raises(ModalignError, match="has 16"):
        EfficientNetLite0().tunable(Tuning("last", blocks=16))
    with pytest.raises(ModalignError, match="has 3"):
        TransformerText(str(text_folder)).tunable(Tuning("last", blocks=4))
    with pytest.raises(ModalignError, match="part must be 'last' or 'lora' or 'all'"):
        Tuning("first")  # type: ignore[arg-type]


# ------------------------------------------------------------------ training


def both(text_folder: Path, vision_folder: Path) -> tuple[Views, dict[str, Any], Views]:
    encoders = {
        "text": TransformerText(str(text_folder)),
        "image": make("encoder", "hf-vision", folder=str(vision_folder)),
    }
    made, data = {}, {}
    for m, tuning in (("text", {"part": "lora", "rank": 2}), ("image", {"part": "last"})):
        made[m], data[m] = parts_of(encoders[m], **tuning)
    group = {m: torch.arange(16) for m in data}
    features = {"text": encoders["text"].encode(TEXTS), "image": encoders["image"].encode(pictures())}
    return Views(data, group), {m: t.net for m, t in made.items()}, Views(features, group)


def test_encoders_and_heads_learn_together_and_only_what_should(text_folder: Path, vision_folder: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft (the extra 'finetune')")
    x, nets, features = both(text_folder, vision_folder)
    heads = make("method", "cca", dim=3).fit(features)
    before = {m: {n: p.clone() for n, p in net.named_parameters()} for m, net in nets.items()}
    with torch.no_grad():
        start = Together(heads, nets)(x)
        assert torch.allclose(start["text"], heads(features)["text"], atol=1e-4)
    objective = make("objective", "clip")
    end = finetune(heads, nets, objective, x, TrainingSettings(steps=12, batch=16, lr=1e-2, every=6), share=0.5)
    assert end.step == 12
    for m, net in nets.items():
        for name, p in net.named_parameters():
            assert p.requires_grad or torch.equal(p, before[m][name]), name
        assert any(not torch.equal(p, before[m][n]) for n, p in net.named_parameters() if p.requires_grad)
    with torch.no_grad():
        z = Together(heads, nets)(x)
        assert float(objective(Batch(z, features, None, 0))) < float(objective(Batch(start, features, None, 0)))


def test_batch_norms_keep_their_statistics() -> None:
    encoder = EfficientNetLite0()
    made, rows = parts_of(encoder, part="last")
    features = Views.from_arrays(image=encoder.encode(pictures()), text=torch.randn(16, 8))
    heads = make("method", "cca", dim=3).fit(features)
    before = {n: b.clone() for n, b in made.net.named_buffers()}
    x = Views({"image": rows, "text": features["text"]}, features.group)
    finetune(heads, {"image": made.net}, make("objective", "clip"), x, TrainingSettings(steps=2, batch=16, every=1))
    assert all(torch.equal(b, before[n]) for n, b in made.net.named_buffers())


def test_encoders_learn_at_a_share_of_the_rate(text_folder: Path) -> None:
    encoder = TransformerText(str(text_folder))
    made, _ = parts_of(encoder, part="last")
    x = Views.from_arrays(text=encoder.encode(TEXTS), other=torch.randn(16, 4))
    heads = make("method", "cca", dim=3).fit(x)
    groups = parameter_groups(Together(heads, {"text": made.net}, 0.2), make("objective", "clip"), 0.01)
    assert [g["share"] for g in groups] == [1.0, 1.0, 0.2, 0.2]
    assert {id(p) for g in groups[2:] for p in g["params"]} == {
        id(p) for p in made.net.parameters() if p.requires_grad
    }  # fmt: skip


def test_settings_that_do_not_hold_are_errors(text_folder: Path) -> None:
    encoder = TransformerText(str(text_folder))
    made, rows = parts_of(encoder, part="last")
    features = Views.from_arrays(text=encoder.encode(TEXTS), other=torch.randn(16, 4))
    heads = make("method", "cca", dim=3).fit(features)
    x = Views({"text": rows, "other": features["other"]}, features.group)
    clip = make("objective", "clip")
    with pytest.raises(ModalignError, match="holds tokens"):
        finetune(heads, {"text": made.net}, clip, x, TrainingSettings(mixing=1.0))
    with pytest.raises(ModalignError, match="share"):
        finetune(heads, {"text": made.net}, clip, x, share=0.0)
    heads["text"].features.bank = torch.zeros(2, 16)
    with pytest.raises(ModalignError, match="keeps training items"):
        finetune(heads, {"text": made.net}, clip, x)


# ------------------------------------------------------------------ through the program


def shards_of_pictures(folder: Path) -> None:
    """Three WebDataset shards of eight pictures with captions."""
    folder.mkdir()
    for shard in range(3):
        with tarfile.open(folder / f"{shard:03d}.tar", "w") as tar:
            for i, picture in enumerate(pictures(24)[8 * shard : 8 * shard + 8], 8 * shard):
                buffer = io.BytesIO()
                picture.save(buffer, "PNG")
                for ending, content in {"png": buffer.getvalue(), "txt": f"a {WORDS[i % 4]} square".encode()}.items():
                    entry = tarfile.TarInfo(f"{i}.{ending}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))


@pytest.mark.slow
def test_shards_are_streamed_into_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    shards_of_pictures(tmp_path / "shards")
    (tmp_path / "mine.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nname = "webdataset"\nroot = "{tmp_path / "shards"}"\n'
        '[encoders]\nimage = "efficientnet-lite0"\ntext = "minilm"\n[method]\nname = "cca"\ndim = 3\n'
    )
    code, _, err = call(capsys, "train", tmp_path / "mine.toml")
    assert code == 0, err
    found = {}
    for name, more in {"held": [], "streamed": ["--stream"], "threads": ["--stream", "--set", "workers=3"]}.items():
        code, _, err = call(
            capsys, "finetune", tmp_path / "run", "image=last", "--out", tmp_path / name, "--set", "steps=3", "--set",
            "every=3", "--set", "batch=10", *more,
        )  # fmt: skip
        assert code == 0, err
        found[name] = Model.load(tmp_path / name)
    for m, weights in found["held"].tuned_weights.items():
        for key, value in weights.items():
            # Adam's first steps follow the sign alone, which rounding decides where a gradient is next to nothing.
            apart = (found["streamed"].tuned_weights[m][key] - value).abs() > 1e-5
            assert float(apart.float().mean()) < 0.01
            assert torch.equal(found["streamed"].tuned_weights[m][key], found["threads"].tuned_weights[m][key])


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = 0
    try:
        cli.main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_fine_tuned_run_encodes_with_what_it_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    lines = ["photo,caption,split"]
    for i, picture in enumerate(pictures(24)):
        picture.save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,a {WORDS[i % 4]} square,{'test' if i >= 20 else 'dev' if i >= 16 else 'train'}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    assert call(capsys, "embed", "table", tmp_path / "mine.csv", "--out", tmp_path / "store")[0] == 0
    (tmp_path / "mine.toml").write_text(
        f'out = "{tmp_path / "run"}"\n[data]\nstore = "{tmp_path / "store"}"\n[method]\nname = "cca"\ndim = 3\n'
    )
    assert call(capsys, "train", tmp_path / "mine.toml")[0] == 0
    tuned = tmp_path / "tuned"
    code, out, err = call(
        capsys, "finetune", tmp_path / "run", "image=last", "--out", tuned, "--set", "steps=4", "--set", "every=2",
        "--set", "batch=16", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["record"]["steps"] == 4
    with monkeypatch.context() as patch:  # what is done already decodes nothing for it
        patch.setattr(runs_finetune, "raw_inputs", pytest.fail)
        code, again, err = call(
            capsys, "finetune", tmp_path / "run", "image=last", "--out", tuned, "--set", "steps=4", "--set", "every=2",
            "--set", "batch=16", "--json",
        )  # fmt: skip
    assert (code, json.loads(again)["methods"]) == (0, json.loads(out)["methods"]), err
    moved = tmp_path / "elsewhere"
    tuned.rename(moved)  # a run may be moved: its encoder goes with it
    model = Model.load(moved)
    frozen, own = EfficientNetLite0(), make("encoder", **model.encoders["image"])
    assert own.fingerprint() == model.fingerprints["image"] != frozen.fingerprint()
    Model.load(moved).save(tmp_path / "copy")
    assert Model.load(tmp_path / "copy").encoders["image"]["run"] == str((tmp_path / "copy").resolve())
    code, out, err = call(capsys, "search", moved, "--image", tmp_path / "1.png", "--to", "text", "-k", 3, "--json")
    assert code == 0, err
    assert len(json.loads(out)["hits"]) == 3
    z, _ = Items.read(moved).split("test")
    assert torch.allclose(z["image"][:1], model.transform(own.encode([tmp_path / "20.png"]), "image"), atol=1e-5)
    code, out, err = call(
        capsys, "finetune", tmp_path / "run", "image=last", "--out", tmp_path / "new", "--new-heads", "--share", 1,
        "--set", "steps=2", "--set", "batch=16", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert Model.load(tmp_path / "new").method["new_heads"] is True
    (tmp_path / "again.toml").write_text(  # closed-form heads on the tuned encoder's features
        f'out = "{tmp_path / "again"}"\n[data]\nstore = "{tmp_path / "new" / "store"}"\n'
        '[method]\nname = "cca"\ndim = 3\n'
    )
    assert call(capsys, "train", tmp_path / "again.toml")[0] == 0
    assert Model.load(tmp_path / "again").encoders["image"]["name"] == "tuned"
    code, _, err = call(capsys, "search", tmp_path / "again", "--image", tmp_path / "1.png", "--to", "text")
    assert code == 0, err
    wrongs = {"sound=last": "sound", "image=some": "'last' or 'lora' or 'all'", "text=last,blocks=9": "9"}
    for wrong, message in wrongs.items():
        code, _, err = call(capsys, "finetune", tmp_path / "run", wrong, "--out", tmp_path / "bad")
        assert code == 2
        assert message in err
        assert err.strip().count("\n") == 0
