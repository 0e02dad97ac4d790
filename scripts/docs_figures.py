"""Draw the documentation's pictures: how it works, latents of some lengths, a heatmap, a report.

usage: python scripts/docs_figures.py    (some minutes; needs chromium for the report's)

The shape is the Stanford bunny that the PyPI package pymeshfix ships among its examples. Sweep and
report are left in out/docs; a sweep that was stopped is taken up.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

import doh3d
from doh3d.sweep.run import run_sweep
from doh3d.sweep.table import SweepRow
from doh3d.view.camera import Camera
from doh3d.view.comparison import Heat, load_comparison
from doh3d.view.heatmap import SignedDistance
from doh3d.view.picture import draw_picture
from doh3d.view.report import write_report
from doh3d.view.thumbnail import draw_panels

DOCS, OUT = Path("docs"), Path("out/docs")
LATENTS = (150, 300, 600, 1200, 2400)
BITS = (4, 6, 8)
PIXELS = 260

INK, CODE, FIXED, EDGE = "#222222", "#dcebf7", "#eeeeee", "#888888"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
CHROMIUM += ["--enable-unsafe-swiftshader", "--disable-background-networking"]


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    draw_pipeline(DOCS / "pipeline.svg")
    with resources.as_file(resources.files("pymeshfix") / "examples/StanfordBunny.ply") as mesh:
        swept = run_sweep(
            mesh, OUT / "sweep", latents=LATENTS, bits=BITS, quantizer="ptq", preset="fast"
        )
        draw_latents(mesh, swept.rows, DOCS / "latent.png")
        draw_heatmap(mesh, swept.rows, DOCS / "heatmap.png")
        write_report(OUT / "sweep", OUT / "report.html", up="z", reference=mesh)
    photograph(OUT / "report.html")


def draw_pipeline(path: Path) -> None:
    """Draw what is stored, what is known from a seed, and what follows from both."""
    figure = Figure(figsize=(9.2, 2.9), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 92)
    axes.set_ylim(0, 29)
    axes.axis("off")
    boxes = {
        "latent": (1, 17, 15, 8, "latent z\nn integers", CODE),
        "biases": (1, 3, 15, 8, "biases h\nintegers", CODE),
        "projection": (22, 17, 19, 8, "B_l z\nrandom, by seed", FIXED),
        "weights": (47, 17, 14, 8, "weights W_l\nof each layer", FIXED),
        "network": (47, 3, 14, 8, "f(x; W, h)\nnetwork", FIXED),
        "field": (67, 3, 10, 8, "inside\nor out", FIXED),
        "mesh": (82, 3, 9, 8, "mesh", FIXED),
    }
    for x, y, width, height, text, colour in boxes.values():
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=EDGE))
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=INK)
    arrows = [
        ((16, 21), (22, 21), ""),
        ((41, 21), (47, 21), "× gain"),
        ((54, 17), (54, 11), ""),
        ((16, 7), (47, 7), ""),
        ((61, 7), (67, 7), ""),
        ((77, 7), (82, 7), ""),
    ]
    for start, end, text in arrows:
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK})
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 1)
        axes.text(*middle, text, ha="center", color=INK, fontsize=8)
    axes.text(1, 27, "the file, about a kilobyte", color=INK, va="center", style="italic")
    axes.text(22, 27, "what everybody makes of it", color=INK, va="center", style="italic")
    figure.savefig(path, metadata={"Date": None})


def draw_latents(mesh: Path, rows: Sequence[SweepRow], path: Path) -> None:
    """Draw the original, and what comes back from longer and longer latents of 8 bits."""
    chosen = [row for row in rows if row.bits == BITS[-1]]
    shapes = [doh3d.load_mesh(mesh)]
    captions = ["original"]
    for row in chosen:
        shapes.append(doh3d.load(file_of(row)).to_mesh(128))
        captions.append(f"latent {row.latent:,}: {row.bytes:,} bytes\nIoU {row.iou:.3f}")
    panels = draw_panels(shapes, pixels=PIXELS, up="z")
    columns = 3
    lines = -(-len(panels) // columns)
    picture = Image.new("RGB", (columns * PIXELS, lines * (PIXELS + 44)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=15)
    for place, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        x, y = place % columns * PIXELS, place // columns * (PIXELS + 44)
        picture.paste(panel, (x, y))
        middle = (x + PIXELS / 2, y + PIXELS + 18)
        draw.multiline_text(middle, caption, INK, font=font, anchor="mm", align="center")
    save_small(picture, path)


def file_of(row: SweepRow) -> Path:
    return OUT / "sweep" / "files" / f"latent{row.latent}-bits{row.bits}-seed{row.seed}.doh"


def draw_heatmap(mesh: Path, rows: Sequence[SweepRow], path: Path) -> None:
    """Draw the original beside a short and a long latent in the colours of their distance."""
    files = [file_of(row) for row in rows if row.bits == BITS[-1]][1:4:2]
    comparison = load_comparison([*files, mesh])
    meshes = comparison.extract(256)
    heat = Heat.of(SignedDistance(comparison.reference.mesh), meshes)
    draw_picture(
        comparison.panels(meshes, heat),
        path,
        size=(1000, 420),
        camera=Camera(azimuth_deg=-70, up="z"),
        range_percent=heat.range_percent,
    )


def photograph(page_path: Path) -> None:
    """Show the report as a wide light window and as a phone's dark one show it."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=shutil.which("chromium"), headless=True, args=CHROMIUM
        )
        for name, size, scheme in (
            ("report.png", {"width": 1000, "height": 860}, "light"),
            ("report-phone.png", {"width": 400, "height": 860}, "dark"),
        ):
            page = browser.new_page()
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            page.goto(page_path.resolve().as_uri())
            for view in ("original-view", "decoded-view"):
                page.wait_for_function(f"document.getElementById('{view}').mesh?.indices.length")
            # From its side, as in the other pictures.
            for _ in range(6):
                page.get_by_role("button", name="Turn left").click()
            page.locator("#rate").focus()
            for _ in range(3):
                page.keyboard.press("ArrowLeft")
            page.locator("#rate").blur()
            page.wait_for_timeout(2000)
            save_small(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), DOCS / name)
            page.close()
        browser.close()


def save_small(picture: Image.Image, path: Path) -> None:
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
