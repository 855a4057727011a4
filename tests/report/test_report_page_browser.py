"""The results page in a browser; skipped if there is none."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from denf.report.page.build import write_page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
WAIT = 120_000  # milliseconds; enough for a busy machine


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def address(drawn, write_run, literature, tmp_path):
    """The page of two methods, one with samples, and a control."""
    for name, value in (("slot-attention", 0.5), ("monet", 0.7), ("true-labels", 1.0)):
        group = "control" if name == "true-labels" else "method"
        write_run(name, 0, ari_fg=value, seeds=[0], group=group)
    folder = drawn / "clevr6/denf/seed-0"
    with np.load(folder / "panels.npz") as archive:
        known = dict(archive)
    made = np.zeros((3, 4, 32, 32, 3), np.uint8)
    np.savez(folder / "panels.npz", **known, samples=made)
    record = json.loads((folder / "run.json").read_text())
    cost = {"steps": 5, "seconds": 12.0, "parameters": 10, "peak_memory_bytes": 5}
    (folder / "run.json").write_text(json.dumps(record | cost))
    return write_page(
        drawn, literature, tmp_path / "index.html", references=tmp_path / "no"
    ).as_uri()


@pytest.fixture
def open_page(browser, address):
    """Open the page at a width; messages in the console and external requests fail the test."""
    complaints: list[str] = []
    opened = []

    def open_at(width: int):
        page = browser.new_page(viewport={"width": width, "height": 900})
        opened.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", "blob:", address))
                else complaints.append(request.url)
            ),
        )
        page.goto(address, wait_until="load", timeout=WAIT)
        page.wait_for_selector("html[data-ready=true]", state="attached", timeout=WAIT)
        return page

    yield open_at
    for page in opened:
        page.close()
    assert complaints == []


def column(page, table: int, number: int) -> list[str]:
    """First line of each cell of a column, as shown."""
    cells = page.locator(f"#table-{table} tbody tr:visible td:nth-child({number})")
    return [text.splitlines()[0].strip() for text in cells.all_inner_texts()]


@pytest.mark.parametrize("width", [1400, 400])
def test_every_image_loads_and_nothing_is_clipped(open_page, width):
    page = open_page(width)
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate("document.images.length") > 9
    assert page.evaluate(broken) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Elements that extend beyond the window must be inside an element that scrolls.
    outside = page.evaluate(
        """() => [...document.querySelectorAll("main *, header *, nav *")].filter((one) => {
          const box = one.getBoundingClientRect();
          if (!box.width || box.right <= innerWidth + 1) return false;
          for (let at = one; at; at = at.parentElement) {
            if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return false;
            if (at.matches(".dt-scroll-head, svg, option")) return false;
          }
          return true;
        }).map((one) => one.outerHTML.slice(0, 100))"""
    )
    assert outside == []
    assert page.locator(".plot svg").count() >= 2


def test_tables_sort_and_filter(open_page):
    page = open_page(1400)
    before = column(page, 1, 3)
    assert "not run" in before
    head = page.locator("#table-1 .dt-scroll-head th", has_text="Reproduced").first
    shown = page.locator("#table-1 tbody tr:visible td:nth-child(3)")
    head.click()  # the table sorts in a later event, which `expect` waits for
    sync_api.expect(shown.last).to_contain_text("100.0")
    rising = [float(text.split()[0]) for text in column(page, 1, 3) if text != "not run"]
    assert rising == [50.0, 70.0, 90.0, 90.0, 100.0]
    head.click()
    sync_api.expect(shown.first).to_contain_text("100.0")
    falling = column(page, 1, 3)
    assert set(falling[5:]) == {"not run"}
    methods = page.locator("#table-1 tbody tr:visible td:nth-child(1)")
    page.locator("#table-1 input[type=search]").fill("slot")
    sync_api.expect(methods).to_contain_text(["Slot Att."])
    page.locator("#table-1 input[type=search]").fill("")
    page.locator("#table-1 button[data-block=controls]").click()
    sync_api.expect(methods).to_contain_text(["TRUE-LABELS"])


def test_a_number_links_to_its_record(open_page):
    page = open_page(1400)
    link = page.locator("#table-1 tbody a", has_text="50.0").first
    anchor = link.get_attribute("href")
    link.click()
    page.wait_for_function(f"document.querySelector('{anchor}').open")
    assert "denf train slot-attention.yaml" in page.locator(anchor).inner_text()


def test_the_gallery_shows_one_kind_of_image_or_all(open_page):
    page = open_page(1400)
    gallery = page.locator(".gallery").first
    kinds = gallery.locator(".pictures .strip:visible")
    assert {kind.get_attribute("data-kind") for kind in kinds.all()} == {"segmentation"}
    gallery.locator("button[data-kind=background]").click()
    assert {kind.get_attribute("data-kind") for kind in kinds.all()} == {"background"}
    gallery.locator("button[data-kind=all]").click()
    assert len({kind.get_attribute("data-kind") for kind in kinds.all()}) == 3


def test_settings_of_two_runs_are_compared(open_page):
    page = open_page(1400)
    page.locator("#run-a").select_option(label="MONET, seed 0 (CLEVR6)")
    page.locator("#run-b").select_option(label="SLOT-ATTENTION, seed 0 (CLEVR6)")
    rows = page.locator("#difference-table tbody tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        ["label", "MONET", "SLOT-ATTENTION"],
        ["method", "monet", "slot-attention"],
        ["name", "monet", "slot-attention"],
    ]


@pytest.fixture
def crowded(runs, write_run, literature, tmp_path):
    """The address of a page with twenty methods, half of them with nearly equal score and cost."""
    rng = np.random.default_rng(0)
    for k in range(20):
        score = 0.7 + 0.002 * k if k % 2 else rng.uniform(0.2, 1)
        folder = write_run(f"method-number-{k}", 0, ari_fg=float(score), seeds=[0])
        record = json.loads((folder / "run.json").read_text())
        cost = {"steps": 5, "seconds": 30.0 + 0.2 * k, "parameters": 10**4 + k}
        record |= {**cost, "peak_memory_bytes": 10**9}
        (folder / "run.json").write_text(json.dumps(record))
        text = "step,loss,validation_ari_fg\n5,3.0,\n10,2.0,0.25\n20,1.0,0.5\n"
        (folder / "history.csv").write_text(text)
    page = tmp_path / "index.html"
    return write_page(runs, literature, page, references=tmp_path / "no").as_uri()


def test_labels_of_crowded_points_do_not_overlap(browser, crowded):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(crowded, wait_until="load", timeout=WAIT)
    page.wait_for_selector("html[data-ready=true]", state="attached", timeout=WAIT)
    for cost in ("seconds", "parameters"):
        page.locator("#cost-axis").select_option(cost)
        assert page.locator(".plot.cost path.point").count() == 20
        boxes = page.evaluate(
            """() => [...document.querySelectorAll(".plot.cost .textpoint")].map((one) => {
              const { left, right, top, bottom } = one.getBoundingClientRect();
              return [left, right, top, bottom];
            })"""
        )
        shown = [box for box in boxes if box[1] > box[0]]
        assert 5 <= len(shown) < 20
        for k, (left, right, top, bottom) in enumerate(shown):
            for other in shown[:k]:
                apart = right <= other[0] or other[1] <= left or bottom <= other[2]
                assert apart or other[3] <= top, (shown[k], other)
    page.close()


def test_foreground_ari_over_steps_comes_first_where_it_was_scored(browser, crowded):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(crowded, wait_until="load", timeout=WAIT)
    page.wait_for_selector("html[data-ready=true]", state="attached", timeout=WAIT)
    choices = page.locator("#curve-choice option").all_inner_texts()
    assert choices[:2] == ["foreground ARI of all methods, CLEVR6", "loss of all methods, CLEVR6"]
    curves = page.evaluate("document.getElementById('curve-plot').data.map((d) => [d.x, d.y])")
    assert curves == [[[10, 20], [0.25, 0.5]]] * 20
    page.locator("#curve-choice").select_option(index=2)
    axes = page.evaluate("document.getElementById('curve-plot').data.map((d) => d.yaxis)")
    assert sorted(axes) == ["y", "y2"]
    page.close()
