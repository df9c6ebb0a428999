# SPDX-License-Identifier: GPL-2.0-only
"""The page of ``percpu-ffi report`` in headless Chromium.

Debian has it as ``chromium`` and ``chromium-driver``.  One page is open in most tests: each
begins with the page as it opened, and ends without an error in the browser's log.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NETNS, SANITIZED
from pages import LONG, NAMES, rename_sites
from test_recorded import LINES, read

from percpu_ffi import Trace
from percpu_ffi._util.text import printable
from percpu_ffi.analysis.lifetimes import lives_of
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.timeline import (
    BLOCKS,
    DEPOPULATE,
    EMPTY_PAGES,
    FREE_SPACE,
    HIDDEN,
    PAGES,
    SIDELINED,
    STATIC,
    Patch,
    Timeline,
)
from percpu_ffi.analysis.totals import chunk_users
from percpu_ffi.cli import main
from percpu_ffi.reports.colours import COLOURS, DARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

pytest.importorskip("bokeh", reason="the extra 'report' is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 1280, 2000  # pixels
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
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--proxy-server=127.0.0.1:9")  # a closed port
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium requires it
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording in which some call sites have hostile names."""
    path: Path = tmp_path_factory.mktemp("report") / "netns.trace"
    recording = Trace.load(NETNS)
    rename_sites(recording)
    # the call site of which the sentences about the worst moment speak
    recording.kinds[:] = [
        kind._replace(site=LONG.upper() if kind.site.startswith("sock_inuse") else kind.site)
        for kind in recording.kinds
    ]
    recording.save(path)
    return path


@pytest.fixture(scope="module")
def timeline(trace: Path) -> Timeline:
    """The timeline of the page."""
    return collect(Trace.load(trace), {"cpus": 2, "first_chunk": "4k"})


@pytest.fixture(scope="module")
def opened(browser: Chrome, trace: Path) -> Chrome:
    """The page of the recording, opened."""
    open_page(browser, trace)
    return browser


# as it opened, except for a window that was resized
RESET = """
const selected = document.querySelector("#pins [aria-pressed=true]")
if (selected) selected.click()
for (const radio of document.querySelectorAll("input[type=radio]"))
    if (radio.defaultChecked && !radio.checked) radio.click()
document.activeElement.blur()
scrollTo(0, 0)
document.querySelector("#steps button:last-child").click()
"""


@pytest.fixture
def page(opened: Chrome) -> Iterator[Chrome]:
    """The page as it opened."""
    opened.execute_script(RESET)
    yield opened
    assert errors(opened) == []


def open_page(browser: Chrome, trace: Path, *options: str) -> None:
    page = trace.with_suffix(".html")
    assert main(["report", str(trace), *(options or ("--cpus", "2")), "-o", str(page)]) == 0
    browser.get(page.as_uri())
    until(browser, "return document.getElementById('now-done').textContent !== ''")


def until(browser: Chrome, script: str) -> None:
    """Wait until a script returns true."""
    WebDriverWait(browser, 30, 0.02).until(lambda _: browser.execute_script(script))


def settled(value: Callable[[], Any], expected: object) -> Any:
    """Return a value, the last one if it does not become the expected one in some seconds."""
    ends = time.monotonic() + 10
    while (found := value()) != expected and time.monotonic() < ends:
        time.sleep(0.02)
    return found


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


def active_drags(browser: Chrome) -> set[Any]:
    """Return what a drag does in each chart that can be zoomed."""
    drags: list[Any] = browser.execute_script("""
    return [...Bokeh.documents[0]._all_models.values()].filter((model) =>
        model.type === "Toolbar" && model.tools.some((tool) => tool.type === "BoxZoomTool"))
        .map((toolbar) => toolbar.active_drag?.type ?? null)
    """)
    assert len(drags) == 4
    return set(drags)


def press(browser: Chrome, name: str) -> None:
    """Click a button or a radio button."""
    controls = browser.find_elements("css selector", "#steps button, input[type=radio]")
    (control,) = [control for control in controls if control.accessible_name == name]
    control.click()


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


