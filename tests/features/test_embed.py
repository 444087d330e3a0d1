"""Encoding into the store: whole or absent, resumed after a kill, never stale, broken items named."""

import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch

from modalign.data import media
from modalign.data.manifest import Manifest
from modalign.errors import MissingExtraError, ModalignError
from modalign.features.batches import encode_batches
from modalign.features.embed import embed, embed_cached
from modalign.features.encoders.base import FrozenEncoder, source
from modalign.features.store import Store
from modalign.files import cache_folder


class Letters(FrozenEncoder):
    """Counts of letters; kills its process after so many batches."""

    modality, dim, batch_size, shard_size = "text", 26, 3, 6

    def __init__(self, die_after=10**9, version=1):
        self.left, self.version, self.seen = die_after, version, []

    def description(self):
        return {"encoder": "letters", "version": self.version}

    def collate(self, items):
        return [source(i) for i in items]

    def __call__(self, batch):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        self.seen += batch
        return torch.tensor([[float(t.count(chr(97 + k))) for k in range(26)] for t in batch]) + self.version


def words(n=40):
    rows = [
        {"group": i, "modality": "text", "text": f"{'abc'[i % 3] * (i + 1)} w{i}", "split": "ab"[i % 2]}
        for i in range(n)
    ]
    return Manifest.from_rows(rows, name="words")


class Colour(FrozenEncoder):
    """Mean colour of a picture."""

    modality, dim, batch_size, shard_size, parallel = "image", 3, 4, 8, True

    def description(self):
        return {"encoder": "colour"}

    def collate(self, items):
        return [media.load_image(source(i)) for i in items]

    def __call__(self, batch):
        return torch.tensor([[float(v) for v in p.resize((1, 1)).getpixel((0, 0))] for p in batch])


def pictures(folder: Path, n=10):
    from PIL import Image

    for i in range(n):
        Image.new("RGB", (2, 2), (i, 2 * i, 200)).save(folder / f"{i}.png")
    rows = [{"group": i, "modality": "image", "uri": str(folder / f"{i}.png")} for i in range(n)]
    return Manifest.from_rows(rows, name="pictures")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_features_groups_and_rows_line_up(tmp_path):
    m = words(10)
    store = embed(m, {"text": Letters()}, tmp_path)
    views = store.views()
    assert views.row["text"].tolist() == list(range(10))
    assert views.group["text"].tolist() == list(range(10))
    for i, row in enumerate(m):
        assert views["text"][i, 0] == row.text.count("a") + 1
    half = store.views("b")
    assert half.row["text"].tolist() == [1, 3, 5, 7, 9]
    assert torch.equal(half["text"], views["text"][1::2])


def test_open_gives_what_embed_gave(tmp_path):
    store = embed(words(), {"text": Letters()}, tmp_path / "s")
    again = Store.open(tmp_path / "s")
    assert again.fingerprint == store.fingerprint
    assert torch.equal(again.views()["text"], store.views()["text"])
    assert list(again.manifest) == list(store.manifest)
    assert again.encoders["text"]["description"] == {"encoder": "letters", "version": 1}
    expected = store.views()["text"]
    (tmp_path / "s").rename(tmp_path / "moved")
    assert torch.equal(Store.open(tmp_path / "moved").views()["text"], expected)


def test_second_run_does_no_work(tmp_path):
    embed(words(), {"text": Letters()}, tmp_path)
    before, encoder, calls = files(tmp_path), Letters(), []
    embed(words(), {"text": encoder}, tmp_path, progress=lambda *news: calls.append(news))
    assert encoder.seen == []
    assert calls == []
    assert files(tmp_path) == before


def test_progress_counts_to_the_end(tmp_path):
    calls = []
    embed(words(), {"text": Letters()}, tmp_path, progress=lambda *news: calls.append(news))
    assert calls[0] == (0, 40, "encoding text")
    assert calls[-1] == (40, 40, "encoding text")
    assert [c[0] for c in calls] == sorted(c[0] for c in calls)


@pytest.mark.parametrize("batches", [0, 1, 5, 9])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, children, batches):
    code, _ = children.ran(lambda: embed(words(), {"text": Letters(die_after=batches)}, tmp_path / "killed"))
    assert code == -signal.SIGKILL
    with pytest.raises(ModalignError, match="no feature store"):
        Store.open(tmp_path / "killed")
    encoder = Letters()
    resumed = embed(words(), {"text": encoder}, tmp_path / "killed")
    whole = embed(words(), {"text": Letters()}, tmp_path / "whole")
    assert len(encoder.seen) == 40 - batches * 3 // 6 * 6  # whole shards stay
    assert torch.equal(resumed.views()["text"], whole.views()["text"])
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_changed_text_encodes_only_what_changed(tmp_path):
    embed(words(), {"text": Letters()}, tmp_path)
    rows = [r._asdict() for r in words()]
    rows[7]["text"] = "zzz"
    encoder = Letters()
    store = embed(Manifest.from_rows(rows), {"text": encoder}, tmp_path)
    assert encoder.seen == ["zzz"]
    assert store.views()["text"][7, 25] == 4


