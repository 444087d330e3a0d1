"""README and docs say what is so: their Python runs, their commands exist, their configurations are read."""

from __future__ import annotations

import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from modalign import cli, registry

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = set(cli.app) - {"--help", "-h", "--version"}


class Block(NamedTuple):
    """A block of code: its language ("" for none), text, and first line within the page."""

    language: str
    text: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    content = page.read_text()
    found = (Block(m[1], m[2], content[: m.start(2)].count("\n") + 1) for m in FENCE.finditer(content))
    return [block for block in found if block.language == language]


def named(pages: list[Path], language: str) -> list[object]:
    return [pytest.param(page, id=called(page)) for page in pages if blocks(page, language)]


def called(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", named(PAGES, "python"))
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, in order, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    parts = {family: dict(registry.parts(family)) for family in registry.FAMILIES}
    monkeypatch.setattr(registry, "_parts", parts)  # what a page registers is gone afterwards
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        code = "\n" * (block.line - 1) + block.text  # so that a traceback points into the page
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", named(PAGES, "toml"))
def test_configurations_are_toml(page: Path) -> None:
    for block in blocks(page, "toml"):
        assert tomllib.loads(block.text)


class Call(NamedTuple):
    """`modalign COMMAND --option ...` as a page names it."""

    command: str
    options: list[str]


def calls(page: Path) -> Iterator[Call]:
    """Every call of the program in blocks of code and in `...` of the text."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    fenced = re.findall(r"^(?:\w+=\S+ )*modalign (.*)$", "\n".join(m[2] for m in FENCE.finditer(text)), re.MULTILINE)
    for call in [*fenced, *re.findall(r"`modalign ([^`]+)`", text)]:
        words = shlex.split(re.sub(r"[\[\]|]|\.\.\.", " ", call), comments=True)
        options = [w.split("=")[0] for w in words[1:] if re.match(r"--?[a-z]", w)]
        if not words[0].startswith("-"):
            yield Call(words[0], options)


def options_of(command: str) -> set[str]:
    return {name for argument in cli.app[command].assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_commands_and_options_exist(page: Path) -> None:
    for call in calls(page):
        assert call.command in COMMANDS, f"{page.name}: there is no 'modalign {call.command}'"
        missing = set(call.options) - options_of(call.command)
        assert not missing, f"{page.name}: 'modalign {call.command}' has no {missing}"
    alone = set(re.findall(r"`(--[a-z][a-z-]*)", page.read_text())) - {"--no-deps"}  # pip's own
    assert alone <= set().union(*map(options_of, COMMANDS)), f"{page.name} names options of no command"


def test_every_command_is_shown_on_some_page() -> None:
    assert {call.command for page in PAGES for call in calls(page)} == COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_names_and_links_exist(page: Path) -> None:
    """Dotted names of the package, entry-point groups aside, and the files that a page links to."""
    text = page.read_text()
    groups = {f"modalign.{family}" for family in registry.FAMILIES}
    for name in set(re.findall(r"\bmodalign(?:\.[A-Za-z_]\w*)+", text)) - groups:
        pkgutil.resolve_name(name)
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