def shown_name(site: str) -> str:
    """Return a call site as a tooltip shows it."""
    name = printable(site)
    return name if len(name) <= 120 else f"{name[:119]}\N{HORIZONTAL ELLIPSIS}"


def errors(browser: Chrome) -> list[Any]:
    log: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry for entry in log if entry["level"] not in ("INFO", "DEBUG")]


def test_page_loads_nothing(opened: Chrome) -> None:
    log = [json.loads(line["message"])["message"] for line in opened.get_log("performance")]  # type: ignore[no-untyped-call]
    sent = [
        e["params"]["request"]["url"] for e in log if e["method"] == "Network.requestWillBeSent"
    ]
    loaded = opened.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert opened.current_url in sent
    assert {url for url in (*sent, *loaded) if not url.startswith("data:")} == {opened.current_url}
    assert errors(opened) == []


def test_page_cannot_load_anything(opened: Chrome) -> None:
    script = """
    const [tag, done] = arguments
    document.addEventListener("securitypolicyviolation", (event) => done(event.blockedURI),
                              {once: true})
    const element = document.createElement(tag)
    element.src = "http://127.0.0.1:9/x"
    document.head.append(element)
    element.remove()
    """
    for tag in ("script", "img"):
        assert opened.execute_async_script(script, tag) == "http://127.0.0.1:9/x"
    assert len(errors(opened)) == 2  # each is logged


def test_page_opens_at_the_worst_moment(page: Chrome, timeline: Timeline) -> None:
    check_moment(page, timeline, timeline.moment_at(timeline.worst))


def test_slider_moves_the_map(page: Chrome, timeline: Timeline) -> None:
    handle = page.find_element("id", "moment")
    handle.send_keys(Keys.HOME)
    check_moment(page, timeline, 0)
    assert "No area is live at this moment." in page.find_element("id", "more-pins").text
    for step in range(1, 4):
        handle.send_keys(Keys.ARROW_RIGHT)
        check_moment(page, timeline, step)
    handle.send_keys(Keys.END)
    check_moment(page, timeline, len(timeline.moments) - 1)
    press(page, "later")  # there is none
    check_moment(page, timeline, len(timeline.moments) - 1)


def test_buttons_go_to_moments(page: Chrome, timeline: Timeline) -> None:
    peak = timeline.moment_at(timeline.peak)
    for label, moment in (("peak", peak), ("later", peak + 1), ("earlier", peak)):
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
        (p.chunk, p.start, kinds[p.kind].size, shown_name(kinds[p.kind].site))
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
    used = {STATIC, *range(len(timeline.trace.kinds))}
    expected = {
        (
            chunk,
            sum(p.kind >= 0 for p in patches if p.chunk == chunk),
            sum(p.end - p.start for p in patches if p.chunk == chunk and p.kind == PAGES),
            sum(p.end - p.start for p in patches if p.chunk == chunk and p.kind in used),
        )
        for chunk in {p.chunk for p in patches}
    }
    assert set(columns(page, "pages", "chunk", "count", "held", "used")) == expected


