"""The server without a browser: answers, limits, and what hostile requests and files get."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="starlette is not installed (pip install 'modalign[serve]')")

from starlette.testclient import TestClient

from modalign import cli
from modalign.errors import ModalignError
from modalign.search import Index, Query
from modalign.search.space import open_space
from modalign.serve.app import UPLOAD, make_app
from modalign.serve.run import _listen as listen
from modalign.serve.run import open_state, run_server
from modalign.serve.state import State, names_of
from modalign.serve.workers import Decoders

from .conftest import ENCODERS, NASTY, Site


@pytest.fixture(scope="module")
def client(site: Site) -> TestClient:
    return TestClient(make_app(site.state), base_url="http://127.0.0.1:8765")


@pytest.fixture(scope="module")
def both(pair: Site) -> TestClient:
    return TestClient(make_app(pair.state), base_url="http://127.0.0.1:8765")


def ask(client: TestClient, *terms: dict[str, Any], address: str = "/api/search", **more: Any) -> dict[str, Any]:
    reply = client.post(address, json={"terms": list(terms), **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def term(kind: str, value: str, weight: float = 1.0) -> dict[str, Any]:
    return {"kind": kind, "value": value, "weight": weight}


def png(size: tuple[int, int] = (40, 30), colour: tuple[int, int, int] = (200, 30, 60)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def send(client: TestClient, data: bytes, modality: str = "image", kind: str = "image/png", name: str = "a.png") -> Any:
    return client.post(
        "/api/upload", params={"modality": modality, "name": name}, content=data, headers={"content-type": kind}
    )


# ------------------------------------------------------------------ answers


def test_refusals_do_not_repeat_what_nobody_could_read(client: TestClient) -> None:
    long = "x" * 50_000
    about = {"terms": [term("text", "thing")]}
    replies = [
        client.post("/api/search", json={**about, **more})
        for more in ({"k": [long]}, {"k": long}, {"correction": long}, {"to": [long]}, {"where": [long]})
    ]
    replies += [client.post("/api/why", json={**about, "id": long}), send(client, png(), kind="x" * 20_000)]
    for reply in replies:
        assert reply.status_code in (415, 422), reply.text
        assert len(reply.json()["error"]) < 2000


def test_the_page_answers_what_python_answers(client: TestClient, site: Site) -> None:
    found = ask(client, term("text", "thing 3"), term("item", "image/4", 0.5), to=["image"], k=6)["answers"][0]
    right = site.spaces[0].search(Query().text("thing 3").item("image/4", 0.5), "image", 6)
    assert [h["id"] for h in found["hits"]] == [h["id"] for h in right["hits"]]
    assert [h["cosine"] for h in found["hits"]] == pytest.approx([h["cosine"] for h in right["hits"]], abs=1e-5)
    assert found["chance"]["image"]["rank"] == 20.5
    assert found["command"].endswith("--text='thing 3' --item=image/4 --weight=item.1=0.5 --to=image -k 6")


def test_answers_hold_no_paths(client: TestClient, site: Site) -> None:
    text = json.dumps(ask(client, term("text", "thing"), to=["any"], k=100)["answers"][0]["hits"])
    text += json.dumps(client.get("/api/map/0").json())
    assert str(site.media) not in text
    assert "passwd" not in text
    assert "/tmp" not in text


def test_an_uploaded_picture_is_what_the_command_line_encodes(client: TestClient, site: Site) -> None:
    picture = site.media / "7.png"
    token = send(client, picture.read_bytes()).json()["token"]
    found = ask(client, term("upload", token), to=["text"], k=8)["answers"][0]
    right = site.spaces[0].search(Query().image(picture), "text", 8)
    assert [h["id"] for h in found["hits"]] == [h["id"] for h in right["hits"]]
    assert [h["cosine"] for h in found["hits"]] == pytest.approx([h["cosine"] for h in right["hits"]], abs=1e-5)


def test_an_uploaded_sound(client: TestClient, site: Site) -> None:
    reply = send(client, (site.media / "7.wav").read_bytes(), "audio", "audio/wav", "7.wav")
    assert reply.status_code == 200, reply.text
    found = ask(client, term("upload", reply.json()["token"]), term("text", "thing"), to=["image"], k=5)["answers"][0]
    right = site.spaces[0].search(Query().audio(site.media / "7.wav").text("thing"), "image", 5)
    assert [h["id"] for h in found["hits"]] == [h["id"] for h in right["hits"]]


def test_the_page_tells_the_recall_of_an_approximate_index(client: TestClient, tmp_path: Path) -> None:
    from modalign.search import AnnSettings, Index, open_space
    from modalign.serve import answers

    z = {m: torch.randn(60, 8, generator=torch.Generator().manual_seed(i)) for i, m in enumerate("ab")}
    Index.build(tmp_path / "i", z, {m: [{"group": i} for i in range(60)] for m in z}, settings=AnnSettings("hnsw"))
    told = answers.info(State([open_space(tmp_path / "i")], ["i"]), {}, "")["spaces"][0]["recall"]
    assert told.startswith("recall@10 against exact search: b -> a: 100.0 %, chance 16.7 (across modalities); a -> b:")
    assert client.get("/api/info").json()["spaces"][0]["recall"] == ""


def test_why_shares_sum_to_the_cosine(client: TestClient) -> None:
    terms = [term("text", "thing 3"), term("item", "audio/9", 0.7), term("text", "other", -0.4)]
    found = ask(client, *terms, address="/api/why", id="image/5", to=["image"])
    assert sum(t["share"] for t in found["terms"]) == pytest.approx(found["item"]["cosine"], abs=1e-3)
    assert set(found["near_result"]) == {"image", "text", "audio"}
    assert all(len(near) == 5 for near in found["near_result"].values())
    assert found["path"]["steps"][0]["item"] is None
    assert found["path"]["steps"][-1]["item"]["id"] == "image/5"
    assert found["chance"]["rank"] == 20.5
    answers = ask(client, *terms, to=["image"], k=40)["answers"][0]["hits"]
    assert found["rank"] == next(h["rank"] for h in answers if h["id"] == "image/5")


def test_the_map_and_a_query_on_it(client: TestClient) -> None:
    flat = client.get("/api/map/0").json()
    assert {m: sum(p["modality"] == m for p in flat["points"]) for m in ENCODERS} == dict.fromkeys(ENCODERS, 40)
    assert all(-0.1 < p["x"] < 1.1 and -0.1 < p["y"] < 1.1 for p in flat["points"])
    found = ask(client, term("item", "text/3"), address="/api/standing")
    assert found["standing"]["text"]["rank"][3] == 1
    assert sorted(found["standing"]["image"]["rank"]) == list(range(1, 41))
    assert len(found["query"]) == 2
    assert client.get("/api/map/5").status_code == 422


def test_two_runs_answer_and_one_may_fail(both: TestClient) -> None:
    found = ask(both, term("text", "thing 3"))["answers"]
    assert [a["space"] for a in found] == [0, 1]
    assert found[0]["hits"] != found[1]["hits"]
    found = ask(both, term("item", "image/999"))["answers"]
    assert all("no item" in a["error"] for a in found)


# ------------------------------------------------------------------ media


def test_media_are_made_anew(client: TestClient, site: Site) -> None:
    reply = client.get("/media/0/image/3")
    assert reply.headers["content-type"] == "image/webp"
    assert reply.content != (site.media / "3.png").read_bytes()
    assert Image.open(io.BytesIO(reply.content)).size == (32, 24)
    reply = client.get("/media/0/audio/3?as=sound")
    assert reply.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(reply.content)) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "address",
    [
        "/media/0/image/1",  # /etc/passwd
        "/media/0/image/1?as=video",
        "/media/0/image/3?as=file",
        "/media/0/image/999",
        "/media/0/text/3",
        "/media/0/../image/3",
        "/media/0/%2e%2e%2fetc/3",
        "/media/9/image/3",
        "/media/0/image/-1",
        "/media/0/image/3.png",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%5capp.py",
        "/api/nothing",
    ],
)
def test_nothing_else_is_served(address: str, client: TestClient) -> None:
    reply = client.get(address)
    assert reply.status_code in (404, 405)
    assert "root:" not in reply.text
    assert "import" not in reply.text


# ------------------------------------------------------------------ hostile requests


def test_headers_bind_the_page(client: TestClient) -> None:
    reply = client.get("/")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers
    assert "script" not in reply.text.replace('<script type="module" src="/static/app.js"></script>', "")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:80", "10.0.0.1"])
def test_foreign_names_are_refused(host: str, site: Site) -> None:
    client = TestClient(make_app(site.state), base_url="http://127.0.0.1")
    assert client.get("/api/info", headers={"host": host}).status_code == 421


def test_allowed_names_are_answered(site: Site) -> None:
    client = TestClient(make_app(site.state, ["board.example"], addresses=True), base_url="http://board.example:80")
    assert client.get("/api/info").status_code == 200
    assert client.get("/api/info", headers={"host": "10.0.0.1:8765"}).status_code == 200
    assert client.get("/api/info", headers={"host": "evil.example"}).status_code == 421


def test_other_sites_cannot_ask(client: TestClient) -> None:
    body = {"terms": [term("text", "a")]}
    origins = ("http://evil.example", "null", "http://[", "")
    for headers in (*({"origin": o} for o in origins), {"sec-fetch-site": "cross-site"}):
        assert client.post("/api/search", json=body, headers=headers).status_code == 403
    assert client.post("/api/search", json=body, headers={"origin": "http://127.0.0.1:8765"}).status_code == 200
    assert (
        client.post("/api/search", content=json.dumps(body), headers={"content-type": "text/plain"}).status_code == 415
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"null", b'"a"', b"[" * 30000, b'{"terms": []}', b'{"terms": [1]}',
        b'{"terms": [{"kind": "vector"}]}',
        b'{"terms": [{"kind": "text", "value": ""}]}', b'{"terms": [{"kind": "text", "value": 5}]}',
        b'{"terms": [{"kind": "text", "value": "a", "weight": 1e999}]}',
        b'{"terms": [{"kind": "text", "value": "a", "weight": "1"}]}',
        b'{"terms": [{"kind": "text", "value": "a", "weight": 1' + b"0" * 400 + b"}]}",
        b'{"terms": [{"kind": "text", "value": "a"}], "k": 0}',
        b'{"terms": [{"kind": "text", "value": "a"}], "k": true}',
        b'{"terms": [{"kind": "text", "value": "a"}], "k": 100000}',
        b'{"terms": [{"kind": "text", "value": "a"}], "to": "image"}',
        b'{"terms": [{"kind": "text", "value": "a"}], "to": ["smell"]}',
        b'{"terms": [{"kind": "text", "value": "a"}], "where": ["x"]}',
        b'{"terms": [{"kind": "text", "value": "a"}], "where": ["colour=red"]}',
        b'{"terms": [{"kind": "text", "value": "a"}], "correction": "magic"}',
        b'{"terms": [{"kind": "text", "value": "a"}], "spaces": [7]}',
        b'{"terms": [{"kind": "upload", "value": "nothing"}]}', b'{"terms": [{"kind": "item", "value": "../etc"}]}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_broken_requests_get_one_line(body: bytes, client: TestClient) -> None:
    for address in ("/api/search", "/api/why"):
        reply = client.post(address, content=body, headers={"content-type": "application/json"})
        assert reply.status_code in (400, 422), reply.text
        message = reply.json()["error"]
        assert message
        assert "Traceback" not in message
        assert "\n" not in message


def test_half_a_surrogate_pair_is_the_replacement_character(client: TestClient) -> None:
    as_json = {"content-type": "application/json"}
    asked = (json.dumps({"terms": [term("text", f"a cat {c}")]}) for c in ("\ud83d", "\ufffd"))  # escaped
    half, whole = (client.post("/api/search", content=body, headers=as_json) for body in asked)
    assert (half.status_code, half.json()) == (200, whole.json())


@pytest.mark.parametrize("address", ["/api/map/{}", "/media/{}/image/0", "/media/0/image/{}"])
def test_numbers_longer_than_rows_are_no_address(address: str, client: TestClient) -> None:
    assert client.get(address.format("9" * 5000)).status_code == 404
    assert client.get(address.format("9" * 18)).status_code in (404, 422)


def test_large_requests_are_cut_off(client: TestClient) -> None:
    body = json.dumps({"terms": [term("text", "a" * 100_000)]})
    reply = client.post("/api/search", content=body, headers={"content-type": "application/json"})
    assert (reply.status_code, "too large" in reply.json()["error"]) == (413, True)
    assert send(client, bytes(UPLOAD["image"] + 1)).status_code == 413
    assert send(client, b"").status_code == 422


def test_names_and_captions_come_as_data(client: TestClient) -> None:
    hits = ask(client, term("item", "image/0"), to=["text"], k=40)["answers"][0]["hits"]
    assert NASTY in [h["name"] for h in hits]  # as text in JSON; the page sets it as text, see the browser's tests
    reply = client.post("/api/search", json={"terms": [term("item", "image/0")], "to": ["text"]})
    assert reply.headers["content-type"] == "application/json"
    name = send(client, png(), name="../../<b>\n" + "x" * 500).json()["name"]
    assert "\n" not in name
    assert len(name) <= 120


# ------------------------------------------------------------------ hostile files


def bomb() -> bytes:
    """A PNG of a few kilobytes that claims 60,000 x 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "modality", "kind", "message"),
    [
        (b"not a picture at all", "image", "image/png", "not a picture"),
        (png()[:60], "image", "image/png", "truncated or damaged"),
        (bomb(), "image", "image/png", "pixels"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9e9' height='1'><script>alert(1)</script></svg>"[:40],
         "image", "image/svg+xml", ""),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio", "audio/wav", ""),
        (b"ID3" + bytes(500), "audio", "audio/mpeg", ""),
        (png(), "audio", "audio/wav", ""),
        (b"\x80\x04\x95cos\nsystem\n", "image", "image/png", "not a picture"),
    ],
)  # fmt: skip
def test_broken_uploads_are_named_and_hurt_nothing(
    data: bytes, modality: str, kind: str, message: str, client: TestClient
) -> None:
    reply = send(client, data, modality, kind)
    assert reply.status_code == 422, reply.text
    assert message in reply.json()["error"]
    assert send(client, png()).status_code == 200  # the next one is read