def test_changed_file_encodes_only_what_changed(tmp_path):
    from PIL import Image

    (tmp_path / "p").mkdir()
    m = pictures(tmp_path / "p")
    embed(m, {"image": Colour()}, tmp_path / "s")
    Image.new("RGB", (2, 2), (99, 98, 97)).save(tmp_path / "p" / "4.png")
    calls = []
    store = embed(m, {"image": Colour()}, tmp_path / "s", progress=lambda *news: calls.append(news))
    assert calls == [(9, 10, "encoding image"), (10, 10, "encoding image")]
    assert store.views()["image"][4].tolist() == [99, 98, 97]
    assert store.views()["image"][5].tolist() == [5, 10, 200]


def test_changed_encoder_encodes_everything_again(tmp_path):
    old = embed(words(), {"text": Letters()}, tmp_path)
    encoder = Letters(version=2)
    new = embed(words(), {"text": encoder}, tmp_path)
    assert len(encoder.seen) == 40
    assert torch.equal(new.views()["text"], old.views()["text"] + 1)
    assert new.fingerprint != old.fingerprint


def test_equal_items_are_encoded_once(tmp_path):
    rows = [{"group": i, "modality": "text", "text": "same"} for i in range(5)]
    encoder = Letters()
    store = embed(Manifest.from_rows(rows), {"text": encoder}, tmp_path)
    assert encoder.seen == ["same"]
    assert store.views()["text"].shape == (5, 26)


def test_broken_items_are_absent_counted_and_named(tmp_path):
    m = pictures(tmp_path)
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:30])
    (tmp_path / "5.png").unlink()
    (tmp_path / "9.png").write_bytes(b"")
    store = embed(m, {"image": Colour()}, tmp_path / "s")
    views = store.views()
    assert views.row["image"].tolist() == [0, 1, 3, 4, 6, 7, 8]
    assert views["image"][2].tolist() == [3, 6, 200]
    assert [f.row for f in store.failures] == [2, 5, 9]
    assert [Path(f.item).name for f in store.failures] == ["2.png", "5.png", "9.png"]
    assert ["damaged" in f.reason or "not a picture" in f.reason for f in store.failures] == [True, False, False]
    assert sum(x.count for x in store.left_out) == 3
    assert [f.row for f in Store.open(tmp_path / "s").failures] == [2, 5, 9]


def test_mended_items_come_back(tmp_path):
    m = pictures(tmp_path)
    good = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(b"")
    broken = embed(m, {"image": Colour()}, tmp_path / "s")
    (tmp_path / "2.png").write_bytes(good)
    mended = embed(m, {"image": Colour()}, tmp_path / "s")
    assert len(broken.views()["image"]) == 9
    assert len(mended.views()["image"]) == 10
    assert mended.failures == ()
    assert mended.fingerprint != broken.fingerprint


def test_rows_that_are_not_finite_are_failures(tmp_path):
    class Bad(Letters):
        def __call__(self, batch):
            out = super().__call__(batch)
            out[[t.startswith("bb") for t in batch]] = float("nan")
            return out

    store = embed(words(9), {"text": Bad()}, tmp_path)
    assert [f.row for f in store.failures] == [1, 4, 7]
    assert "NaN" in store.failures[0].reason
    assert torch.isfinite(store.views()["text"]).all()


def test_nothing_encoded_is_an_error_and_a_missing_package_stops_the_run(tmp_path):
    rows = [{"group": 0, "modality": "image", "uri": "/absent.png"}]
    with pytest.raises(ModalignError, match=r"no item of 'manifest' could be encoded: .*/absent\.png"):
        embed(Manifest.from_rows(rows), {"image": Colour()}, tmp_path)

    class Needs(Letters):
        def collate(self, items):
            raise MissingExtraError("install it")

    with pytest.raises(MissingExtraError):
        embed(words(), {"text": Needs()}, tmp_path)


def test_encoders_must_fit_the_manifest(tmp_path):
    with pytest.raises(ModalignError, match="unknown modality of 'words' 'image'"):
        embed(words(), {"image": Colour()}, tmp_path)
    with pytest.raises(ModalignError, match="one for 'image'"):
        embed(words(), {"text": Colour()}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModalignError, match="is a file, and the output is a folder"):
        embed(words(), {"text": Letters()}, tmp_path / "file")