def test_call_sites_that_pin_chunks_are_listed(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    moment = timeline.moment_at(timeline.peak)
    check_moment(page, timeline, moment)
    rows = chunk_users(timeline, timeline.patches_at(moment))
    shown = [
        [cell.get_property("textContent") for cell in row.find_elements("css selector", "th, td")]
        for row in page.find_elements("css selector", "#pins tr")
    ]
    assert shown == [
        [printable(row.name), *(f"{n:,}" for n in (row.chunks, row.alone, row.areas, row.bytes))]
        for row in rows[:5]
    ]
    more = page.find_element("id", "more-pins").text
    assert more == f"and {len(rows) - 5} more."


def test_click_on_a_call_site_highlights_its_areas(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    until(page, "return document.querySelectorAll('#pins tr').length === 5")
    everyone = columns(page, "areas", "site", "fill")
    button = page.find_elements("css selector", "#pins button")[2]
    name = shown_name(str(button.get_property("textContent")))
    button.click()
    until(page, "return document.querySelector('#pins [aria-pressed=true]') !== null")
    alone = columns(page, "areas", "site", "fill")
    kept = (name, "static area")
    assert {fill for site, fill in alone if site not in kept} == {COLOURS["faint"]}
    assert [row for row in alone if row[0] in kept] == [row for row in everyone if row[0] in kept]
    page.switch_to.active_element.click()  # the table was rebuilt, but the button has the focus
    assert columns(page, "areas", "site", "fill") == everyone


def test_selected_call_site_stays_in_the_table(page: Chrome, timeline: Timeline) -> None:
    worst, peak = map(timeline.moment_at, (timeline.worst, timeline.peak))
    rows = [chunk_users(timeline, timeline.patches_at(moment)) for moment in (worst, peak)]
    late = {row.name for row in rows[1][5:]}
    name = printable(next(row.name for row in rows[0] if row.name in late))
    buttons = page.find_elements("css selector", "#pins button")
    next(b for b in buttons if b.get_property("textContent") == name).click()
    press(page, "peak")
    check_moment(page, timeline, peak)
    buttons = page.find_elements("css selector", "#pins button")
    assert [b.get_property("textContent") for b in buttons][5:] == [name]
    assert page.find_element("id", "more-pins").text == f"and {len(rows[1]) - 6} more."


def test_click_goes_to_the_nearest_moment(page: Chrome, timeline: Timeline) -> None:
    chart = figures(page)[1]
    right = int(0.2 * chart.rect["width"])
    ActionChains(page).move_to_element_with_offset(chart, right, 0).click().perform()
    check_moment(page, timeline, len(timeline.moments) - 1)  # the rest of the time has no other
    seconds = timeline.x([moment.done for moment in timeline.moments])
    i = next(i for i in range(1, len(seconds)) if seconds[i + 1] > seconds[i] > seconds[i - 1])
    script = """
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "CustomJS" && model.code.includes("best"))
            return model.execute({x: arguments[0]}).then(() =>
                Number(document.getElementById("moment").value))
    """
    for share, moment in ((0.0, i), (0.4, i), (0.6, i + 1)):
        at = seconds[i] + share * (seconds[i + 1] - seconds[i])
        assert page.execute_script(script, at) == moment
        check_moment(page, timeline, moment)


def test_pointing_at_a_curve_shows_one_tooltip(page: Chrome) -> None:
    # Each nearby point of a curve had its own tooltip: in a long recording, where points are
    # dense, they covered the page.  Flat parts of a curve had none.
    chart = figures(page)[0]
    page.execute_script("arguments[0].scrollIntoView()", chart)
    selector = ".bk-tooltip-row-label"
    for share in (-0.3, -0.1, 0.1, 0.3):
        point = ActionChains(page).move_to_element_with_offset
        point(chart, int(share * chart.rect["width"]), 0).perform()
        labels = settled(lambda: [tip.text for tip in deep(page, selector)].count("seconds:"), 1)
        assert labels == 1


def test_wheel_scrolls_the_page(page: Chrome) -> None:
    assert active_drags(page) == {"BoxZoomTool"}
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


def test_colours_by_age(page: Chrome, timeline: Timeline) -> None:
    press(page, "by age")
    until(page, "return document.getElementById('legend-site').hidden")
    found = {
        (chunk, left): (fill, age)
        for chunk, left, fill, age in columns(page, "areas", "chunk", "left", "fill", "age")
    }
    seconds = timeline.seconds
    assert seconds is not None
    for patch in timeline.patches_at(timeline.moment_at(timeline.worst)):
        fill, age = found.get((patch.chunk, patch.start), ("", ""))
        if patch.kind >= 0:
            since = seconds[timeline.worst] - seconds[patch.born + 1]
            halvings = int(-math.log2(since / seconds[-1]))
            assert fill == COLOURS[f"age{max(7 - halvings, 0)}"]
            assert age == (f"{1e3 * since:.2f} ms" if since >= 1e-3 else f"{1e6 * since:.0f} µs")
        elif patch.kind == STATIC:
            assert (fill, age) == (COLOURS["static"], "since the start")


def test_axis_turns_to_operations(page: Chrome, timeline: Timeline) -> None:
    script = """
    const found = {}
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "Span") (found[model.tags.length ? "marks" : "cursors"] ??= [])
            .push(model.location)
        else if (model.type === "Label") (found.labels ??= []).push([model.text, model.x])
        else if (model.type === "Range1d" && model.reset_end === model.end && model.bounds)
            (found.ends ??= []).push(model.bounds[1])
    return found
    """
    peak, worst = timeline.peak, timeline.worst
    axes: dict[str, Any] = {
        "by operations": range(len(timeline.trace) + 1),
        "by time": timeline.seconds,
    }
    for name, x in axes.items():
        press(page, name)
        until(
            page,
            f"""
            const curves = Bokeh.documents[0].get_model_by_name("curves")
            return curves.data.x[curves.data.x.length - 1] === {x[-1]}""",
        )
        check_moment(page, timeline, timeline.moment_at(worst))
        until(
            page,
            f"""
            return [...Bokeh.documents[0]._all_models.values()].every((model) =>
                model.type !== "Span" || model.tags.length || model.location === {x[worst]})""",
        )
        found = page.execute_script(script)
        assert found["cursors"] == [x[worst]] * 3
        assert set(found["marks"]) == {x[peak], x[worst]}
        assert sorted(found["labels"]) == [["peak", x[peak]], ["worst", x[worst]]]
        assert x[-1] in found["ends"]


def test_numbers_are_those_of_replay(
    page: Chrome, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(trace), "--json", "--cpus", "2"]) == 0
    expected = json.loads(capsys.readouterr().out)
    shown = {
        card.get_attribute("data-figure"): card.text
        for card in page.find_elements("css selector", "[data-figure]")
    }
    shown.pop("")
    assert shown.pop("utilisation_at_peak") == f"{expected['utilisation_at_peak']:.1%}"
    assert len(shown) == 10
    assert shown == {key: f"{expected[key]:,}" for key in shown}
    assert "\nand 11 more.\n" in f"{page.find_element('tag name', 'main').text}\n"


def test_no_width_scrolls_sideways(page: Chrome) -> None:
    # At 360 pixels the page was 559 wide, and long call sites ran out of their cards.
    script = """
    const root = document.documentElement
    const out = [...document.querySelectorAll("main *")].filter((e) =>
        e.getBoundingClientRect().right > root.clientWidth && !e.closest(".wide"))
    return [root.scrollWidth - root.clientWidth, out.map((e) => e.outerHTML)]
    """
    size = {"height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    for width in (320, 360, 768, WIDTH):
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, **size})
        until(page, f"return innerWidth === {width}")
        assert settled(lambda: page.execute_script(script), [0, []]) == [0, []]
        charts = figures(page)
        assert all(100 < chart.rect["width"] <= width for chart in charts)
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_says_what_it_is(page: Chrome) -> None:
    # The slider had no name.
    controls = page.find_elements("css selector", "input, button, summary, [tabindex]")
    controls = [control for control in controls if control.is_displayed()]
    named = [(control.aria_role, control.accessible_name) for control in controls]
    assert ("slider", "Moment") in named
    assert ("button", "earlier") in named
    assert ("radio", "by age") in named
    assert ("button", printable(LONG)) not in named  # it is not among the first
    assert all(re.search(r"\w", name) for _, name in named)
    groups = page.find_elements("css selector", "[role=img], fieldset, figure, output")
    assert all(group.accessible_name for group in groups if group.aria_role in ("img", "group"))