@pytest.mark.parametrize(
    ("modality", "kind"), [("image", "text/html"), ("image", ""), ("text", "text/plain"), ("smell", "image/png")]
)
def test_files_of_other_types_are_refused(modality: str, kind: str, client: TestClient) -> None:
    assert send(client, png(), modality, kind).status_code in (415, 422)


def test_a_file_that_takes_too_long_is_given_up() -> None:
    decoders = Decoders(1)
    try:
        assert decoders.ask({"op": "picture", "side": 8}, png()).header["type"] == "image/webp"
        decoders.seconds = 1.0
        process = decoders._all[0]
        os.kill(process.child.pid, signal.SIGSTOP)  # as good as an endless loop
        with pytest.raises(ModalignError, match="takes longer than 1 s"):
            decoders.ask({"op": "picture", "side": 8}, png())
        assert not process.alive()
        decoders.seconds = 60.0
        assert decoders.ask({"op": "picture", "side": 8}, png()).data  # by a new process
    finally:
        decoders.close()


def test_a_decoder_that_dies_is_replaced() -> None:
    decoders = Decoders(1)
    try:
        decoders.ask({"op": "picture", "side": 8}, png())
        process = decoders._all[0]
        process.child.kill()
        process.child.wait()
        assert decoders.ask({"op": "picture", "side": 8}, png()).data
        assert decoders._all[-1] is not process
    finally:
        decoders.close()
    assert all(not p.alive() for p in decoders._all)


