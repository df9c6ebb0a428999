# SPDX-License-Identifier: GPL-2.0-only
"""The page of ``percpu-ffi report`` in headless Chromium.

Debian has it as ``chromium`` and ``chromium-driver``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NETNS, SANITIZED

from percpu_ffi import Trace
from percpu_ffi.analysis.timeline import PAGES, STATIC, Timeline, collect
from percpu_ffi.analysis.totals import chunk_users
from percpu_ffi.cli import main
from percpu_ffi.reports.colours import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no browser: apt-get install chromium chromium-driver",
    ),
    pytest.mark.skipif(SANITIZED, reason="the sanitizer's library is not for browsers"),
]

# finds elements also in the shadow roots of bokeh
DEEP = """
const found = []
const search = (root) => {
    found.push(...root.querySelectorAll(arguments[0]))
    for (const element of root.querySelectorAll("*"))
        if (element.shadowRoot) search(element.shadowRoot)
}
search(document)
return found
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """A headless browser without a network."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.add_argument("--headless=new")
    options.add_argument("--window-size=1280,2000")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--proxy-server=127.0.0.1:9")  # a closed port
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium requires it
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the recording."""
    page: Path = tmp_path_factory.mktemp("report") / "netns.html"
    assert main(["report", NETNS, "--cpus", "2", "-o", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    """The timeline of the page."""
    return collect(Trace.load(NETNS), {"cpus": 2, "first_chunk": "4k"})


@pytest.fixture
def page(browser: Chrome, made: Path) -> Chrome:
    """The page, opened."""
    open_page(browser, made)
    return browser


def open_page(browser: Chrome, path: Path) -> None:
    browser.get(path.as_uri())
    until(browser, "return document.getElementById('now-done').textContent !== ''")


def until(browser: Chrome, script: str) -> None:
    """Wait until a script returns true."""
    from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(script))


def deep(browser: Chrome, selector: str) -> list[Any]:
    found: list[Any] = browser.execute_script(DEEP, selector)
    return found


def figures(browser: Chrome) -> list[Any]:
    """Return all charts from top to bottom: three of curves, the chunks, the sizes."""
    return sorted(deep(browser, ".bk-Figure"), key=lambda element: float(element.rect["y"]))


def columns(browser: Chrome, source: str, *names: str) -> list[tuple[Any, ...]]:
    """Return the sorted rows of a data source."""
    script = """
    const data = Bokeh.documents[0].get_model_by_name(arguments[0]).data
    return arguments[1].map((name) => Array.from(data[name]))
    """
    found = browser.execute_script(script, source, names)
    return sorted(zip(*found, strict=True))


def number(browser: Chrome, element: str) -> int:
    return int(browser.find_element("id", element).text.replace(",", ""))


def press(browser: Chrome, label: str) -> None:
    (button,) = [b for b in deep(browser, "button") if b.text == label]
    button.click()


def check_moment(browser: Chrome, timeline: Timeline, moment: int) -> None:
    """Check that the page shows what the timeline has."""
    done = timeline.moments[moment].done
    until(browser, f"return document.getElementById('now-done').textContent === '{done:,}'")
    patches = list(timeline.patches_at(moment))
    assert columns(browser, "areas", "chunk", "left", "right") == sorted(
        (p.chunk, p.start, p.end) for p in patches if p.kind >= 0 or p.kind == STATIC
    )
    held = columns(browser, "pages", "left", "right")
    assert held == sorted((p.start, p.end) for p in patches if p.kind == PAGES)
    assert number(browser, "now-live") == timeline.curves.live[done]
    assert number(browser, "now-stranded") == timeline.stranded(done)
    assert number(browser, "now-chunks") == timeline.curves.chunks[done]
    assert number(browser, "now-largest") == timeline.moments[moment].largest_free


def errors(browser: Chrome) -> list[Any]:
    log: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry for entry in log if entry["level"] not in ("INFO", "DEBUG")]


def test_page_opens_without_errors_and_loads_nothing(page: Chrome) -> None:
    assert errors(page) == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []


def test_page_opens_at_the_worst_moment(page: Chrome, timeline: Timeline) -> None:
    check_moment(page, timeline, timeline.moment_at(timeline.worst))


