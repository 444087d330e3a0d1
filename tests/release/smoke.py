"""What an installed core must do without any extra; run by check.py in a clean environment, from an empty folder.

Prints one JSON document: versions, sizes, times. Uses the standard library, numpy and what is tested.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import wave
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Command without its extra -> the extra that its message must name. {0} stands for the list of one modality.
HINTS = {
    "demo --out demo": "demo",
    "embed openmoji --out s0": "demo",
    "serve run": "serve",
    "index run": "search",
    "export run --to hub --out hub": "hub",
    "export run --to onnx --out onnx": "onnx",
    "embed table audio.csv --out s1 --encoder audio=logmel": "audio",
    "embed table text.csv --out s3 --encoder text=minilm": "demo",
    "embed table text.csv --out s4 --encoder text=wordllama": "wordllama",
    "embed table image.csv --out s5 --encoder image=efficientnet-lite0": "demo",
    "embed table image.csv --out s6 --encoder image=hf-vision,folder=folder": "text",
    "embed hf folder --out s7": "data",
}
DEMO_PACKAGES = ("emoji", "starlette", "faiss", "transformers", "soundfile", "av", "resvg_py", "pyarrow", "onnx")


def run(*words: str, code: int = 0) -> str:
    """Standard output and error of `modalign WORDS`, whose exit code is as expected, and never a traceback."""
    done = subprocess.run([sys.executable, "-m", "modalign", *words], capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == code, f"modalign {' '.join(words)} ended with {done.returncode}, not {code}:\n{told}"
    assert "Traceback" not in told, told
    return told


def seconds(*command: str) -> float:
    """The quicker of two runs."""
    took = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        took.append(time.perf_counter() - start)
    return round(min(took), 2)


def arrays() -> None:
    """Two arrays of features, and lists of one picture, sound and sentence."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    meaning = draw.normal(size=(150, 5))
    np.save("image.npy", np.hstack([meaning, meaning**2]).astype("float32"))
    np.save("text.npy", np.hstack([meaning, np.tanh(meaning)]).astype("float32"))
    Image.new("RGB", (32, 32), "red").save("a.png")
    with wave.open("a.wav", "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(64000))
    for modality, cell in {"image": "a.png", "audio": "a.wav", "text": "a red square"}.items():
        Path(f"{modality}.csv").write_text(f"{modality}\n{cell}\n")
    Path("folder").mkdir()
    Path("folder/dataset_info.json").write_text("{}")
    Path("folder/state.json").write_text("{}")


def works() -> None:
    """The short ways, from the shell and in Python."""
    import numpy as np

    import modalign as ma

    run("diagnose", "image.npy", "text.npy")
    run("align", "image.npy", "text.npy", "--method", "cca", "--out", "run")
    assert Path("run/report.html").stat().st_size > 20_000
    run("transform", "run", "image.npy", "--modality", "image", "--out", "z.npy")
    assert np.load("z.npy").shape[0] == 150
    assert "text/" in run("search", "run", "--item", "image/0", "--to", "text", "--json")
    for family in ("dataset", "encoder", "objective", "method", "metric"):
        assert run("list", family).count("\n") > 3
    assert "Apache-2.0" in run("list", "encoder", "--licences")
    image, text = np.load("image.npy"), np.load("text.npy")
    aligner = ma.Aligner("transport_cca", dim=5).fit(image, text, pairs=[[i, i] for i in range(60)])
    assert aligner.score(image[60:], text[60:]) > 0.3
    run("align", "missing.npy", "text.npy", "--out", "no", code=2)


def holds() -> None:
    """Files that are no modules, and suites by name."""
    import modalign

    home = Path(modalign.__file__).parent
    for folder, least in {"bench/suites": 12, "report/templates": 10, "serve/static": 8}.items():
        assert len([p for p in (home / folder).iterdir() if p.suffix != ".py"]) >= least, folder
    assert (home / "py.typed").is_file()
    assert "cca" in run("bench", "synthetic", "--show")


def hints() -> dict[str, str]:
    """Command -> the extra that its refusal names."""
    found, wrong = {}, []
    for words, extra in HINTS.items():
        told = run(*words.split(), code=2)
        if f"modalign[{extra}]" in re.sub(r"\s+", "", told):
            found[words.split("--out")[0].strip()] = extra
        else:
            wrong.append(f"modalign {words} should name [{extra}]: {told}")
    assert not wrong, "\n".join(wrong)
    return found


def main() -> None:
    """All of it."""
    missing = [name for name in DEMO_PACKAGES if find_spec(name) is None]
    assert len(missing) > 5, "this is not a clean environment"
    arrays()
    works()
    holds()
    told = hints()
    place = Path(next(p for p in sys.path if p.endswith("site-packages")))
    size = sum(p.stat().st_size for p in place.rglob("*") if p.is_file()) / 2**20
    torch = sum(p.stat().st_size for p in (place / "torch").rglob("*") if p.is_file()) / 2**20
    document: dict[str, Any] = {
        "python": sys.version.split()[0],
        "versions": {n: version(n) for n in ("modalign", "torch", "numpy", "scipy", "scikit-learn", "POT")},
        "size_mib": round(size), "of_which_torch_mib": round(torch),
        "import_s": seconds("-c", "import modalign"), "help_s": seconds("-m", "modalign", "--help"),
        "hints": len(told),
    }  # fmt: skip
    print(json.dumps(document))


if __name__ == "__main__":
    main()