def test_a_decoder_gets_little_memory_and_no_files(tmp_path: Path) -> None:
    code = (
        "import modalign.serve.decoder as d; d.MEMORY = 1 << 30; d._limit()\n"
        "try: x = bytearray(2 << 30)\nexcept MemoryError: print('refused')\n"
        "import os, pathlib, sys\n"
        "try: pathlib.Path(sys.argv[1]).write_text('x' * 100)\nexcept OSError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused", "refused"]


# ------------------------------------------------------------------ the state


def test_uploads_are_forgotten_in_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modalign.serve.state.UPLOADS", 2)
    state = State(site.spaces, ["left"], site.state.decoders)
    tokens = [state.upload("image", f"{i}", png(colour=(i, 0, 0))) for i in range(3)]
    with pytest.raises(ModalignError, match="forgotten"):
        state.query(state.request({"terms": [term("upload", tokens[0])]}), 0)
    query, rows = state.query(state.request({"terms": [term("upload", tokens[2])]}), 0)
    assert np.linalg.norm(query.compose(rows)) == pytest.approx(1.0)
    with pytest.raises(ModalignError, match="no run here has an encoder for 'smell'"):
        state.upload("smell", "a", b"x")


def test_names_tell_runs_apart() -> None:
    assert names_of([Path("/a/full"), Path("/b/full")]) == ["a/full", "b/full"]
    assert names_of([Path("/a/one"), Path("/b/two")]) == ["one", "two"]
    assert len(set(names_of([Path("/a/one"), Path("/a/one")]))) == 2