def test_slider_and_map_say_the_moment(page: Chrome, timeline: Timeline) -> None:
    slider, chunks = page.find_element("id", "moment"), page.find_element("id", "map")
    for name, done, what in (
        ("peak", timeline.peak, "peak of live bytes: "),
        ("worst", timeline.worst, "worst moment: "),
        ("earlier", timeline.moments[timeline.moment_at(timeline.worst) - 1].done, ""),
    ):
        press(page, name)
        assert timeline.seconds is not None
        milliseconds = 1000 * timeline.seconds[done]
        when = f"{what}{milliseconds:.2f} milliseconds, {done:,} operations done"
        assert slider.get_attribute("aria-valuetext") == when
        assert page.find_element("id", "now-when").text == f"{milliseconds:.2f} ms"
        areas = sum(p.kind >= 0 for p in timeline.patches_at(timeline.moment_at(done)))
        assert chunks.accessible_name == (
            f"The chunks, {when}: {timeline.curves.chunks[done]} chunks with {areas:,} areas, "
            f"{timeline.curves.live[done]:,} live bytes, {timeline.held(done):,} populated."
        )


def test_table_has_the_chunks_of_the_map(page: Chrome, timeline: Timeline) -> None:
    press(page, "peak")
    moment = timeline.moment_at(timeline.peak)
    check_moment(page, timeline, moment)
    shown = page.execute_script("""
    return [...document.querySelectorAll("#lanes tr")].map((row) =>
        [...row.cells].map((cell) => cell.textContent))
    """)
    patches = list(timeline.patches_at(moment))
    for chunk, row in enumerate(shown):
        own = [p for p in patches if p.chunk == chunk]
        assert row[:4] == [
            f"chunk {chunk}",
            f"{sum(p.kind >= 0 for p in own):,}",
            f"{sum(p.end - p.start for p in own if p.kind >= 0 or p.kind == STATIC):,}",
            f"{sum(p.end - p.start for p in own if p.kind == PAGES):,}",
        ]
        first, second, *others = chunk_users(timeline, own)
        ordered = sorted((first, second, *others), key=lambda user: -user.bytes)
        assert row[4].startswith(f"{shown_name(ordered[0].name)} ({ordered[0].bytes:,} bytes), ")
        assert row[4].endswith(f", {len(ordered) - 2} others")
    assert len(shown) == timeline.curves.chunks[timeline.peak]