@pytest.mark.parametrize("cut", [0, 7, 200, -1])
def test_truncated_shards_are_detected_and_made_again(tmp_path, cut):
    store = embed(words(), {"text": Letters()}, tmp_path)
    expected = store.views()["text"]
    shard = sorted((tmp_path / "features").rglob("*.safetensors"))[2]
    shard.write_bytes(shard.read_bytes()[:cut])
    with pytest.raises(ModalignError, match=r"damaged or gone: .*\.safetensors .*encode again"):
        Store.open(tmp_path).views()
    encoder = Letters()
    again = embed(words(), {"text": encoder}, tmp_path)
    assert 0 < len(encoder.seen) <= 6
    assert torch.equal(again.views()["text"], expected)


def test_damaged_or_foreign_indices_are_refused(tmp_path):
    embed(words(), {"text": Letters()}, tmp_path)
    index = (tmp_path / "index.json").read_text()
    for text, message in [
        (index[:50], "damaged"),
        ("{}", "damaged"),
        (index.replace('"format": 1', '"format": 99'), "format 99"),
        (index.replace(words().fingerprint(), "0"), "does not fit"),
    ]:
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(ModalignError, match=message):
            Store.open(tmp_path)


def test_unknown_splits_and_modalities(tmp_path):
    store = embed(words(), {"text": Letters()}, tmp_path)
    with pytest.raises(ModalignError, match="unknown split"):
        store.views("test")
    with pytest.raises(ModalignError, match="unknown modality 'image'"):
        store.views(modalities=["image"])


def test_concurrent_runs_agree(tmp_path, monkeypatch, children):
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "cache"))
    running = [
        children.forked(lambda: [embed_cached(words(60), {"text": Letters()}) for _ in range(3)]) for _ in range(3)
    ]
    assert [child.end() for child in running] == [0, 0, 0]
    whole = embed(words(60), {"text": Letters()}, tmp_path / "alone")
    encoder = Letters()
    assert torch.equal(embed_cached(words(60), {"text": encoder}).views()["text"], whole.views()["text"])
    assert not encoder.seen
    assert not list(tmp_path.rglob("*.tmp"))
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["features"]  # nothing of one that another could replace


def test_cache_is_shared_by_manifests_and_lies_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MODALIGN_CACHE", str(tmp_path / "here"))
    first = embed_cached(words(20), {"text": Letters()})
    encoder = Letters()
    embed_cached(words(21), {"text": encoder})
    assert len(encoder.seen) == 1
    assert first.pool == (tmp_path / "here" / "features").resolve()
    monkeypatch.delenv("MODALIGN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform.startswith("linux"):
        assert cache_folder() == tmp_path / "xdg" / "modalign"


def test_a_cache_that_takes_no_files_is_done_without(tmp_path):
    """Full, or of others: the store has what it needs."""
    (tmp_path / "taken").write_text("x")
    store = embed(words(), {"text": Letters()}, tmp_path / "store", cache=tmp_path / "taken" / "features")
    assert torch.equal(store.views()["text"], embed(words(), {"text": Letters()}, tmp_path / "alone").views()["text"])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_workers(tmp_path, threads):
    m = pictures(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = list(encode_batches(list(m), Colour()))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert [places for places, _, _ in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert torch.cat([block for _, block, _ in found])[:, 0].tolist() == [float(i) for i in range(10)]


def test_encoders_that_only_follow_the_protocol_work(tmp_path):
    class Bare:
        modality, dim = "text", 1

        def fingerprint(self):
            return "bare"

        def collate(self, items):
            return [len(i.text) for i in items]

        def __call__(self, batch):
            return torch.tensor(batch)[:, None]

    store = embed(words(20), {"text": Bare()}, tmp_path)
    assert store.views()["text"][:, 0].tolist() == [float(len(r.text)) for r in words(20)]


def test_an_error_in_an_encoder_is_not_hidden(tmp_path):
    class Buggy(Colour):
        def __call__(self, batch):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        embed(pictures(tmp_path), {"image": Buggy()}, tmp_path / "s")


def test_half_and_full_precision_share_a_pool_and_never_mix(tmp_path: Path) -> None:
    full = embed(words(), {"text": Letters()}, tmp_path / "full", pool=tmp_path / "pool")
    half = embed(words(), {"text": Letters()}, tmp_path / "half", pool=tmp_path / "pool", half=True)
    again = Letters()
    embed(words(), {"text": again}, tmp_path / "half", pool=tmp_path / "pool", half=True)
    assert again.seen == []
    size = [sum(p.stat().st_size for p in s.pool.glob(f"{name}/*")) for s, name in
            ((full, Letters().fingerprint()), (half, Letters().fingerprint() + "-half"))]  # fmt: skip
    assert size[1] < 0.7 * size[0]
    assert torch.equal(Store.open(tmp_path / "half").views()["text"], full.views()["text"])  # small whole numbers


def test_what_half_precision_cannot_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModalignError, match="without --half"):
        embed(words(), {"text": Letters(version=100_000)}, tmp_path / "store", half=True)
    for version, part in ((1e-9, "reach 1e-09 alone"), (5e-5, "three digits from 6.1e-05 on")):
        flat = Manifest.from_rows([{"group": 0, "modality": "text", "text": "1"}, *words()])
        with pytest.raises(ModalignError, match=f"{part}.*without --half"):
            embed(flat, {"text": Letters(version=version)}, tmp_path / f"store-{version}", half=True)
    store = embed(flat, {"text": Letters(version=0)}, tmp_path / "zeros", half=True)  # an item of zeros is left out
    assert (len(store.views()["text"]), [x.count for x in store.left_out]) == (40, [1])


def test_a_store_remembers_its_encoders_and_says_so_only_where_it_was_told(tmp_path: Path) -> None:
    entry = {"name": "letters", "folder": str(tmp_path)}
    embed(words(), {"text": Letters()}, tmp_path / "told", entries={"text": entry})
    embed(words(), {"text": Letters()}, tmp_path / "untold")
    assert Store.open(tmp_path / "told").entries == {"text": entry}
    assert Store.open(tmp_path / "untold").entries == {}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_features() -> None:
    """100,000 rows: what is kept in memory is a few hundred bytes a row, not the features."""
    measure = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "memory.py"))["row"]
    found = measure(100_000)
    assert found["rows"] == 100_000
    assert found["MiB added"] < 0.6 * found["features, MiB"]


