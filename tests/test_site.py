"""The documentation site: built without a warning, no link in it leads nowhere, and its drawings are the code's own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("docs", "site", "src", "zensical.toml")


class Page(HTMLParser):
    """Where a page links to, what it loads, and the places within it that have a name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names |= {str(found[key]) for key in ("id", "name") if found.get(key)}
        self.links += [str(found[key]) for key in ("href", "src") if found.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a copy of what it is made of."""
    if importlib.util.find_spec("zensical") is None or importlib.util.find_spec("mkdocstrings_handlers") is None:
        pytest.skip("needs zensical and mkdocstrings-python: pip install 'modalign[site]'")
    place = tmp_path_factory.mktemp("site")
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place)
    build = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=place, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-3000:]
    assert "No issues found" in build.stdout + build.stderr, build.stdout[-3000:]
    return place / "build" / "site"


@pytest.mark.slow
def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 30
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = site / unquote(urlsplit(urljoin(f"/{path.relative_to(site)}", parts.path)).path).lstrip("/")
            target = path if not parts.path else target / "index.html" if target.is_dir() else target
            if not target.exists():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
                broken.append(f"{path.relative_to(site)}: {link} (no such place)")
    assert not broken, "\n".join(broken)


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?://[^\s\">]+)", path.read_text())
        assert not loaded, f"{path.relative_to(site)} loads {loaded}"


@pytest.mark.slow
def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"[\w/-]+\.md", str(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert sorted(listed) == sorted(str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize(("script", "digits"), [("drawings", False), ("charts", True)])
def test_drawings_are_those_that_the_code_draws(script: str, digits: bool, tmp_path: Path) -> None:
    """Charts to the digit, since they come from tables; computed drawings differ a little with the version of torch."""
    spec = importlib.util.spec_from_file_location(script, ROOT / "site" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.draw(tmp_path)
    for name in module.DRAWINGS:
        kept, drawn = ((place / f"{name}.svg").read_text() for place in (module.PLACE, tmp_path))
        if not digits:
            kept, drawn = (re.sub(r"-?[\d.]+", "", text) for text in (kept, drawn))
        assert kept == drawn, f"{module.PLACE.name}/{name}.svg is old: python site/{script}.py"