# all text with its own colour and the first background below it that is not transparent
CONTRASTS = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number)
const light = (colour) => parts(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
const found = []
for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())
    if (!text || !element.getClientRects().length) continue
    let below = element
    while (parts(getComputedStyle(below).backgroundColor)[3] === 0) below = below.parentElement
    const one = light(getComputedStyle(element).color)
    const other = light(getComputedStyle(below).backgroundColor)
    found.push([(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), element.outerHTML])
}
return found
"""


@pytest.mark.parametrize(("scheme", "colours"), [("dark", DARK), ("light", COLOURS)])
def test_page_follows_the_colour_scheme(page: Chrome, scheme: str, colours: dict[str, str]) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        until(page, f"return matchMedia('(prefers-color-scheme: {scheme})').matches")
        until(
            page,
            f"""
            const {{site, fill}} = Bokeh.documents[0].get_model_by_name("areas").data
            return fill[site.indexOf("static area")] === "{colours["static"]}" """,
        )
        painted = page.execute_script("""
        const found = {}
        for (const model of Bokeh.documents[0]._all_models.values())
            for (const name of ["axis_label_text_color", "major_label_text_color",
                                "grid_line_color", "background_fill_color"])
                if (name in model) (found[`${model.type} ${name}`] ??= []).push(model[name])
        return found
        """)
        assert set(painted["LinearAxis major_label_text_color"]) == {colours["soft"]}
        assert set(painted["LinearAxis axis_label_text_color"]) == {colours["soft"]}
        assert set(painted["Grid grid_line_color"]) == {colours["grid"]}
        assert set(painted["Figure background_fill_color"]) == {None}  # transparent
        contrasts = page.execute_script(CONTRASTS)
        assert len(contrasts) > 100
        assert min(contrasts) > [4.5]
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_keyboard_reaches_every_control_visibly(page: Chrome) -> None:
    press(page, "peak")
    page.execute_script("""
    const top = document.querySelector("h1")  // Tab goes on from here
    top.tabIndex = -1
    top.focus()
    """)
    reached = []
    for _ in range(40):
        ActionChains(page).send_keys(Keys.TAB).perform()
        tag, outline = page.execute_script("""
        const e = document.activeElement, style = getComputedStyle(e)
        return [e.id || e.name || e.dataset.to && "to" || e.dataset.by && "by" || e.tagName,
                e.tagName === "BODY" ? "" : style.outlineStyle]
        """)
        if tag == "BODY":
            break
        assert outline != "none", tag
        reached += [tag] if tag != "DIV" else []  # a part that scrolls
    assert reached[:8] == ["axis", "SUMMARY", "moment", "by", "by", "to", "to", "colouring"]
    assert reached.count("BUTTON") == 5  # call sites
    assert reached.count("SUMMARY") == 3
    summary = page.find_elements("tag name", "summary")[1]
    summary.send_keys(Keys.ENTER)
    assert page.find_element("css selector", "#lanes th").is_displayed()
    summary.send_keys(Keys.ENTER)


def test_names_are_text_everywhere(page: Chrome, timeline: Timeline) -> None:
    shown = page.execute_script("""
    const names = Bokeh.documents[0].get_model_by_name("areas").data.site
    return [document.title, document.images.length, document.scripts.length,
            [...document.querySelectorAll("bdi")].map((name) => name.textContent)]
    """)
    assert shown[:3] == ["netns.trace: per-CPU memory over time", 0, 4]
    assert {printable(name) for name in NAMES} & set(shown[3])


def test_many_chunks_without_call_sites_and_times(browser: Chrome, tmp_path: Path) -> None:
    setup = {"page_size": 64, "static_size": 64, "quirks": ["rollback"]}  # units of 1 KiB
    ops: list[tuple[Any, ...]] = [
        # the failure takes the last page of "a", in front of that of "c"
        ("alloc", "a", 200, 4),
        ("inject", "alloc_page", {"nth": 3}),
        ("alloc", "b", 300, 4),
        ("alloc", "c", 8, 64),
        *(("alloc", i, 1000, 8) for i in range(190)),
        # chunks on the lanes of others, even ones on odd lanes
        *(("free", i) for i in range(11, 15)),
        *(("alloc", i, 1000, 8) for i in range(11, 15)),
    ]
    Trace.from_ops(ops, setup=setup).save(tmp_path / "a")
    touch = {"enabled": True, "maxTouchPoints": 1}
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", touch)
    open_page(browser, tmp_path / "a")
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    # a finger scrolls
    assert active_drags(browser) == {None}
    assert browser.find_element("id", "legend-age").is_displayed()
    assert not browser.find_element("id", "legend-site").is_displayed()
    browser.find_element("id", "moment").send_keys(Keys.END)
    until(browser, f"return document.getElementById('now-done').textContent === '{len(ops)}'")
    ages = {age for (age,) in columns(browser, "areas", "age")}
    assert {"since the start", "0 operations", f"{len(ops) - 1} operations"} <= ages
    assert f"{len(ops)} operations" not in ages
    spoken = browser.find_element("id", "moment").get_attribute("aria-valuetext")
    assert str(spoken).endswith(f"{len(ops)} operations done")
    assert [radio.is_enabled() for radio in browser.find_elements("name", "axis")] == [False] * 2
    # the first chunk stays anyway: the call site is not alone in it
    users = [cell.text for cell in browser.find_elements("css selector", "#pins tr > *")]
    assert users[:4] == ["unknown", "191", "190", "192"]
    # pages with a hole: 4 of 64 bytes, and one
    first = columns(browser, "pages", "chunk", "left", "right", "held")[:2]
    assert first == [(0, 0, 256, 320), (0, 320, 384, 320)]
    # names of chunks do not cover each other
    script = """
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "FixedTicker" && model.ticks.length > 5) return model.ticks
    """
    ticks = sorted(browser.execute_script(script))
    assert len(ticks) >= 90
    assert {round(high - low, 6) for low, high in pairwise(ticks)} == {2}
    assert figures(browser)[3].rect["height"] / len(ticks) > 12  # pixels, the height of a name
    assert errors(browser) == []


def test_trace_without_allocations(browser: Chrome, tmp_path: Path) -> None:
    Trace.from_ops([("free", 1)]).save(tmp_path / "a")
    open_page(browser, tmp_path / "a")
    text = browser.find_element("tag name", "body").text
    assert "No area is live at this moment." in text
    assert text.count("There are no allocations.") == 2
    assert errors(browser) == []


def go_to(browser: Chrome, moment: int, done: int) -> None:
    """Move the slider to a moment."""
    browser.execute_script(
        """
    const slider = document.getElementById("moment")
    slider.value = arguments[0]
    slider.dispatchEvent(new Event("input"))
    """,
        moment,
    )
    until(browser, f"return document.getElementById('now-done').textContent === '{done:,}'")


def cells(browser: Chrome, body: str) -> list[list[str]]:
    """Return the cells of a table's body."""
    script = "return [...arguments[0].rows].map((row) => [...row.cells].map((c) => c.textContent))"
    found: list[list[str]] = browser.execute_script(script, browser.find_element("id", body))
    return found


