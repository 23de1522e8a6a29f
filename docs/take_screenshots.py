"""Takes the pictures of docs/ui.md: a browser without a window opens the UI and clicks through it.

Needs, in an environment of its own, `pip install playwright pillow` and a Chromium (`playwright install chromium`, or one
that is installed, named by `--chromium`). The UI runs on a store that holds the demo photographs:

    python examples/demo_photos.py photos
    aion-dagster run photos --store aion-store --labels examples/labels.json --detect text --batch-size 12
    aion-dagster dev --store aion-store --port 3000 &
    python docs/take_screenshots.py --store aion-store --url http://127.0.0.1:3000

One partition is materialized again on the way, so the store must not be one that matters.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

SIZE = {"width": 1600, "height": 1000}
MOST_BYTES = 300_000
WAIT = 60_000
"""Milliseconds that a page may take to show what it is asked for."""

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
"""The browser is to talk to the UI alone; containers have no sandbox and no graphics card."""

PREFERENCES = """() => {
    localStorage.setItem("asset-graph-direction", '"vertical"');
    localStorage.setItem("dagster-nav-collapsed", "true");
    localStorage.setItem("large-screen-nav-open", "false");
}"""
"""The graph from top to bottom and a narrow menu: what fits on one screen."""


class Camera:
    """A browser page, and the folder that its pictures go into."""

    def __init__(self, page: Any, url: str, folder: Path) -> None:
        """`page` is playwright's; `url` is where the UI is."""
        self.page = page
        self._url = url.rstrip("/")
        self._folder = folder

    def open(self, path: str, *, until: str) -> None:
        """Go to a page of the UI and wait for a text on it."""
        self.page.goto(self._url + path, wait_until="domcontentloaded")
        self.page.get_by_text(until).first.wait_for(timeout=WAIT)

    def shoot(self, name: str, *, settle: int = 2_500) -> None:
        """Save what is seen once drawings have come to rest, with as many colors as its size allows."""
        from PIL import Image

        # A pointer over a text shows a hint that covers other texts.
        self.page.mouse.move(SIZE["width"] - 1, SIZE["height"] - 1)
        self.page.wait_for_timeout(settle)
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        for colors in (256, 128, 64, 32):
            small = picture.quantize(palette=picture.quantize(colors))
            data = io.BytesIO()
            small.save(data, "PNG", optimize=True)
            if data.tell() < MOST_BYTES:
                break
        (self._folder / f"{name}.png").write_bytes(data.getvalue())
        print(f"{name}.png: {data.tell():,} bytes, {colors} colors")  # noqa: T201 - the command's output


def lineage(camera: Camera) -> None:
    """All assets, with their groups opened."""
    groups = ("pictures", "labels", "library", "dataset_main")
    opened = quote(",".join(f"global@global:{group}" for group in groups), safe="")
    camera.open("/asset-groups", until="pictures")
    camera.page.evaluate(PREFERENCES)
    camera.open(f"/asset-groups?expanded={opened}", until="visual_features")
    camera.page.get_by_placeholder("Jump to…").locator("xpath=following::button[1]").click()
    camera.shoot("lineage", settle=6_000)
    camera.page.evaluate("() => localStorage.clear()")


def contact_sheet(camera: Camera) -> None:
    """One batch of `images` with its pictures."""
    camera.open("/assets/images?view=partitions", until="Materialized (")
    camera.page.locator("[class*=listItem], a, div").get_by_text("photos-").first.click()
    camera.page.get_by_text("[Show Markdown]").first.click(timeout=WAIT)
    camera.page.get_by_role("dialog").locator("img").wait_for(timeout=WAIT)
    camera.shoot("contact-sheet")


def rerun(camera: Camera) -> None:
    """Everything about one batch again, and the run when it is through."""
    page = camera.page
    camera.open("/locations/aion_dagster.definitions/jobs/batch", until="Everything about")
    page.get_by_role("button", name="Materialize all…").click(timeout=WAIT)
    page.get_by_text("Select a partition or create one").click()
    page.get_by_role("dialog").get_by_text("photos-").locator("visible=true").last.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click(timeout=WAIT)
    page.get_by_text("View", exact=True).click(timeout=WAIT)
    page.get_by_text("RUN_SUCCESS").first.wait_for(timeout=5 * WAIT)
    camera.shoot("run", settle=5_000)


def checks(camera: Camera) -> None:
    """The checks of the dataset: one warns, one passes."""
    camera.open("/assets/dataset/main?view=checks", until="named by no label source")
    camera.shoot("checks")


def card(camera: Camera, store: Path) -> None:
    """The top of the page that comes with a dataset."""
    page = store / "exports" / "main" / "card" / "index.html"
    camera.page.goto(page.resolve().as_uri())
    camera.shoot("card")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Takes the pictures of docs/ui.md.")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="where the UI is")
    parser.add_argument("--store", type=Path, default=Path("aion-store"), help="its store")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--chromium", help="the browser's program, if it is not playwright's own")
    args = parser.parse_args()

    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=QUIET)
        page = browser.new_context(viewport=SIZE, device_scale_factor=1).new_page()
        camera = Camera(page, args.url, args.out)
        lineage(camera)
        contact_sheet(camera)
        rerun(camera)
        checks(camera)
        card(camera, args.store)
        browser.close()


if __name__ == "__main__":
    main()