def test_a_large_space_is_sampled_on_the_map() -> None:
    """Ten thousand items stay a page that a browser takes."""
    import torch

    from modalign.search import Space
    from modalign.search.gallery import in_memory
    from modalign.serve import answers

    z = torch.nn.functional.normalize(torch.randn(10_000, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    items = [{"group": i, "text": f"thing {i}"} for i in range(10_000)]
    gallery = in_memory({"a": z, "b": z}, {"a": items, "b": items})
    state = State([Space(Path("x"), gallery, None)], ["x"])
    flat = answers.atlas(state, 0)
    assert flat["of"] == {"a": 10_000, "b": 10_000}
    assert 500 < len(flat["points"]) <= 1500
    assert len(json.dumps(flat)) < 1_000_000


def test_texts_that_wait_are_encoded_together(site: Site) -> None:
    """Twenty people at once get what each would get alone, from few batches."""
    import threading

    state = State(site.spaces, ["left"], site.state.decoders)
    encoder = site.spaces[0].encoder("text")
    batches: list[int] = []

    class Counting:
        def encode(self, items: list[str]) -> Any:
            batches.append(len(items))
            while sum(batches) + len(state._waiting) < 20:  # the first one works until all others wait
                time.sleep(0.001)
            return encoder.encode(items)

    table = json.dumps(ENCODERS["text"], sort_keys=True)
    import hashlib

    state._encoders[hashlib.blake2b(table.encode(), digest_size=8).hexdigest()] = Counting()
    found: dict[int, Any] = {}

    def one(i: int) -> None:
        query, rows = state.query(state.request({"terms": [term("text", f"thing {i}")]}), 0)
        found[i] = query.compose(rows)

    people = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for thread in people:
        thread.start()
    for thread in people:
        thread.join()
    assert sum(batches) == 20
    assert len(batches) <= 2
    for i in (0, 7, 19):
        assert found[i] == pytest.approx(site.spaces[0].encode("text", f"thing {i}"), abs=1e-5)


def test_a_text_that_cannot_be_encoded_hurts_nobody_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(site.spaces, ["left"], site.state.decoders)
    encoder = site.spaces[0].encoder("text")
    monkeypatch.setattr(type(encoder), "encode", lambda self, items: (_ for _ in ()).throw(ModalignError("broken")))
    with pytest.raises(ModalignError, match="broken"):
        state.query(state.request({"terms": [term("text", "a")]}), 0)
    monkeypatch.undo()
    query, rows = state.query(state.request({"terms": [term("text", "a")]}), 0)
    assert rows.shape == (1, 24)
    assert query.terms[0].value == "a"


# ------------------------------------------------------------------ videos, and the program


def test_videos_are_shown_and_played(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed (pip install 'modalign[video]')")
    import torch

    from modalign.search import Space
    from modalign.search.gallery import in_memory

    with av.open(str(tmp_path / "0.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", 10)
        stream.width, stream.height = 64, 48
        for i in range(20):
            picture = np.full((48, 64, 3), 12 * i, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        film.mux(stream.encode())
    (tmp_path / "1.mp4").write_text("<script>alert(1)</script>")
    items = [{"group": i, "uri": str(tmp_path / f"{i}.mp4")} for i in range(2)]
    state = State([Space(tmp_path, in_memory({"video": torch.eye(2)}, {"video": items}), None)], ["films"])
    client = TestClient(make_app(state), base_url="http://127.0.0.1")
    try:
        frame = client.get("/media/0/video/0?as=frame")
        assert frame.headers["content-type"] == "image/webp"
        assert 60 < np.asarray(Image.open(io.BytesIO(frame.content)).convert("L")).mean() < 180  # from the middle
        film = client.get("/media/0/video/0?as=video", headers={"range": "bytes=4-7"})
        assert (film.status_code, film.content) == (206, b"ftyp")
        assert film.headers["content-type"] == "video/mp4"
        assert "sandbox" in film.headers["content-security-policy"]
        for address in ("/media/0/video/1?as=frame", "/media/0/video/1?as=video"):
            assert client.get(address).status_code == 404
        hit = ask(client, term("item", "video/0"), to=["video"])["answers"][0]["hits"][0]
        assert (hit["video"], hit["picture"]) == ("/media/0/video/1?as=video", "/media/0/video/1?as=frame")
    finally:
        state.decoders.close()


def test_what_is_loaded_in_the_background_ends_with_the_server(
    folders: tuple[list[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn

    told: list[bool] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    warm = State.warm
    monkeypatch.setattr(State, "warm", lambda self, ended: told.append(ended.wait(60)))
    run_server([folders[0][0]], port=0, threads=1)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(60)
    assert told == [True]
    state, ended = State([open_space(folders[0][0])], ["index"]), threading.Event()
    ended.set()
    monkeypatch.setattr(state, "_text", lambda *given: told.append(False))
    monkeypatch.setattr(state.analysis[0], "hubs", lambda m: told.append(False))
    try:
        warm(state, ended)
    finally:
        state.decoders.close()
    assert told == [True]  # nothing more is begun


BUSY = """
import sys, time
from modalign import cli
from modalign.serve import answers, state

def load(self, ended):
    print("loading", file=sys.stderr, flush=True)
    time.sleep(600)

def search(*given):
    print("answering", file=sys.stderr, flush=True)
    time.sleep(600)

state.State.warm, answers.search = load, search
cli.main(["serve", sys.argv[1], "--port", "0"])
"""


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("asked", [False, True], ids=["idle", "asked"])
def test_the_program_ends_at_once_while_it_loads_and_while_it_answers(
    how: signal.Signals, asked: bool, folders: tuple[list[Path], Path]
) -> None:
    import http.client
    import re

    command = [sys.executable, "-c", BUSY, str(folders[0][0])]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        lines = [server.stderr.readline() for _ in range(2)]
        port = re.search(r"http://127\.0\.0\.1:(\d+)/", "".join(lines))
        assert port is not None, lines
        assert "loading\n" in lines
        if asked:
            connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=90)
            connection.request("POST", "/api/search", "{}", {"content-type": "application/json"})
            assert server.stderr.readline() == "answering\n"
        server.send_signal(how)
        out, err = server.communicate(timeout=120)  # of the 600 seconds that either would take
        assert (server.returncode, out, err) == (0, "", "")
    finally:
        server.kill()
        server.wait()


def test_a_signal_that_comes_as_a_wait_begins_leaves_nothing_to_wait_for(folders: tuple[list[Path], Path]) -> None:
    """It came between the taking of a lock and the block that gives it back: the program then never ended."""
    late = (
        "\nimport signal, threading\nplain = threading.Event.wait\n"
        "def wait(self, timeout=None):\n"
        "    starts = sys._getframe(1).f_code.co_name == 'start'\n"
        "    if threading.current_thread() is threading.main_thread() and not starts:\n"
        "        threading.Event.wait = plain\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # there is one signal\n"
        "        self._cond.acquire()\n"
        "        raise KeyboardInterrupt\n"
        "    return plain(self, timeout)\n"
        "threading.Event.wait = wait\n"
    )
    command = [sys.executable, "-c", BUSY.replace("\ncli.main", late + "\ncli.main"), str(folders[0][0])]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        assert "loading\n" in [server.stderr.readline() for _ in range(2)]
        server.send_signal(signal.SIGTERM)
        assert server.communicate(timeout=60)[1] == ""
        assert server.returncode == 0
    finally:
        server.kill()
        server.wait()


def test_rows_of_old_and_new_items_in_one_list_are_no_queries(tmp_path: Path) -> None:
    facts = {"migration": "moved", "mixed": True}
    Index.build(tmp_path / "index", {"text": torch.eye(3)}, {"text": [{"id": i} for i in "abc"]}, facts=facts)
    with pytest.raises(ModalignError, match="old and new items of a migration in one list: ask it by  modalign search"):
        open_state([tmp_path / "index"])


@pytest.mark.usefixtures("hears_ctrl_c")
def test_the_program_serves_until_it_is_interrupted(
    folders: tuple[list[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import http.client
    import re

    command = [sys.executable, "-m", "modalign", "serve", str(folders[0][0]), "--port", "0", "--threads", "1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        port = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert port is not None, line
        connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=90)
        connection.request("GET", "/api/info")
        assert json.loads(connection.getresponse().read())["spaces"][0]["name"] == "index"
        with pytest.raises(SystemExit) as taken:
            cli.main(["serve", str(folders[0][0]), "--port", port[1]])
        said = capsys.readouterr().err
        assert (taken.value.code, said.count("\n")) == (2, 1)
        assert "choose another with --port" in said
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=90)
        assert (server.returncode, out, err) == (0, "", "")
    finally:
        server.kill()
        server.wait()


def test_items_of_two_data_sets_are_never_taken_for_each_other(tmp_path: Path) -> None:
    """Row 3 of one run and row 3 of another are two things; only runs of the same items are compared by item."""
    from starlette.testclient import TestClient

    from modalign.search import Space, in_memory
    from modalign.serve.app import make_app
    from modalign.serve.state import State

    draw = torch.Generator().manual_seed(0)
    spaces = []
    for name, words in (("left", "dog"), ("right", "cat"), ("again", "dog")):
        z = {m: torch.randn(30, 8, generator=draw) for m in ("text", "sensor")}
        items = {"text": [{"group": i, "row": i, "text": f"{words} {i}"} for i in range(30)],
                 "sensor": [{"group": i, "row": i} for i in range(30)]}  # fmt: skip
        spaces.append(Space(tmp_path / name, in_memory(z, items), None))
    client = TestClient(make_app(State(spaces, ["left", "right", "again"])), base_url="http://127.0.0.1")
    query = {"terms": [{"kind": "item", "value": "text/3"}], "to": ["text"], "k": 5}
    left, right, again = client.post("/api/search", json=query).json()["answers"]
    assert all(h["name"].startswith("dog") for answer in (left, again) for h in answer["hits"])
    assert "right does not know this item" in right["error"]
    asked = client.post("/api/search", json={**query, "spaces": [1]}).json()["answers"][0]["hits"]
    assert {h["thing"] for h in asked} & {h["thing"] for h in left["hits"]} == set()
    by_id = {h["id"]: h["thing"] for h in left["hits"]}
    assert all(h["thing"] == by_id[h["id"]] for h in again["hits"] if h["id"] in by_id)
    thing = asked[0]["thing"]
    body = {"terms": [{"kind": "item", "value": asked[0]["id"], "thing": thing}], "spaces": [0]}
    assert "does not know" in client.post("/api/search", json=body).json()["answers"][0]["error"]
    assert (
        client.post("/api/why", json={**query, "spaces": [0], "id": asked[0]["id"], "thing": thing}).status_code == 422
    )


def test_rows_of_plain_numbers_are_of_their_own_data(tmp_path: Path) -> None:
    from modalign.search import Space, in_memory
    from modalign.search.part import Place
    from modalign.serve.things import thing

    z = {"sensor": torch.eye(4)}
    entries = {"sensor": [{"group": i, "row": i} for i in range(4)]}
    one, two = (Space(tmp_path / name, in_memory(z, entries), None) for name in ("one", "two"))
    place = Place("sensor", 2)
    assert thing(one, place, entries["sensor"][2]) != thing(two, place, entries["sensor"][2])
    assert thing(one, place, entries["sensor"][2]) == thing(one, place, dict(entries["sensor"][2]))


def test_what_is_not_read_of_a_search_is_told(client: TestClient) -> None:
    told = ask(client, {"kind": "text", "value": "nan"})["answers"][0]["notes"]
    assert told == ['1 text reads as a word what programs write for nothing: "nan"']
    assert ask(client, {"kind": "text", "value": "a red picture"})["answers"][0]["notes"] == []


def test_every_address_of_the_machine_is_that_of_ipv4_too() -> None:
    with contextlib.ExitStack() as open_:
        try:
            listener = open_.enter_context(listen("::", 0))
        except ModalignError:
            pytest.skip("this machine has no IPv6")
        address = "127.0.0.1", listener.getsockname()[1]
        assert open_.enter_context(socket.create_connection(address, timeout=5)).getpeername() == address