# The first chunk is full, but for 16 bytes that are hidden; of chunk 2 five pages are freed::
#
#     reserved  |....|
#     chunk 0   |++++|++++|+.++|++++|...       |
#     chunk 1   |.....+++++++++++++++++++++++++|
#     chunk 2   |.....+++++++++++++++++++++++++|   isolated, then sidelined
def test_marks_of_bitmaps(browser: Chrome, tmp_path: Path) -> None:
    setup = {"policy": "bitmap", "static_size": 64, "reserved_size": 64, "dyn_size": 512,
             "unit_size": 1024, "page_size": 64, "balance": "manual"}  # fmt: skip
    ops: list[tuple[Any, ...]] = [
        *(("alloc", i, 16, 4) for i in range(32)),
        *(("alloc", 100 + i, 64, 64) for i in range(32)),
        ("free", 10),
        *(("free", 100 + i) for i in (*range(5), *range(16, 21))),
        ("balance",),
    ]
    trace = Trace.from_ops(ops, setup=setup)
    trace.save(tmp_path / "a")
    timeline = collect(trace, {**setup, "cpus": 2})
    open_page(browser, tmp_path / "a")
    for done in (0, len(ops) - 1, len(ops)):
        moment = timeline.moment_at(done)
        go_to(browser, moment, done)
        patches = list(timeline.patches_at(moment))

        def ends(*kinds: int, patches: list[Patch] = patches) -> list[tuple[int, ...]]:
            return sorted((p.chunk, p.start, p.end) for p in patches if p.kind in kinds)

        for source, kinds in (
            ("units", (FREE_SPACE,)), ("pages", (PAGES,)), ("empty", (EMPTY_PAGES,)),
            ("hidden", (HIDDEN,)), ("apart", (SIDELINED, DEPOPULATE)), ("blocks", (BLOCKS,)),
        ):  # fmt: skip
            assert columns(browser, source, "chunk", "left", "right") == ends(*kinds)
        hints = columns(browser, "blocks", "chunk", "left", "hint")
        assert hints == sorted((p.chunk, p.start, p.hint) for p in patches if p.kind == BLOCKS)
        strips = [set(columns(browser, name, "bottom", "top")) for name in ("blocks", "pages")]
        assert strips[0].isdisjoint(strips[1])
    assert columns(browser, "units", "chunk", "name", "mark", "hidden") == [
        (-1, "reserved chunk", "", 0), (0, "chunk 0", "", 16), (1, "chunk 1", "", 0),
        (2, "chunk 2, sidelined", "sidelined", 0),
    ]  # fmt: skip
    assert (2, 320, "chunk 2, sidelined") in columns(browser, "areas", "chunk", "left", "name")
    first = columns(browser, "blocks", "chunk", "left", "blocks", "shade")
    assert (0, 0, "0 to 1", 1) in first
    assert (1, 0, "0 to 4", pytest.approx(0.08)) in first
    assert (0, 128, "2", pytest.approx(1 - 0.92 * 16 / 64)) in first
    assert number(browser, "now-hidden") == 16
    assert [row[:5] for row in cells(browser, "lanes")] == [
        ["reserved chunk", "0", "0", "64", "0"],
        ["chunk 0", "31", "496", "512", "16"],
        ["chunk 1", "11", "704", "1,024", "0"],
        ["chunk 2, sidelined", "11", "704", "704", "0"],
    ]
    labels = browser.execute_script("""
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type === "LinearAxis" && model.formatter.args?.units) {
            const {formatter, ticker} = model, ticks = ticker.ticks.slice().sort((a, b) => b - a)
            const wide = formatter.doFormat(ticks, {})
            formatter.args.two_lines = false  // as if there were many chunks
            return [wide, formatter.doFormat(ticks, {})]
        }
    """)
    assert labels == [
        ["reserved", "chunk 0", "chunk 1", "chunk 2\nsidelined"],
        ["reserved", "chunk 0", "chunk 1", "2, sidelined"],
    ]
    go_to(browser, timeline.moment_at(len(ops) - 1), len(ops) - 1)
    names = [name for (name,) in columns(browser, "units", "name")]
    assert "chunk 2, to be depopulated" in names
    assert errors(browser) == []


