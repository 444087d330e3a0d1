"""The page as a whole: what it holds, what it leaves out, what it refuses."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from modalign.errors import ModalignError
from modalign.files import write_json
from modalign.metrics.corrected import TOPIC
from modalign.metrics.kernels import UNBIASED
from modalign.metrics.labels import PRECISION
from modalign.metrics.procrustes import DISPARITY
from modalign.metrics.recall import RECALL, Retrieval
from modalign.metrics.score import Measure
from modalign.model import Heads, Model
from modalign.report import write
from modalign.report.page import Absent
from modalign.report.sections import SECTIONS
from modalign.report.sheet import load
from modalign.runs.items import Items, write_lines
from modalign.views import Views

from .conftest import CREDIT, Make, edit, embeddings, method, score, scores

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The tags of a page, checked to nest; and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def ids(self) -> list[str]:
        return [i for _, a in self.tags if (i := a.get("id"))]


def test_whole_run_has_every_section_in_order(make_run: Make) -> None:
    path = write(make_run())
    page = Page(path.read_text())
    wanted = [s.id for s in SECTIONS]
    assert path.name == "report.html"
    assert [i for i in page.ids() if i in wanted] == wanted
    assert "Left out" not in page.text
    assert "Full reaches CLIP's recall (13.7 %) with 70 pairs: 2.9 times fewer." in page.text
    assert "modalign demo --out 'my runs'" in page.text
    assert "31.0" in page.text
    assert "transport_cca" in page.text
    assert "ridge 3" in page.text


def test_ids_are_unique_and_references_resolve(make_run: Make) -> None:
    page = Page(write(make_run()).read_text())
    ids = page.ids()
    assert len(ids) == len(set(ids))
    targets = [a["href"] for t, a in page.tags if t in ("a", "use") and str(a.get("href")).startswith("#")]
    assert targets
    assert {str(t)[1:] for t in targets} <= set(ids)
    assert {str(a["data-to"]) for _, a in page.tags if a.get("data-to")} <= set(ids)


def test_the_median_of_an_even_number_of_queries_is_the_lower_one_as_in_the_scores(make_run: Make) -> None:
    run = make_run(n=2)
    z = Views.from_arrays(image=torch.eye(2), text=torch.tensor([[1.0, 0.0], [0.9, 0.1]]))  # ranks 1 and 2 of text
    Items(z, {m: [{"row": i, "split": "test"} for i in range(2)] for m in z.modalities}).write(run)
    median = Retrieval()(z)["rank/text->image/median"].value
    assert median == 1.0
    page = write(run).read_text()
    assert '<th scope="row">text → image</th><td>1<small>of 2</small>' in page


def test_nothing_is_fetched(make_run: Make) -> None:
    text = write(make_run()).read_text()
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "poster"):
            value = attributes.get(name)
            if value and tag != "a":
                assert value.startswith(("data:", "#")), (tag, name, value[:60])
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text


def test_images_and_figures_have_words(make_run: Make) -> None:
    page = Page(write(make_run()).read_text())
    images = [a for t, a in page.tags if t == "img"]
    assert images
    assert all(a.get("alt") for a in images)
    figures = [a for t, a in page.tags if t == "svg" and a.get("class") == "figure" and a.get("role") == "img"]
    assert len(figures) > 6
    assert all("aria-label" in a for a in figures)


def test_same_folder_same_bytes(make_run: Make) -> None:
    run = make_run()
    first = write(run).read_bytes()
    assert write(run).read_bytes() == first


def test_captions_are_escaped(make_run: Make) -> None:
    evil = "<script>alert(1)</script>\"'&</style></svg>]]>"
    table = scores(title=evil, task=evil, attribution=evil + " https://x.org/<b>")
    table["methods"]["full"]["label"] = evil
    table["saving"]["text"] = evil
    run = make_run(names=lambda i: f"{evil}{i}", table=table)
    edit(run / "environment.json", lambda e: e | {"command": ["modalign", evil], "device": evil, "system": evil})
    edit(run / "model.json", lambda m: m | {"encoders": {"text": {"name": evil}}})
    text = write(run).read_text()
    page = Page(text)
    assert [t for t, _ in page.tags].count("script") == 1
    assert [t for t, _ in page.tags].count("style") == 1
    assert "<script>alert" not in text
    assert "<script>alert(1)</script>" in page.text.replace("< script", "<script")
    assert not any(name.startswith("on") for _, a in page.tags for name in a)


def test_control_characters_and_surrogates_do_not_reach_the_page(make_run: Make) -> None:
    text = write(make_run(names=lambda i: f"a\x00b\x1b[31m{i}")).read_text()
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)
    lone = make_run(folder="lone")
    lines = (lone / "items.jsonl").read_text().replace("thing 1", "thing \\ud800 1")
    (lone / "items.jsonl").write_text(lines)
    assert "thing ? 1" in write(lone).read_text()


def test_pictures_carry_the_credit_once(make_run: Make) -> None:
    text = write(make_run()).read_text()
    shown = CREDIT.replace("https://openmoji.org", '<a href="https://openmoji.org">https://openmoji.org</a>')
    assert "data:image/webp" in text
    assert text.count(shown) == 1
    assert shown in text.split("<footer>")[1]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("metrics.jsonl", "no training steps were logged"),
        ("scores.json", "nothing was measured"),
        ("items.safetensors", "no embeddings"),
    ],
)
def test_missing_part_leaves_its_section_out_and_says_why(make_run: Make, file: str, why: str) -> None:
    run = make_run()
    (run / file).unlink()
    page = Page(write(run).read_text())
    assert "Left out" in page.text
    assert why in page.text


def test_scores_alone_make_a_report(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", scores())
    page = Page(write(tmp_path).read_text())
    assert {"scores", "reading", "absent"} <= set(page.ids())
    assert not {"space", "gallery", "training", "architecture"} & set(page.ids())


def test_the_best_value_is_the_lowest_where_lower_is_better(tmp_path: Path) -> None:
    """full has the highest recall and the lowest Procrustes distance: its row is bold throughout, no other is."""
    write_json(tmp_path / "scores.json", scores())
    text = write(tmp_path).read_text()
    table = text[text.index("bold is the best") :].partition("</table>")[0]
    rows = dict(re.findall(r'<th scope="row">([^<]+)</th>(.*?)</tr>', table, re.DOTALL))
    best = {label: cells.count('class="best"') for label, cells in rows.items() if "<small>" in cells}
    assert best["full"] == rows["full"].count("<small>") > 5
    assert (best["CLIP"], best["CCA"]) == (0, 0)


def test_missing_pictures_fall_back_to_names(make_run: Make) -> None:
    run = make_run()
    for file in (run / "media").iterdir():
        file.unlink()
    text = write(run).read_text()
    assert "data:image/webp" not in text
    assert "thing 3" in text


def test_plain_arrays_are_named_by_row(make_run: Make) -> None:
    table = scores(methods={"full": method("full", 0.3)}, budgets=[], saving={})
    del table["attribution"]
    text = write(make_run(modalities=("x", "y"), names=None, pictures=False, table=table)).read_text()
    page = Page(text)
    assert "y, row 3" in text
    assert "<img" not in text
    assert "x → y" in page.text
    assert "Pictogram boards" in page.text


def test_items_without_splits_are_all_shown_and_it_is_said(make_run: Make) -> None:
    run = make_run(split=None)
    assert load(run).split is None
    assert "not split into training and test" in Page(write(run).read_text()).text


def test_only_the_scored_split_is_shown(make_run: Make, tmp_path: Path) -> None:
    run = make_run()
    z = embeddings(40)
    entries = {m: [{"split": "train" if i < 30 else "test", "row": i} for i in range(40)] for m in z.modalities}
    Items(z, entries).write(run)
    assert [len(x) for x in load(run).items.values()] == [10, 10]


def test_three_modalities(make_run: Make) -> None:
    found = {f"mean_recall/{p}": score(0.2) for p in ("image~text", "audio~text")}
    found |= {
        f"recall/{a}->{b}/any@5": score(0.2, what=RECALL)
        for a, b in (("image", "text"), ("text", "audio"), ("audio", "text"))
    }
    run = make_run(
        modalities=("image", "text", "audio"),
        table=scores(methods={"full": {"label": "full", "scores": found}}, budgets=[]),
    )
    page = Page(write(run).read_text())
    assert len([t for t, a in page.tags if a.get("class") == "direction"]) == 6
    assert "image ~ text" in page.text


def test_modalities_follow_the_order_of_the_heads(make_run: Make) -> None:
    run = make_run(n=4)
    model = Model.load(run)
    Model(Heads({m: model.heads[m] for m in reversed(model.heads.modalities)})).save(run)
    z = load(run).z
    assert z is not None
    assert z.modalities == ("text", "image")


def test_one_modality_and_no_pairs(tmp_path: Path) -> None:
    z = embeddings(12, ("x",))
    Items(z, {"x": [{"row": i} for i in range(12)]}).write(tmp_path)
    page = Page(write(tmp_path).read_text())
    assert "no item has a true match" in page.text
    assert "space" in page.ids()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_items(make_run: Make, n: int) -> None:
    assert write(make_run(n=n)).stat().st_size > 10_000


def test_undefined_scores_are_left_out(make_run: Make) -> None:
    table = scores()
    table["methods"]["clip"]["scores"]["mean_recall"] = score(math.nan)
    table["methods"]["cca"]["scores"]["procrustes/image~text"] = DISPARITY.score(0.5).json()
    assert "0.500" in Page(write(make_run(table=table)).read_text()).text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scores.json", "{", "damaged"),
        ("scores.json", "[]", "JSON object"),
        ("scores.json", '{"title": "x", "methods": {}}', "older version"),
        ("scores.json", '{"format": 9, "title": "x", "methods": {}}', "update modalign"),
        ("scores.json", '{"format": 2, "title": "x", "methods": []}', "scores are damaged"),
        ("scores.json", '{"format": 2, "title": "x", "methods": {"a": 3}}', "scores are damaged"),
        (
            "scores.json",
            '{"format": 2, "title": "x", "methods": {"a": {"label": "a", "scores": {"r": {"value": "x"}}}}}',
            "methods.a.r.value must be a number",
        ),
        ("scores.json", '{"format": 2, "title": "x", "methods": {}, "budgets": [3]}', "scores are damaged"),
        ("config.toml", "a = = 1", "specification is damaged"),
        ("environment.json", "3", "JSON object"),
        ("model.json", "not json", "damaged"),
        ("metrics.jsonl", "{\n{}\n", "line 1"),
        ("metrics.jsonl", "[1]\n{}\n", "line 1"),
        ("items.jsonl", "[1]\n", "damaged"),
        ("items.jsonl", "{}\n", "damaged"),
        ("items.safetensors", "xx", "damaged"),
    ],
)
def test_damaged_files_are_named(make_run: Make, file: str, content: str, message: str) -> None:
    run = make_run(n=4)
    (run / file).write_text(content)
    with pytest.raises(ModalignError, match=message) as problem:
        write(run)
    assert file.split(".")[0] in str(problem.value)
    assert not (run / "report.html").exists()


def test_damaged_picture_is_named(make_run: Make) -> None:
    run = make_run()
    (run / "media" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(ModalignError, match=r"3\.png"):
        write(run)


@pytest.mark.parametrize("place", ["../outside.png", "/etc/hostname"])
def test_pictures_outside_the_folder_are_refused(make_run: Make, place: str) -> None:
    run = make_run(n=4)
    lines = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    write_lines(run / "items.jsonl", [{**line, "picture": place} for line in lines])
    with pytest.raises(ModalignError, match="outside the run folder"):
        write(run)


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="holds no run"):
        write(tmp_path)
    with pytest.raises(ModalignError, match="not found"):
        write(tmp_path / "nowhere")


def test_non_finite_embeddings_are_refused(make_run: Make) -> None:
    run = make_run(n=4)
    z = embeddings(4)
    z.data["text"][2, 0] = torch.nan
    Items(z, {m: [{"split": "test"}] * 4 for m in z.modalities}).write(run)
    with pytest.raises(ModalignError, match="NaN"):
        write(run)


def test_sections_answer_with_markup_or_a_reason(make_run: Make, tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"format": 2, "title": "", "methods": {}})
    for section in SECTIONS:
        assert section.build(load(make_run(folder=f"run-{section.id}"))) is not None
        bare = section.build(load(tmp_path))
        assert bare is None or not isinstance(bare, Absent) or bare.why.endswith((".", ")"))


@pytest.mark.slow
def test_ten_thousand_rows_stay_small(make_run: Make) -> None:
    path = write(make_run(n=10_000, pictures=False))
    assert path.stat().st_size < 5_000_000
    assert re.search(r"\d+ of 10,000 things are shown", Page(path.read_text()).text)


def test_an_evaluation_stands_among_the_scores(make_run: Make) -> None:
    run = make_run()
    found = {
        "recall/text->image/any@1": score(0.4, 0.1, RECALL, chance=0.1, skipped=7),
        "csls_recall/text->image/any@1": score(0.45, what=replace(RECALL, topic=TOPIC), chance=0.1),
        "cka/image~text/unbiased": score(0.512, what=UNBIASED),
        "map/text->image/transfer": score(0.333, what=PRECISION),
        "mapping_error/image": score(3.2, what=Measure("Mapping error", "distance", "How far a map is off.", False)),
    }
    table = {
        "format": 2,
        "title": "x",
        "groups": 30,
        "settings": {"protocol": "coco-5k"},
        "bank": "train",
        "methods": {"full": {"label": "full", "scores": found}},
        "skipped": {"translation": "there are no words"},
    }
    (run / "evaluation.json").write_text(json.dumps(table))
    page = write(run).read_text()
    for words in ("Retrieval, hubs corrected (1)", "Transfer (1)", "Geometry (2)", "30.0 to 50.0", "7 left out",
                  "Mapping error ↓", "3.200",
                  "protocol: coco-5k", "translation left out: there are no words", "training items"):  # fmt: skip
        assert words in page, words
    (run / "evaluation.json").write_text('{"format": 2, "methods": {}}')
    with pytest.raises(ModalignError, match="scores are damaged"):
        write(run)
