"""The page in a real browser: what people do with it, by mouse, by keyboard and on a phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modalign.search import Query

from .conftest import NASTY, Site

pytest.importorskip("selenium", reason="Selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

WAIT = 40


def until(browser: Any, what: Callable[[Any], Any]) -> Any:
    return WebDriverWait(browser, WAIT, poll_frequency=0.05, ignored_exceptions=None).until(what)


def one(browser: Any, css: str) -> Any:
    return until(browser, lambda b: next((e for e in b.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()), None))


def text(browser: Any, css: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css)


def ids(browser: Any, column: int = 0) -> list[str]:
    """Ids of the results, in order."""
    return browser.execute_script(
        "return [...(document.querySelectorAll('.column')[arguments[0]]?.querySelectorAll('.card') ?? [])]"
        ".map((c) => c.dataset.key.split(' ')[1])",
        column,
    )


def settled(browser: Any, before: list[str] | None = None) -> list[str]:
    """The results, once the page has stopped asking; other ones than ``before`` where it is given."""
    until(browser, lambda b: not b.execute_script("return document.body.classList.contains('busy')"))
    return until(browser, lambda b: (found := ids(b)) and found != before and found)


def visit(browser: Any, site: Site) -> None:
    browser.get(site.address)
    until(browser, lambda b: text(b, "#welcome"))  # the last thing that is set up


def words(browser: Any, what: str, *keys: str) -> None:
    box = browser.find_element(By.ID, "words")
    box.clear()
    box.send_keys(what, *keys)


def right(site: Site, query: Query, k: int = 12, space: int = 0, **more: Any) -> list[str]:
    return [h["id"] for h in site.spaces[space].search(query, k=k, **more)["hits"]]


def assert_silent(browser: Any) -> None:
    """No script error, nothing against the policy, and no request to anywhere else."""
    assert [e for e in browser.get_log("browser") if "422" not in e["message"] and "404" not in e["message"]] == []
    asked = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert {u.split("/")[2].split(":")[0] for u in urls if u.startswith(("http", "ws"))} <= {"127.0.0.1"}


def test_search_by_words_and_from_a_result(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    words(chromium, "thing 3", Keys.ENTER)
    assert settled(chromium) == right(site, Query().text("thing 3"))
    assert "cosine" in text(chromium, ".card")
    assert "chance" in text(chromium, ".card .score")
    assert "12 results" in text(chromium, "#status")
    first = ids(chromium)[0]
    chromium.find_element(By.CSS_SELECTOR, ".card .open").click()
    assert settled(chromium, right(site, Query().text("thing 3"))) == right(site, Query().item(first))
    chromium.back()
    assert settled(chromium, right(site, Query().item(first))) == right(site, Query().text("thing 3"))
    pictures = until(
        chromium,
        lambda b: b.execute_script(
            "const all = [...document.querySelectorAll('.card img')].slice(0, 4);"
            "return all.length && all.every((i) => i.complete) && all.map((i) => i.naturalWidth)"
        ),
    )
    assert sum(w == 32 for w in pictures) >= 3  # one item of this index has a file that is no picture
    assert_silent(chromium)


def test_a_picture_is_uploaded_and_combined_with_words(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    picture = site.media / "9.png"
    chromium.find_element(By.ID, "file").send_keys(str(picture))
    found = settled(chromium)
    assert found == right(site, Query().image(picture))
    words(chromium, "thing 5")
    chromium.find_element(By.ID, "plus").click()
    composed = settled(chromium, found)
    assert composed == right(site, Query().image(picture).text("thing 5"))
    chromium.find_element(By.CSS_SELECTOR, "#terms li:last-child button").click()  # the sign
    taken = settled(chromium, composed)
    assert taken == right(site, Query().image(picture).minus("thing 5"))
    chromium.find_element(By.CSS_SELECTOR, "#terms li:first-child button[aria-label^=Remove]").click()
    until(chromium, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#terms li")) == 1)
    assert_silent(chromium)


def test_a_dropped_file_and_the_slider_that_removes_it(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    chromium.execute_script(
        "fetch('/media/0/image/12').then((r) => r.blob()).then((blob) => {"
        "const carried = new DataTransfer(); carried.items.add(new File([blob], 'dropped.webp', {type: 'image/webp'}));"
        "for (const kind of ['dragenter', 'drop'])"
        " document.body.dispatchEvent("
        "new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: carried})); })"
    )
    alone = settled(chromium)
    assert "dropped.webp" in text(chromium, "#terms")
    words(chromium, "thing 20")
    chromium.find_element(By.ID, "plus").click()
    both = settled(chromium, alone)
    slider = chromium.find_element(By.CSS_SELECTOR, "#terms li:first-child input[type=range]")
    slider.send_keys(Keys.HOME)  # to nothing
    without = settled(chromium, both)
    assert without == right(
        site, Query().text("thing 20"), to="text" if "text/" in without[0] else without[0].split("/")[0]
    )
    notice = until(chromium, lambda b: text(b, "#changes"))
    changed = len(set(without) - set(both))
    assert notice.startswith(f"{changed} of 12 results are others")
    slider.send_keys(*[Keys.ARROW_RIGHT] * 10)
    until(chromium, lambda b: not text(b, "#changes"))
    assert settled(chromium) == both
    assert_silent(chromium)


def test_the_microphone(chromium: Any, site: Site) -> None:
    """The browser's fake microphone beeps; what it records is sent as WAV and answered."""
    visit(chromium, site)
    button = one(chromium, "#record")
    button.click()
    until(chromium, lambda b: button.text == "Stop recording")
    chromium.execute_async_script("setTimeout(arguments[0], 1500)")
    button.click()
    assert len(settled(chromium)) == 12
    assert "recording.wav" in text(chromium, "#terms")
    upload = next(iter(reversed(site.state._uploads.values())))
    assert (upload.modality, upload.name) == ("audio", "recording.wav")