def test_history_of_a_kernel(browser: Chrome, tmp_path: Path) -> None:
    """The areas are at the recording's own offsets."""
    path = tmp_path / "netns.ftrace.xz"
    shutil.copy(NETNS, path)
    open_page(browser, path, "--as", "kernel")
    trace = Trace.load(NETNS)
    lives, places = lives_of(trace), trace.places
    assert places is not None
    peak = lives.peak + 1  # the page opens there
    assert number(browser, "now-done") == peak
    for moment, done in ((None, peak), (0, 0), (9999, len(trace))):
        if moment is not None:
            go_to(browser, moment, done)
        live = [
            (places.chunks[born], places.offsets[born], kind)
            for kind, born, died in zip(lives.kinds, lives.born, lives.died, strict=True)
            if born < done <= died
        ]
        assert columns(browser, "areas", "chunk", "left", "right") == sorted(
            (chunk, at, at + (trace.kinds[kind].size + 3) // 4 * 4) for chunk, at, kind in live
        )
        assert number(browser, "now-live") == sum(trace.kinds[kind].size for _, _, kind in live)
    assert len(figures(browser)) == 4  # bytes, chunks; the chunks; sizes
    assert errors(browser) == []


def test_older_areas_of_a_kernel(browser: Chrome, tmp_path: Path) -> None:
    """What is older than the recording has no size, no call site and no age."""
    read(tmp_path, *LINES)
    open_page(browser, tmp_path / "recording", "--as", "kernel")
    older = ("chunk 0, older than the recording", 640, 4, " or more", "older than the recording",
             "since before the recording")  # fmt: skip
    names = ("name", "left", "size", "align", "site", "age")
    assert [row for row in columns(browser, "areas", *names) if row[1] == 640] == [older]
    assert columns(browser, "units", "chunk", "name", "mark", "used") == [
        (0, "chunk 0, older than the recording", "older", 12), (1, "chunk 1", "", 12),
    ]  # fmt: skip
    assert columns(browser, "apart", "chunk") == []
    # only chunk 1 is known from its start
    users = [cell.text for cell in browser.find_elements("css selector", "#pins tr > *")]
    assert users == ["f", "2", "1", "2", "24"]
    label = browser.find_element("id", "map").accessible_name
    assert label.endswith("22 live bytes, 12,288 on pages with recorded areas.")
    go_to(browser, 3, 3)
    assert 640 not in {left for (left,) in columns(browser, "areas", "left")}
    assert number(browser, "now-runs") == 1
    assert errors(browser) == []
