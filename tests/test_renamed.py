"""Names of 0.1: each one works still, with a warning, or says what to write now; the changelog lists them all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modalign import renamed
from modalign.errors import unknown

ROOT = Path(__file__).parents[1]
#: What 0.1 offered: package -> names, as its ``__all__`` had them.
OFFERED = {
    package: names.split() for package, names in json.loads((ROOT / "tests/golden/names_0_1.json").read_text()).items()
}
#: Of these: gone without a successor, since nothing used them.
GONE = {"Hits", "hits", "score_of", "Side", "add_radius", "SPACES"}

CODE = """
import importlib, json, sys, warnings
import modalign

def value(dotted):
    home, _, name = dotted.rpartition(".")
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(home), name)

def tried(dotted):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        got, said = None, ""
        try:
            got = importlib.import_module(dotted)
        except ModuleNotFoundError as problem:
            said = str(problem)
            try:
                got = value(dotted)
            except (AttributeError, ImportError) as second:
                said += "; " + str(second)
    return got, said, [(str(w.message), w.filename) for w in seen if w.category is DeprecationWarning]

answers = {}
for old, new in json.load(sys.stdin).items():
    got, said, warned = tried(old)
    wanted = value(new) if new else None
    public = [n for n in vars(wanted) if not n.startswith("_")] if wanted is not None else []
    same = got is wanted or bool(public) and all(getattr(got, n) is getattr(wanted, n) for n in public)
    answers[old] = {"same": got is not None and same, "there": got is not None, "said": said, "warned": warned}
print(json.dumps(answers))
"""


UNKNOWN = ["modalign.nothing", "modalign.heads.nothing", "modalign.datasets.nothing", "modalign.search.nothing"]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What a fresh process gets for every name of 0.1: the new thing or an error, and the warnings on the way."""
    listed = [f"{package}.{name}" for package, names in OFFERED.items() for name in names]
    below = ["modalign.workflow.fitting", "modalign.diagnose.pairs", "modalign.datasets.coco"]
    names = dict(renamed.FORWARDED) | {
        n: renamed.FORWARDED.get(n) for n in [*renamed.REPLACED, *listed, *below, *UNKNOWN]
    }
    code = [sys.executable, "-c", CODE]
    return json.loads(subprocess.run(code, input=json.dumps(names), check=True, capture_output=True, text=True).stdout)


def test_every_forwarded_name_is_the_new_one_and_warns_where_it_is_used(found: dict[str, dict[str, Any]]) -> None:
    for old, new in renamed.FORWARDED.items():
        assert found[old]["same"], (old, found[old])
        assert [f"{old} is now {new}; the old name goes with version 0.3", "<string>"] in found[old]["warned"], old


def test_every_replaced_name_says_what_to_write(found: dict[str, dict[str, Any]]) -> None:
    for old, new in renamed.REPLACED.items():
        assert f"{old} is no longer there: write {new}" in found[old]["said"]
        assert not found[old]["warned"]
    assert renamed.REPLACED["modalign.workflow"] in found["modalign.workflow.fitting"]["said"]
    assert renamed.REPLACED["modalign.diagnose"] in found["modalign.diagnose.pairs"]["said"]
    coco = found["modalign.datasets.coco"]
    assert coco["said"] == "the module modalign.datasets.coco is now modalign.data.coco"
    assert coco["there"]  # the function of that name


def test_all_that_0_1_offered_is_there_or_says_what_to_write(found: dict[str, dict[str, Any]]) -> None:
    names = [f"{package}.{name}" for package, listed in OFFERED.items() for name in listed if name not in GONE]
    assert len(names) == 227
    for old in names:
        assert found[old]["there"] or ": write " in found[old]["said"], (old, found[old])


def test_unknown_names_are_as_unknown_as_ever(found: dict[str, dict[str, Any]]) -> None:
    for name in UNKNOWN:
        assert not found[name]["there"]
        assert "nothing" in found[name]["said"]
        assert "write" not in found[name]["said"]


def test_settings_of_0_1_say_what_they_are_called_now() -> None:
    for (kind, name), now in renamed.SETTINGS.items():
        assert f"'{name}': it is now '{now}'" in str(unknown(f"{kind} of run.toml", name, ["data", "method"]))


def test_the_changelog_lists_every_old_name() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    listed = changelog[changelog.index("### What to write instead") : changelog.index("## 0.1.0")]
    wanted = {f"| `{old}` | `{new}` |" for old, new in renamed.FORWARDED.items()}
    wanted |= {f"| `{old}` | {now} |" for old, now in renamed.REPLACED.items()}
    assert {line for line in listed.splitlines() if line.startswith("| `")} == wanted