def test_sounds_have_players(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    chromium.execute_script("document.querySelector('.options').open = true")
    chromium.find_element(By.CSS_SELECTOR, "#to input[value=audio]").click()
    words(chromium, "thing 3", Keys.ENTER)
    assert settled(chromium) == right(site, Query().text("thing 3"), to="audio")
    length = chromium.execute_async_script(
        "const done = arguments[0]; const player = document.querySelector('.card audio');"
        "player.addEventListener('loadedmetadata', () => done(player.duration));"
        "player.addEventListener('error', () => done(-1)); player.preload = 'metadata'; player.load();"
    )
    assert length == pytest.approx(0.5, abs=0.05)


def test_options_change_the_answer(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    words(chromium, "thing 3", Keys.ENTER)
    before = settled(chromium)
    chromium.execute_script("document.querySelector('.options').open = true")
    box = chromium.find_element(By.ID, "k")
    box.clear()
    box.send_keys("5", Keys.TAB)
    assert until(chromium, lambda b: len(ids(b)) == 5)
    chromium.find_element(By.CSS_SELECTOR, "#to input[value=text]").click()
    until(chromium, lambda b: ids(b) and ids(b)[0].startswith("text/"))
    chromium.find_element(By.CSS_SELECTOR, "#correction option[value=csls]").click()
    chromium.find_element(By.ID, "where").send_keys("split=dev", Keys.TAB)
    until(chromium, lambda b: "corrected" in text(b, ".card"))
    query = Query().text("thing 3")
    until(chromium, lambda b: ids(b) == right(site, query, 5, to="text", correction="csls", where=["split=dev"]))
    chromium.find_element(By.ID, "where").send_keys("; color=red", Keys.TAB)
    assert "unknown metadata key 'color'" in until(chromium, lambda b: text(b, "#problem"))
    assert before


def test_captions_are_text_and_never_markup(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    chromium.execute_script("document.querySelector('.options').open = true")
    chromium.find_element(By.CSS_SELECTOR, "#to input[value=text]").click()
    box = chromium.find_element(By.ID, "k")
    box.clear()
    box.send_keys("40", Keys.TAB)
    words(chromium, '<img src=x onerror="document.title=2">', Keys.ENTER)
    until(chromium, lambda b: len(ids(b)) == 40)
    shown = chromium.execute_script("return [...document.querySelectorAll('.card .words')].map((e) => e.textContent)")
    assert NASTY in shown
    assert chromium.find_elements(By.CSS_SELECTOR, ".card b:not(.score b), img[src=x], #terms img") == []
    assert "modalign search" in chromium.title
    chromium.find_element(By.CSS_SELECTOR, '[data-key="text text/0"] .foot button').click()
    until(chromium, lambda b: NASTY in text(b, "#panel"))
    assert chromium.find_elements(By.CSS_SELECTOR, "#panel img[src=x]") == []
    assert_silent(chromium)


def test_a_broken_upload_is_told_and_the_page_goes_on(chromium: Any, site: Site, tmp_path: Path) -> None:
    visit(chromium, site)
    (tmp_path / "broken.png").write_bytes((site.media / "3.png").read_bytes()[:50])
    chromium.find_element(By.ID, "file").send_keys(str(tmp_path / "broken.png"))
    message = until(chromium, lambda b: text(b, "#problem"))
    assert message.startswith("broken.png: picture is truncated or damaged")
    (tmp_path / "notes.txt").write_text("no picture")
    chromium.find_element(By.ID, "file").send_keys(str(tmp_path / "notes.txt"))
    until(chromium, lambda b: "cannot be searched with" in text(b, "#problem"))
    assert ids(chromium) == []
    words(chromium, "thing 3", Keys.ENTER)
    assert settled(chromium) == right(site, Query().text("thing 3"))
    assert text(chromium, "#problem") == ""


def test_why_it_matched(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    words(chromium, "thing 3", Keys.ENTER)
    found = settled(chromium)
    chromium.find_element(By.CSS_SELECTOR, ".card:nth-child(2) .foot button").click()
    until(chromium, lambda b: "Geodesic path" in text(b, "#panel"))
    panel = text(chromium, "#panel")
    assert found[1] in panel
    assert "2 of 40 (chance 21)" in panel
    until(chromium, lambda b: "rank 2 of 40, chance 21" in text(b, "#status"))
    assert "What each part of the query adds" in panel
    for modality in ("image", "text", "audio"):
        assert f"Nearest to it: {modality}" in panel
        assert f"Nearest to the query: {modality}" in panel
    assert chromium.find_elements(By.CSS_SELECTOR, "#panel .path li")[-1].text
    neighbour = one(chromium, "#panel .near button")
    neighbour.click()
    until(chromium, lambda b: found[1] not in text(b, "#panel h2 + span"))
    chromium.find_element(By.XPATH, "//aside//button[text()='Add to query']").click()
    until(chromium, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#terms li")) == 2)
    assert_silent(chromium)


def test_the_command_gives_the_same_answer(chromium: Any, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    from modalign import cli

    visit(chromium, site)
    words(chromium, "-5 degrees; 'cold'", Keys.ENTER)
    first = settled(chromium)
    words(chromium, "thing 8")
    chromium.find_element(By.ID, "less").click()
    found = settled(chromium, first)
    chromium.execute_script("window.copied = null; navigator.clipboard.writeText = async (t) => { window.copied = t; }")
    one(chromium, "#copy").click()
    command = until(chromium, lambda b: b.execute_script("return window.copied"))
    cli.main([*shlex.split(command)[1:], "--json"])
    assert [h["id"] for h in json.loads(capsys.readouterr().out)["hits"]] == found


def test_two_runs_side_by_side(chromium: Any, pair: Site) -> None:
    visit(chromium, pair)
    words(chromium, "thing 3", Keys.ENTER)
    settled(chromium)
    left, other = right(pair, Query().text("thing 3")), right(pair, Query().text("thing 3"), space=1)
    assert (ids(chromium, 0), ids(chromium, 1)) == (left, other)
    shared = set(left) & set(other)
    assert shared
    until(chromium, lambda b: len(b.find_elements(By.CSS_SELECTOR, ".columns svg path")) == len(shared))
    lists = chromium.find_elements(By.CSS_SELECTOR, "#differences section")
    assert lists[0].text.startswith(f"{len(shared)} of 12 in both")
    assert len(lists[1].find_elements(By.TAG_NAME, "li")) == len(left) - len(shared)
    assert len(lists[2].find_elements(By.TAG_NAME, "li")) == len(other) - len(shared)
    ends = chromium.execute_script(
        'const a = document.querySelector(`.column [data-key="image ${arguments[0]}"]`).getBoundingClientRect();'
        "const lines = [...document.querySelectorAll('.columns path')].map((p) => p.getBoundingClientRect());"
        "return lines.some((l) => Math.abs(l.left - a.right) < 3)",
        sorted(shared)[0],
    )
    assert ends  # a line begins where the card ends
    assert_silent(chromium)


@pytest.mark.parametrize("width", [1280, 390])
def test_three_runs_side_by_side(width: int, chromium: Any, three: Site) -> None:
    """Each column is wide enough to read; on a phone the next one peeks in and the page itself does not scroll."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        visit(chromium, three)
        words(chromium, "thing 3", Keys.ENTER)
        settled(chromium)
        boxes = chromium.execute_script(
            "return [...document.querySelectorAll('.column')].map((c) => c.getBoundingClientRect())"
            ".map((b) => [b.left, b.right])"
        )
        assert len(boxes) == 3
        assert min(right - left for left, right in boxes) >= 230
        assert boxes[1][0] < width - 60
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        cut = chromium.execute_script(
            "return [...document.querySelectorAll('.card button')].filter((b) => {"
            "const inner = b.getBoundingClientRect(), outer = b.closest('.card').getBoundingClientRect();"
            "return inner.left < outer.left || inner.right > outer.right + 1; }).length"
        )
        assert cut == 0
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_errors_have_a_line_each(chromium: Any, pair: Site) -> None:
    visit(chromium, pair)
    chromium.execute_script("location.hash = arguments[0]", '[{"kind":"item","value":"no/1","label":"x"}]')
    until(chromium, lambda b: text(b, "#problem"))
    lines = chromium.find_elements(By.CSS_SELECTOR, "#problem span")
    assert [line.text.split(":")[0] for line in lines] == ["left", "right"]
    assert lines[0].location["y"] < lines[1].location["y"]


def test_examples_find_themselves(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    examples = [b.text for b in chromium.find_elements(By.CSS_SELECTOR, "#welcome button")]
    assert len(examples) == 4
    for words_ in examples:
        item = f"text/{words_.split()[-1]}"
        hit = site.spaces[0].search(Query().item(item), to=["image", "audio"], k=1)["hits"][0]
        assert hit["group"] == int(words_.split()[-1])


def test_where_no_words_are_read_items_are_what_to_begin_with(chromium: Any, plain: Site) -> None:
    visit(chromium, plain)
    starts = chromium.find_elements(By.CSS_SELECTOR, "#welcome button")
    assert [b.text for b in starts] == ["left 0", "left 25", "right 0", "right 25"]
    starts[1].click()
    assert len(settled(chromium)) == 12
    assert "left 25" in text(chromium, "#terms")
    assert_silent(chromium)


def test_the_map_says_that_it_computes(chromium: Any, site: Site) -> None:
    visit(chromium, site)
    chromium.execute_script(
        "const real = window.fetch; window.fetch = (u, ...rest) => String(u).includes('map')"
        " ? new Promise((go) => { window.release = () => go(real(u, ...rest)); }) : real(u, ...rest);"
    )
    chromium.find_element(By.ID, "tab-map").click()
    assert "Computing the map of 120 items" in one(chromium, "#wait").text
    chromium.execute_script("window.release()")
    until(chromium, lambda b: "120 of 120 items" in text(b, "#map-facts"))
    assert not chromium.find_element(By.ID, "wait").is_displayed()


def test_the_map(chromium: Any, site: Site, tmp_path: Path) -> None:
    visit(chromium, site)
    words(chromium, "thing 3", Keys.ENTER)
    settled(chromium)
    chromium.find_element(By.ID, "tab-map").click()
    until(chromium, lambda b: "120 of 120 items" in text(b, "#map-facts"))
    assert "chance" in text(chromium, "#map-facts")
    assert [e.text for e in chromium.find_elements(By.CSS_SELECTOR, "#legend li")] == [
        "image (40)",
        "text (40)",
        "audio (40)",
    ]
    canvas = chromium.find_element(By.ID, "canvas")
    painted = "const c = document.getElementById('canvas'); return c.toDataURL().length"
    until(chromium, lambda b: b.execute_script(painted) > 8000)
    whole = chromium.execute_script(painted)
    for step in (Keys.ARROW_RIGHT, Keys.ARROW_UP):  # by keys: to an item, whose rank and cosine are told
        canvas.send_keys(step)
    until(chromium, lambda b: "of 40 (chance 21)" in text(b, "#panel"))
    assert "cosine" in text(chromium, "#panel dl")
    assert "rank" in text(chromium, "#status")
    told = text(chromium, "#panel h2")
    for offset in range(0, 300, 12):  # by mouse: pointing is enough
        ActionChains(chromium, duration=10).move_to_element_with_offset(
            canvas, offset - 150, offset // 3 - 50
        ).perform()
        if text(chromium, "#panel h2") != told:
            break
    assert text(chromium, "#panel h2") != told
    assert "of 40 (chance 21)" in text(chromium, "#panel")
    canvas.send_keys(Keys.SPACE)
    until(chromium, lambda b: text(b, "#chosen") == "1 item selected")
    canvas.send_keys(Keys.ENTER)
    until(chromium, lambda b: "Geodesic path" in text(b, "#panel"))
    chromium.find_element(By.ID, "zoom-in").click()
    until(chromium, lambda b: b.execute_script(painted) != whole)
    chromium.find_element(By.ID, "zoom-all").click()
    chromium.find_element(By.ID, "lasso").click()
    size = canvas.size
    pull = ActionChains(chromium, duration=20).move_to_element_with_offset(
        canvas, -size["width"] // 2 + 8, -size["height"] // 2 + 8
    )
    pull.click_and_hold()
    for dx, dy in ((size["width"] - 16, 0), (0, size["height"] - 16), (16 - size["width"], 0)):
        pull.move_by_offset(dx, dy)
    pull.release().perform()
    chosen = until(chromium, lambda b: (n := text(b, "#chosen").split(" ")[0]) and int(n) > 1 and int(n))
    assert chosen > 100
    kept = (
        "window.saved = {}; const made = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => {"
        " blob.text().then((t) => { window.saved[blob.type] = t; }); return made(blob); };"
    )
    chromium.execute_script(kept)
    chromium.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "deny"})
    chromium.find_element(By.ID, "export-json").click()
    chromium.find_element(By.ID, "export-csv").click()
    saved = until(chromium, lambda b: len(s := b.execute_script("return window.saved")) == 2 and s)
    items = json.loads(saved["application/json"])["items"]
    assert len(items) == chosen
    assert all(1 <= i["rank"] <= 40 and -1 <= i["cosine"] <= 1 for i in items)
    import csv

    rows = list(csv.DictReader(saved["text/csv"].splitlines()))
    assert [r["id"] for r in rows] == [i["id"] for i in items]
    assert {r["name"] for r in rows} == {i["name"] for i in items}
    chromium.find_element(By.ID, "clear").click()
    until(chromium, lambda b: text(b, "#chosen") == "")
    assert_silent(chromium)


def test_with_the_keyboard_alone(chromium: Any, site: Site) -> None:
    visit(chromium, site)

    def press(*keys: str) -> None:
        ActionChains(chromium).send_keys(*keys).perform()

    def focused() -> str:
        script = "const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.className"
        return chromium.execute_script(script)

    press("/")
    assert focused() == "words"
    press("thing 3", Keys.ENTER)
    found = settled(chromium)
    chain = []
    while not focused().startswith("1: ") and len(chain) < 40:
        press(Keys.TAB)
        chain.append(focused())
    assert {"go", "plus", "less", "file", "tab-results", "copy"} <= set(chain)
    assert "Weight of thing 3; 0 removes it" in chain
    press(Keys.ARROW_RIGHT)
    assert focused().startswith("2: ")
    press(Keys.TAB)
    assert focused().startswith("Why ")
    press(Keys.ENTER)
    until(chromium, lambda b: "Geodesic path" in text(b, "#panel"))
    ActionChains(chromium).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    press(Keys.ENTER)
    assert settled(chromium, found) == right(site, Query().item(found[1]))
    assert focused().startswith("1: ")  # focus goes on at the new results
    chromium.find_element(By.ID, "tab-results").send_keys(Keys.ARROW_RIGHT)
    until(chromium, lambda b: focused() == "tab-map")
    assert chromium.find_element(By.ID, "tab-map").get_attribute("aria-selected") == "true"
    outline = chromium.execute_script(
        "const style = getComputedStyle(document.activeElement); return style.outlineStyle + style.outlineWidth"
    )
    assert outline == "solid3px"


def test_names_for_a_screen_reader(chromium: Any, pair: Site) -> None:
    """Everything that can be reached has a name, pictures have words, and changes are announced."""
    visit(chromium, pair)
    words(chromium, "thing 3", Keys.ENTER)
    settled(chromium)
    chromium.find_element(By.CSS_SELECTOR, ".card .foot button").click()
    until(chromium, lambda b: "Geodesic path" in text(b, "#panel"))
    chromium.execute_cdp_cmd("Accessibility.enable", {})
    nodes = chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    asked = {
        "button",
        "textbox",
        "searchbox",
        "slider",
        "checkbox",
        "combobox",
        "tab",
        "spinbutton",
        "image",
        "img",
        "link",
    }
    seen, nameless = set(), []
    for node in nodes:
        role = node.get("role", {}).get("value", "")
        if node.get("ignored") or role not in asked:
            continue
        seen.add(role)
        if not node.get("name", {}).get("value", "").strip() and role not in ("image", "img"):
            nameless.append(node)
    assert nameless == []
    assert {"button", "searchbox", "slider", "tab"} <= seen
    assert chromium.execute_script("return [...document.images].every((i) => i.hasAttribute('alt'))")
    roles = [n.get("role", {}).get("value") for n in nodes]
    assert {"main", "banner", "contentinfo", "complementary", "status"} <= set(roles)


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_and_in_the_dark(dark: bool, chromium: Any, site: Site) -> None:
    theme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", theme)
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        visit(chromium, site)
        words(chromium, "thing 3", Keys.ENTER)
        settled(chromium)
        chromium.find_element(By.CSS_SELECTOR, ".card .foot button").click()
        until(chromium, lambda b: "Geodesic path" in text(b, "#panel"))
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= 390
        assert chromium.execute_script("return Math.min(...[...document.querySelectorAll('main button')]"
                                       ".filter((b) => b.offsetParent).map((b) => b.offsetHeight))") >= 30  # fmt: skip
        contrast = chromium.execute_script(
            "const light = (c) => { const v = c.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)"
            ".map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);"
            "return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };"
            "const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);"
            "const back = light(getComputedStyle(document.querySelector('.card')).backgroundColor);"
            "return ['.card .name', '.card .score', '.card .quiet']"
            ".map((s) => document.querySelector(s)).filter(Boolean)"
            ".map((e) => ratio(light(getComputedStyle(e).color), back))"
        )
        assert min(contrast) >= 4.5  # WCAG AA
        shade = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (shade == "rgb(20, 24, 29)") is dark
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_arrays_without_encoders_are_searched_from_the_map(chromium: Any, plain: Site) -> None:
    visit(chromium, plain)
    assert not chromium.find_element(By.ID, "go").is_enabled()
    assert not chromium.find_element(By.ID, "pick").is_displayed()
    chromium.find_element(By.ID, "tab-map").click()
    until(chromium, lambda b: "100 of 100 items" in text(b, "#map-facts"))
    chromium.find_element(By.ID, "canvas").send_keys(Keys.ARROW_DOWN)
    name = until(chromium, lambda b: text(b, "#panel h2"))
    chromium.find_element(By.XPATH, "//aside//button[text()='Search from this']").click()
    until(chromium, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#terms li")) == 1)
    assert name in text(chromium, "#terms")
    until(chromium, lambda b: "of 50 (chance 26)" in text(b, "#panel"))
    chromium.find_element(By.ID, "tab-results").click()
    assert len(settled(chromium)) == 12
    assert_silent(chromium)