class Silent(Letters):
    """Says nothing of words without letters."""

    def __call__(self, batch):
        return super().__call__(batch) - self.version


def test_features_of_zeros_are_a_failure(tmp_path):
    rows = [{"group": i, "modality": "text", "text": t} for i, t in enumerate(["ab", "!!", "c"])]
    store = embed(Manifest.from_rows(rows), {"text": Silent()}, tmp_path)
    assert store.views().group["text"].tolist() == [0, 2]
    assert [(f.row, f.reason) for f in store.failures] == [
        (1, "the encoder returned features of zeros alone, which have no direction")
    ]


class Stopped(Letters):
    """Ctrl-C after some batches."""

    def __call__(self, batch):
        if self.left == 0:
            raise KeyboardInterrupt
        return super().__call__(batch)


def test_an_interruption_loses_no_batch_and_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt) as stop:
        embed(words(), {"text": Stopped(die_after=5)}, tmp_path)
    assert stop.value.__notes__ == ["15 of 40 items of 'text' are encoded and kept"]
    encoder = Letters()
    assert len(embed(words(), {"text": encoder}, tmp_path).views()["text"]) == 40
    assert len(encoder.seen) == 25


def test_shards_are_written_every_few_seconds_whatever_their_size(tmp_path, monkeypatch, children):
    monkeypatch.setattr("modalign.progress.Pause.over", lambda self: True)
    doomed = Letters(die_after=7)
    doomed.shard_size = 512
    assert children.ran(lambda: embed(words(), {"text": doomed}, tmp_path))[0] == -signal.SIGKILL
    encoder = Letters()
    embed(words(), {"text": encoder}, tmp_path)
    assert 40 - 21 <= len(encoder.seen) <= 40 - 18  # one batch may have been on its way


def test_half_a_surrogate_pair_in_a_text_is_the_replacement_character(tmp_path):
    rows = [{"group": i, "modality": "text", "text": t} for i, t in enumerate(("a\ud83d b", "whole \ud83d\ude00"))]
    manifest = Manifest.from_rows(rows, name="words")
    assert manifest.text == ("a\ufffd b", "whole \U0001f600")
    store = embed(manifest, {"text": Letters()}, tmp_path)
    assert len(Store.open(tmp_path).views()["text"]) == 2
    assert not store.failures


def test_metadata_that_is_not_finite_is_null_and_the_store_can_be_opened(tmp_path):
    import json

    extra = {"score": float("nan"), "sizes": [1.0, float("inf")]}
    rows = [{"group": i, "modality": "text", "text": t, "extra": extra} for i, t in enumerate("ab")]
    manifest = Manifest.from_rows(rows, name="words")
    embed(manifest, {"text": Letters()}, tmp_path)
    for file in tmp_path.glob("*.json"):
        json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert Store.open(tmp_path).manifest[0].extra == {"sizes": [1.0, None]}
