"""Who may write where: refuse what is something else, say what is replaced, one writer at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from modalign import cli
from modalign.data.manifest import Manifest
from modalign.errors import ModalignError
from modalign.features.embed import embed
from modalign.features.encoders.text import MiniLM
from modalign.files import cache_folder
from modalign.outputs import MARK, claim, claim_file, kind_of, together
from modalign.runs import Run
from modalign.search import Index

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """The program: exit code, output, messages."""

    def run(*argv: object) -> tuple[int, str, str]:
        code = 0
        try:
            cli.main([str(a) for a in argv])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with arrays, a list, a specification and a suite."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 6)).astype("float32")
    np.save("a.npy", x)
    np.save("b.npy", x @ draw.normal(size=(6, 5)).astype("float32"))
    Path("list.csv").write_text("caption,narration\n" + "".join(f"dog {i},the dog {i}\n" for i in range(30)))
    Path("pairs.csv").write_text("".join(f"{i},{i}\n" for i in range(40)))
    Path("train.toml").write_text(
        'out = "OUT"\n[data]\narrays = {a = "a.npy", b = "b.npy"}\n[method]\nname = "cca"\ndim = 3\n'
    )
    return tmp_path


COMMANDS = {
    "align": ["align", "a.npy", "b.npy", "--method", "cca", "--dim", "3", "--out", "OUT"],
    "train": ["train", "train.toml", "--set", "out=OUT"],
    "embed": ["embed", "table", "list.csv", "--out", "OUT"],
    "demo": ["demo", "--out", "OUT"],
    "bench": ["bench", "quick", "--out", "OUT"],
    "migrate": ["migrate", "a.npy", "b.npy", "--pairs", "pairs.csv", "--out", "OUT"],
}


def to(command: str, out: object) -> list[str]:
    return [word.replace("OUT", str(out)) for word in COMMANDS[command]]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_other_files_is_refused_by_every_command(here: Path, call: Call, command: str) -> None:
    mine = here / "thesis"
    mine.mkdir()
    (mine / "report.html").write_text("mine")
    (mine / "config.toml").write_text("mine")
    code, _, err = call(*to(command, mine))
    assert code == 2
    assert "files that are not modalign's (config.toml, report.html): choose another --out" in err
    assert {p.name: p.read_text() for p in mine.iterdir()} == {"report.html": "mine", "config.toml": "mine"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_current_folder_is_refused_by_every_command(here: Path, call: Call, command: str) -> None:
    before = sorted(here.rglob("*"))
    for out in ("", "."):
        code, _, err = call(*to(command, out))
        assert code == 2
        assert "current folder" in err or "list.csv" in err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("target", ["OUT", "gone"])
def test_a_link_to_no_folder_is_refused_in_one_line(here: Path, call: Call, target: str) -> None:
    (here / "OUT").symlink_to(target)  # to itself, or to what is not there
    code, _, err = call(*to("align", "OUT"))
    assert (code, err) == (2, f"modalign: OUT links to {target}, which is not there: make that folder first\n")
    code, _, err = call(*to("align", "OUT/run"))
    assert (code, err.count("\n"), "OUT/run" in err) == (2, 1, True)
    (here / "real").mkdir()
    (here / "good").symlink_to("real")
    assert call(*to("align", "good"))[0] == 0
    assert Run.open(here / "real").has_items


def test_kinds_of_folders_do_not_mix(here: Path, call: Call) -> None:
    assert call(*to("align", "run"))[0] == 0
    assert call(*to("embed", "store"))[0] == 0
    assert call("index", "run", "--out", "index")[0] == 0
    assert [kind_of(here / n) for n in ("run", "store", "index")] == ["run", "store", "index"]
    for command, out, held in (("align", "store", "a feature store"), ("embed", "run", "a run"),
                               ("bench", "index", "a search index"), ("migrate", "run", "a run")):  # fmt: skip
        code, _, err = call(*to(command, out))
        assert (code, f"{out} holds {held}, not" in err) == (2, True), err
    code, _, err = call("index", "run", "--out", "store")
    assert (code, "holds a feature store, not a search index" in err) == (2, True)
    code, _, err = call(*to("demo", "run"))
    assert (code, "modalign train, which" in " ".join(err.split())) == (2, True), err


def test_a_run_that_is_replaced_is_told_and_nothing_of_it_stays(here: Path, call: Call) -> None:
    assert call(*to("align", "run"))[0] == 0
    assert call("evaluate", "run")[0] == 0
    assert Run("run").evaluation is not None
    code, _, err = call(*to("align", "run"))
    assert (code, "replaced" in err) == (0, False)
    assert Run("run").evaluation is not None  # of the same fit
    np.save("b.npy", np.load("b.npy")[::-1].copy())
    code, _, err = call(*to("align", "run"))
    assert (code, "run held a fit of other data or settings: it is replaced" in err) == (0, True), err
    assert Run("run").evaluation is None


def test_a_store_of_other_data_is_told(here: Path, call: Call) -> None:
    assert call(*to("embed", "store"), "--limit", "3")[0] == 0
    assert "replaced" not in call(*to("embed", "store"))[2]  # it grows
    assert "replaced" not in call(*to("embed", "store"))[2]
    Path("list.csv").write_text("caption\na cat\n")
    code, _, err = call(*to("embed", "store"))
    assert (code, "store held features of 30 items of 'table': it is replaced" in err) == (0, True), err


def test_an_index_of_other_items_is_told(here: Path, call: Call) -> None:
    assert call(*to("align", "run"))[0] == 0
    assert call("index", "run", "--out", "index")[0] == 0
    assert "replaced" not in call("index", "run", "--out", "index")[2]
    code, _, err = call("index", "run", "--only", "a", "--out", "index")
    told = "index held an index of other items (60 of 'a', 60 of 'b'; --add keeps them): it is replaced"
    assert (code, told in " ".join(err.split())) == (0, True), err


def test_what_is_read_is_never_written(here: Path, call: Call) -> None:
    assert call(*to("align", "run"))[0] == 0
    before = {n: Path(n).read_bytes() for n in ("a.npy", "train.toml", "pairs.csv")}
    for line in (
        ["transform", "run", "a.npy", "--modality", "a", "--out", "a.npy"],
        ["transform", "run", "a.npy", "--modality", "a", "--out", "../" + here.name + "/a.npy"],
        ["migrate", "a.npy", "--choose", "5", "--out", "a.npy"],
        ["migrate", "a.npy", "b.npy", "--pairs", "pairs.csv", "--out", "a.npy"],
        ["transform", "run", "a.npy", "--modality", "a", "--out", "train.toml"],
        ["transform", "run", "a.npy", "--modality", "a", "--out", "run"],
    ):
        code, _, err = call(*line)
        assert code == 2, line
        assert err.startswith("modalign: ")
    assert {n: Path(n).read_bytes() for n in before} == before
    Path("link.npy").symlink_to("a.npy")
    assert call("transform", "run", "a.npy", "--modality", "a", "--out", "link.npy")[0] == 2


@contextmanager
def elsewhere(holds: Callable[[], object]) -> Iterator[None]:
    """Somebody else at work at an output."""
    ready, done = threading.Event(), threading.Event()

    def work() -> None:
        with holds():  # type: ignore[attr-defined]
            ready.set()
            done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(("command", "kind", "by"), [
    ("align", "run", "train"), ("train", "run", "train"), ("embed", "store", ""), ("demo", "run", "demo"),
    ("bench", "bench", ""), ("migrate", "migration", ""),
])  # fmt: skip
def test_of_two_writers_one_is_refused(here: Path, call: Call, command: str, kind: str, by: str) -> None:
    with elsewhere(lambda: claim(here / "out", kind, by)):
        code, _, err = call(*to(command, here / "out"))
    assert (code, "another program is writing to" in err) == (2, True), err


@pytest.mark.parametrize("command", ["evaluate run", "evaluate run --robustness noise", "report run"])
def test_what_measures_or_reports_a_run_is_refused_while_it_is_written(here: Path, call: Call, command: str) -> None:
    assert call(*to("align", "run"))[0] == 0
    with elsewhere(lambda: claim(here / "run", "run", "train")):
        code, _, err = call(*command.split())
    assert (code, "another program is writing to run" in err) == (2, True), err
    assert call(*command.split())[0] == 0
    assert json.loads((here / "run" / ".modalign.json").read_text()) == {"kind": "run", "by": "train"}  # who made it


def test_of_two_writers_of_a_file_or_an_index_one_is_refused(here: Path, call: Call) -> None:
    assert call(*to("align", "run"))[0] == 0
    with elsewhere(lambda: claim_file(here / "z.npy")):
        code, _, err = call("transform", "run", "a.npy", "--modality", "a", "--out", "z.npy")
    assert (code, "another program is writing to z.npy" in err) == (2, True)
    with elsewhere(lambda: claim(here / "index", "index")):
        code, _, err = call("index", "run", "--out", "index")
    assert (code, "another program is writing to index" in err) == (2, True)
    assert call("index", "run", "--out", "index")[0] == 0
    assert Index(here / "index").count("a") > 0


def test_what_a_killed_call_left_of_a_file_goes_and_nothing_else(tmp_path: Path) -> None:
    left = [".z.npy.0123abcd.tmp", ".z.npy.89abcdef.tmp"]
    kept = [".z.npy.tmp", ".y.npy.0123abcd.tmp", "z.npy.0123abcd.tmp", ".z.npy.0123abcd.tmp.txt"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    with claim_file(tmp_path / "z.npy"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_what_killed_calls_left_half_written_goes_with_the_next_call(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text('{"kind": "run"}')
    left, kept = tmp_path / "media" / ".a.png.0123abcd.tmp", tmp_path / "index" / ".1.faiss.0123abcd.tmp"
    for path in (left, kept, tmp_path / ".notes.tmp"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "index" / MARK).touch()  # another program may be writing there
    with claim(tmp_path, "run", "align"):
        assert not left.exists()
    assert kept.exists()
    assert (tmp_path / ".notes.tmp").exists()


@pytest.mark.parametrize("moment", range(4))
def test_files_that_serve_together_are_never_of_two_versions(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(text: str) -> None:
        with together(tmp_path / "out") as place:
            (place / "head").mkdir()
            for name in ("a", "head/b"):
                (place / name).write_text(text)

    write("old")
    calls: list[Path] = []
    with monkeypatch.context() as killed:
        for name in ("unlink", "replace"):
            act = getattr(Path, name)

            def counted(self: Path, *given: object, act: Callable[..., None] = act, **named: object) -> None:
                if len(calls) == moment:
                    raise KeyboardInterrupt
                calls.append(self)
                act(self, *given, **named)

            killed.setattr(Path, name, counted)
        with pytest.raises(KeyboardInterrupt):
            write("new")
    found = {p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == ({"old"} if moment < 2 else {"new"} if moment > 2 else set())
    write("new")
    assert sorted(p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["new", "new"]


def test_a_call_that_fails_leaves_no_folder(here: Path, call: Call) -> None:
    assert call("align", "a.npy", "gone.npy", "--out", "new")[0] == 2
    assert call("embed", "table", "gone.csv", "--out", "new")[0] == 2
    assert not (here / "new").exists()
    with pytest.raises(ModalignError), claim(here / "new", "run"):
        raise ModalignError("no")
    assert not (here / "new").exists()


def test_what_embed_encodes_is_not_encoded_again_by_train_nor_the_other_way(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text encoder, three commands, one encoding of each text."""
    seen: list[int] = []
    collate = MiniLM.collate

    def counted(self: MiniLM, items: list[object]) -> object:
        seen.append(len(items))
        return collate(self, items)

    monkeypatch.setattr(MiniLM, "collate", counted)
    monkeypatch.setenv("MODALIGN_CACHE", str(here / "cache"))
    Path("run.toml").write_text(
        'out = "run"\n[data]\nname = "table"\nroot = "list.csv"\n'
        'columns = {text = "caption", narration = "narration"}\n'
        '[encoders]\ntext = "minilm"\nnarration = "minilm"\n[method]\nname = "cca"\ndim = 3\n'
    )
    line = ["embed", "table", "list.csv", "--set", 'columns={text="caption",narration="narration"}', "--out"]
    assert call(*line, "store")[0] == 0
    assert sum(seen) == 60
    assert call("train", "run.toml")[0] == 0
    assert call(*line, "other")[0] == 0
    assert sum(seen) == 60
    assert list(cache_folder().glob("features/*/*.safetensors"))
    for path in (here / "cache").rglob("*.safetensors"):
        path.unlink()  # a store needs no cache
    code, out, err = call("index", "run", "other", "--json")
    assert code == 0, err
    assert json.loads(out)["items"] == {"text": 30, "narration": 30}


def test_a_store_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    m = Manifest.from_rows([{"group": i, "modality": "text", "text": f"dog {i}"} for i in range(4)])
    embed(m, {"text": MiniLM()}, tmp_path / "s")
    for name in ("index.json", "places.safetensors", "manifest.json"):
        (tmp_path / "s" / name).unlink()
    assert kind_of(tmp_path / "s") == "store"
    assert len(embed(m, {"text": MiniLM()}, tmp_path / "s").views()["text"]) == 4