def test_slider_moves_the_map(page: Chrome, timeline: Timeline) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    (handle,) = deep(page, ".noUi-handle")
    handle.send_keys(Keys.HOME)
    check_moment(page, timeline, 0)
    for step in range(1, 4):
        handle.send_keys(Keys.ARROW_RIGHT)
        check_moment(page, timeline, step)
    handle.send_keys(Keys.END)
    check_moment(page, timeline, len(timeline.moments) - 1)
    assert errors(page) == []


def test_buttons_go_to_moments(page: Chrome, timeline: Timeline) -> None:
    peak = timeline.moment_at(timeline.peak)
    for label, moment in (("peak", peak), ("later ▶", peak + 1), ("◀ earlier", peak)):
        press(page, label)
        check_moment(page, timeline, moment)
    press(page, "worst")
    check_moment(page, timeline, timeline.moment_at(timeline.worst))


def test_areas_have_size_site_and_age(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    check_moment(page, timeline, timeline.moment_at(timeline.peak))
    shown = columns(page, "areas", "chunk", "left", "size", "site")
    kinds = timeline.trace.kinds
    expected = [
        (p.chunk, p.start, kinds[p.kind].size, kinds[p.kind].site)
        for p in timeline.patches_at(timeline.moment_at(timeline.peak))
        if p.kind >= 0
    ]
    assert [row for row in shown if row[3] != "static area"] == sorted(expected)
    ages = {age for (age,) in columns(page, "areas", "age")}
    assert "since the start" in ages
    assert all(re.fullmatch(r"[\d.]+ (s|ms|µs)", age) for age in ages - {"since the start"})


def test_pages_have_the_figures_of_their_chunk(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    moment = timeline.moment_at(timeline.peak)
    check_moment(page, timeline, moment)
    patches = list(timeline.patches_at(moment))
    expected = {
        (
            chunk,
            sum(p.kind >= 0 for p in patches if p.chunk == chunk),
            sum(p.end - p.start for p in patches if p.chunk == chunk and p.kind == PAGES),
        )
        for chunk in {p.chunk for p in patches}
    }
    assert set(columns(page, "pages", "chunk", "count", "held")) == expected


def test_call_sites_that_pin_chunks_are_listed(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    moment = timeline.moment_at(timeline.peak)
    check_moment(page, timeline, moment)
    rows = chunk_users(timeline, timeline.patches_at(moment))
    shown = [
        [cell.text for cell in row.find_elements("tag name", "td")]
        for row in page.find_elements("css selector", "#pins tr")
    ]
    assert shown == [
        [row.name, *(f"{n:,}" for n in (row.chunks, row.alone, row.areas, row.bytes))]
        for row in rows[:5]
    ]
    more = page.find_element("id", "more-pins").text
    assert more == f"and {len(rows) - 5} more."


def test_click_on_a_call_site_highlights_its_areas(page: Chrome, timeline: Timeline) -> None:
    everyone = columns(page, "areas", "site", "fill")
    button = page.find_element("css selector", "#pins button")
    name = button.text
    button.click()
    until(page, "return document.querySelector('#pins [aria-pressed=true]') !== null")
    alone = columns(page, "areas", "site", "fill")
    others = {fill for site, fill in alone if site not in (name, "static area")}
    assert others == {COLOURS["faint"]}
    assert {row for row in alone if row[0] == name} == {row for row in everyone if row[0] == name}
    page.switch_to.active_element.click()  # the table was rebuilt, but the button has the focus
    assert columns(page, "areas", "site", "fill") == everyone
    assert errors(page) == []


def test_pointing_at_a_curve_shows_one_tooltip(page: Chrome) -> None:
    # Each nearby point of a curve had its own tooltip: in a long recording, where points are
    # dense, they covered the page.  Flat parts of a curve had none.
    chart = figures(page)[0]
    for share in (-0.3, -0.1, 0.1, 0.3):
        point = ActionChains(page).move_to_element_with_offset
        point(chart, int(share * chart.rect["width"]), 0).perform()
        times = [tip for tip in deep(page, ".bk-tooltip-row-label") if tip.text == "seconds:"]
        assert len(times) == 1


def test_wheel_scrolls_the_page(page: Chrome) -> None:
    # Many chunks fill more than a screen, and their chart captured the wheel.
    chart = figures(page)[3]
    page.execute_script("arguments[0].scrollIntoView()", chart)
    before = page.execute_script("return scrollY")
    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(chart), 0, -200).perform()
    until(page, f"return scrollY < {before}")


def test_controls_stay_visible(page: Chrome) -> None:
    page.execute_script("document.getElementById('pins').scrollIntoView()")
    page.execute_script("scrollBy(0, 300)")
    assert (
        page.execute_script("return document.getElementById('now').getBoundingClientRect().y") > 0
    )


def test_small_area_can_be_seen(page: Chrome) -> None:
    # 8 bytes of a unit were a tenth of a pixel: the area that pinned a chunk was invisible.
    line = page.execute_script("""
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "GlyphRenderer" && model.data_source.name === "areas")
            return model.glyph.line_color.field
    """)
    assert line == "fill"


def test_colours_by_age(page: Chrome) -> None:
    before = {fill for (fill,) in columns(page, "areas", "fill")}
    press(page, "by age")
    until(page, "return document.getElementById('legend-site').hidden")
    assert {fill for (fill,) in columns(page, "areas", "fill")} != before


def test_axis_turns_to_operations(page: Chrome, timeline: Timeline) -> None:
    press(page, "by operations")
    until(
        page,
        f"""
        const curves = Bokeh.documents[0].get_model_by_name("curves")
        return curves.data.x[curves.data.x.length - 1] === {len(timeline.trace)}""",
    )
    check_moment(page, timeline, timeline.moment_at(timeline.worst))
    assert errors(page) == []


def test_numbers_are_those_of_replay(page: Chrome, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", NETNS, "--json", "--cpus", "2"]) == 0
    expected = json.loads(capsys.readouterr().out)
    shown = {
        card.get_attribute("data-figure"): card.text
        for card in page.find_elements("css selector", "[data-figure]")
    }
    shown.pop("")
    assert shown.pop("utilisation_at_peak") == f"{expected['utilisation_at_peak']:.1%}"
    assert len(shown) == 10
    assert shown == {key: f"{expected[key]:,}" for key in shown}


@pytest.fixture
def bare_page(tmp_path: Path) -> Callable[[], Path]:
    """A function that makes the page of a trace without call sites and times."""

    def make() -> Path:
        Trace.from_ops([("alloc", 1, 8, 4)]).save(tmp_path / "a.trace")
        assert main(["report", str(tmp_path / "a.trace"), "-o", str(tmp_path / "a.html")]) == 0
        return tmp_path / "a.html"

    return make


def test_trace_without_sites_and_times(browser: Chrome, bare_page: Callable[[], Path]) -> None:
    open_page(browser, bare_page())
    assert browser.find_element("id", "legend-age").is_displayed()
    assert columns(browser, "areas", "size", "age")[0] == (8, "0 operations")
    assert errors(browser) == []


def test_trace_without_allocations(browser: Chrome, tmp_path: Path) -> None:
    Trace.from_ops([("free", 1)]).save(tmp_path / "a.trace")
    assert main(["report", str(tmp_path / "a.trace"), "-o", str(tmp_path / "a.html")]) == 0
    open_page(browser, tmp_path / "a.html")
    text = browser.find_element("tag name", "body").text
    assert "No area is live at this moment." in text
    assert text.count("There are no allocations.") == 2
    assert errors(browser) == []


def test_names_of_many_chunks_do_not_cover_each_other(browser: Chrome, tmp_path: Path) -> None:
    setup = {"page_size": 64, "static_size": 64}  # units of 1 KiB
    trace = Trace.from_ops([("alloc", i, 1000, 8) for i in range(400)], setup=setup)
    trace.save(tmp_path / "a.trace")
    assert main(["report", str(tmp_path / "a.trace"), "-o", str(tmp_path / "a.html")]) == 0
    open_page(browser, tmp_path / "a.html")
    chart = figures(browser)[3]
    script = """
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "FixedTicker" && model.ticks.length > 5) return model.ticks
    """
    ticks = browser.execute_script(script)
    assert len(ticks) > 100
    assert chart.rect["height"] / len(ticks) > 12  # pixels, the height of a name
