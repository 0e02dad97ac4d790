"""Pages in Debian's Chromium, driven by Playwright without a display, and what they do wrong."""

import io
import shutil
from contextlib import contextmanager

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium")

# No network, no driver: WebGL is drawn by SwiftShader.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]

# Of a tenth of a second. On a busy machine a page takes many times as long as by itself.
MOST_WAITS = 1200


@contextmanager
def started(profile):
    """Start the browser with a new folder for its profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=FLAGS, timeout=100 * MOST_WAITS
        )
        context.set_default_timeout(100 * MOST_WAITS)
        yield context
        context.close()


class Opened:
    """A page, and what it did that it should not.

    Parameters
    ----------
    browser : playwright's context
    path : Path, or an address
    size : dict
        Width and height.
    scheme : "light" or "dark"
    allowed : tuple of str
        Beginnings of addresses that may be asked for, besides the page itself.
    """

    def __init__(self, browser, path, size, scheme="light", allowed=()):
        self.address = path if isinstance(path, str) else path.as_uri()
        self.allowed = ("data:", "blob:", *allowed)
        self.page = browser.new_page()
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=scheme)
        self.wrong = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("dialog"), dialog.dismiss()))
        self.page.on("request", self._asked)
        self.page.goto(self.address)

    def _heard(self, message):
        if message.type == "error":
            self.wrong.append(message.text)

    def _asked(self, request):
        if request.url != self.address and not request.url.startswith(self.allowed):
            self.wrong.append(f"asked for {request.url}")

    def decoded(self, selector="doh-viewer"):
        """Wait until a viewer shows its mesh at the resolution that was chosen."""
        self.until(
            f"(view => view.mesh && !view.note.textContent)(document.querySelector('{selector}'))"
        )
        self.settle()

    def until(self, expression):
        """Wait until an expression is true; Playwright's own wait is not for pages' rules."""
        for _ in range(MOST_WAITS):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError(f"{expression} stays false; the page said {self.wrong}")

    def settle(self):
        """Wait until two frames have been drawn."""
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def look(self, selector):
        """Return what a part of the page shows, (H, W, 3)."""
        shot = self.page.locator(selector).screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))

    def changed(self, selector, before):
        """Wait for a part of the page to look different; how much of it does.

        A hundredth is more than what shows where the focus is, which may be drawn before.
        """
        for _ in range(MOST_WAITS):
            self.settle()
            now = self.look(selector)
            if (share := differing(now, before)) > 0.01:
                return share
            self.page.wait_for_timeout(100)
        return 0.0


def differing(one, other):
    """Share of pixels that differ by more than the smoothing of edges from frame to frame."""
    return float((np.abs(one.astype(int) - other).max(axis=2) > 12).mean())


def drawn_share(picture):
    """How much of a picture is not of the colour of its middle left edge's inside."""
    return float(is_drawn(picture).mean())


def is_drawn(picture):
    """Which pixels are not of that colour, (H, W) bool."""
    ground = picture[len(picture) // 2, 4]
    return np.abs(picture.astype(int) - ground).max(axis=2) > 12
