"""Pages with `.doh` files in Debian's Chromium: they decode and show what is in them."""

import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

import doh3d
from browser import CHROMIUM, Opened, differing, drawn_share, is_drawn
from doh3d.view.camera import Camera
from doh3d.view.page import write_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (apt-get install chromium)"),
]

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
WIDE, NARROW = {"width": 1000, "height": 900}, {"width": 400, "height": 800}
SIDE = 256
# Of the pixels within a picture's frame, between the page's drawing and that of doh3d render.
MOST_DIFFERING = 0.06


@pytest.fixture(scope="module")
def files(torus_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    torus, image = folder / "torus.doh", folder / "image.doh"
    torus.write_bytes((torus_folder / "300.doh").read_bytes())
    image.write_bytes(bytes.fromhex((GOLDEN / "images" / "image.hex").read_text()))
    return torus, image


@pytest.fixture
def opened(browser):
    """Open pages, which are checked for errors when the test ends."""
    pages = []

    def open_page(path, size=WIDE, scheme="light", allowed=()):
        pages.append(Opened(browser, path, size, scheme, allowed))
        return pages[-1]

    yield open_page
    wrong = [message for each in pages for message in each.wrong]
    for each in pages:
        each.page.close()
    assert wrong == []


@pytest.fixture
def page_path(files, tmp_path):
    path = tmp_path / "page.html"
    write_page(files, path, camera=Camera(up="z"), resolution=64)
    return path


def framed(picture):
    """What is drawn, cut out and brought to one size, (SIDE, SIDE, 3)."""
    rows, columns = np.nonzero(is_drawn(picture))
    part = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BOX))


def test_a_page_shows_the_shape_as_render_draws_it(opened, page_path, files, tmp_path, run):
    page = opened(page_path)
    page.decoded()
    shown = page.look("doh-viewer >> canvas")
    assert 0.05 < drawn_share(shown) < 0.9
    assert "triangles" in page.page.evaluate(
        "document.querySelector('doh-viewer').facts.textContent"
    )
    pytest.importorskip("open3d")
    picture = tmp_path / "render.png"
    options = ("--up", "z", "--resolution", 64, "--renderer", "raycast", "--size", "700x700")
    assert run("render", files[0], "-o", picture, *options)[0] == 0
    drawn = np.asarray(Image.open(picture).convert("RGB"))
    # The picture's caption lies below the shape.
    found, expected = framed(shown), framed(drawn[40:-80])
    apart = np.abs(found.astype(int) - expected).max(axis=2)
    share = float((apart > 24).mean())
    print(f"{share:.3f} of the pixels differ")
    assert share < MOST_DIFFERING


def test_by_keys_mouse_and_resolution(opened, page_path):
    page = opened(page_path)
    page.decoded()
    canvas = page.page.locator("doh-viewer >> canvas")
    for key in ("ArrowUp", "+", "Home"):
        before = page.look("doh-viewer")
        canvas.press(key)
        assert page.changed("doh-viewer", before) > 0.01
    before = page.look("doh-viewer")
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 10, y + 90, steps=4)
    page.page.mouse.up()
    assert page.changed("doh-viewer", before) > 0.01
    faces = "document.querySelector('doh-viewer').mesh.indices.length"
    coarse = page.page.evaluate(faces)
    page.page.get_by_role("combobox", name="Resolution").select_option("128")
    page.until(f"{faces} > {coarse}")
    assert "resolution 128" in canvas.get_attribute("aria-label")


def test_another_file_may_be_an_image(opened, page_path, files):
    page = opened(page_path)
    page.page.get_by_role("combobox", name="File").select_option("image.doh")
    page.until("document.getElementById('doh-image').width === 5")
    found = page.page.evaluate(
        "[...document.getElementById('doh-image').getContext('2d').getImageData(0, 0, 5, 3).data]"
    )
    expected = doh3d.load_image(files[1]).pixels()
    apart = np.abs(np.reshape(found, (3, 5, 4))[..., :3] - expected.astype(int))
    assert apart.max() <= 1
    assert page.page.get_by_role("button", name="Save PNG").is_visible()
    assert not page.page.get_by_role("button", name="Save PLY").is_visible()


@pytest.mark.parametrize("kind", ["ply", "stl", "glb"])
def test_saved_meshes_are_what_is_shown(opened, page_path, kind, tmp_path):
    page = opened(page_path)
    page.decoded()
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name=f"Save {kind.upper()}").click()
    assert download.value.suggested_filename == f"torus.{kind}"
    download.value.save_as(tmp_path / f"torus.{kind}")
    mesh = trimesh.load(tmp_path / f"torus.{kind}", force="mesh")
    count = page.page.evaluate("document.querySelector('doh-viewer').mesh.indices.length") / 3
    assert len(mesh.faces) == count
    assert mesh.is_watertight
    assert mesh.volume > 0
    # The torus stands where it stood.
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), [1000, 0, -50], atol=3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_narrow_screen_nothing_overflows(opened, page_path, scheme):
    page = opened(page_path, NARROW, scheme)
    page.decoded()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    ground = page.look("body")[2, 2].mean()
    assert ground > 200 if scheme == "light" else ground < 60


def test_a_file_that_is_dropped_is_shown(opened, files):
    page = opened(ROOT / "web" / "index.html")
    page.page.get_by_label("Drop a .doh file").set_input_files(files[0])
    page.decoded()
    assert drawn_share(page.look("doh-viewer >> canvas")) > 0.05
    # What is no file of ours is said to be none.
    page.page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["nothing"], "other.doh"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer}));
        }"""
    )
    message = page.page.locator("#doh-message")
    message.filter(has_text="other.doh: not a .doh file").wait_for()


@pytest.fixture(scope="module")
def server(files):
    """The modules of web/, and a file, on a server of this machine."""
    handler = functools.partial(Quiet, directory=str(ROOT / "web"))
    Quiet.files = {f"/{path.name}": path.read_bytes() for path in files}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    files: dict[str, bytes]

    def do_GET(self):
        if self.path == "/test.html":
            self.answer(b'<link rel="icon" href="data:,"><body>', "text/html")
        elif self.path in self.files:
            self.answer(self.files[self.path], "application/octet-stream")
        else:
            super().do_GET()

    def answer(self, data, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_the_element_loads_a_file_by_its_address(opened, server):
    page = opened(f"{server}/test.html", allowed=(server,))
    page.page.evaluate(
        """async () => {
            await import("/viewer.js");
            document.body.innerHTML = '<doh-viewer src="/torus.doh" resolution="48"></doh-viewer>';
        }"""
    )
    page.decoded()
    assert drawn_share(page.look("doh-viewer >> canvas")) > 0.05


def test_the_worker_has_the_decoder_s_answers(opened, server):
    page = opened(f"{server}/test.html", allowed=(server,))
    assert (
        page.page.evaluate(
            """async () => {
            const here = await import("/doh3d.js"), there = await import("/worker.js");
            const bytes = new Uint8Array(await (await fetch("/torus.doh")).arrayBuffer());
            const [field, other] = [here.decode(bytes), await there.decode(bytes)];
            const points = Float64Array.from([1000, 0, -50, 1065, 0, -50]);
            const same = async (name, ...values) =>
                JSON.stringify(field[name](...values)) ===
                JSON.stringify(await other[name](...values));
            const found = [
                JSON.stringify(field.bounds) === JSON.stringify(other.bounds),
                await same("logits", points), await same("occupancy", points),
                await same("toMesh", 24),
            ];
            other.close();
            const image = new Uint8Array(await (await fetch("/image.doh")).arrayBuffer());
            found.push((await there.decodeImage(image)).width === 5);
            const refusal = await there.decode(image).catch((error) => error);
            found.push(refusal instanceof here.DohFormatError);
            return found;
        }"""
        )
        == [True] * 6
    )


@pytest.mark.skipif(
    not (ROOT / "web/node_modules/three").exists(), reason="there is no web/node_modules (make web)"
)
def test_the_loader_for_three_js_shows_a_file(opened, server):
    page = opened(f"{server}/example/three.html?file=/torus.doh", allowed=(server,))
    page.until("document.querySelector('p').textContent.endsWith('triangles')")
    page.settle()
    assert 0.05 < drawn_share(page.look("canvas")) < 0.9
    # A file that is none is said to be none.
    other = opened(f"{server}/example/three.html?file=/package.json", allowed=(server,))
    other.until("document.querySelector('p').textContent.endsWith('not a .doh file')")


def test_chromium_decodes_the_golden_files_to_the_same_weights(opened, server):
    page = opened(f"{server}/test.html", allowed=(server,))
    digests = golden_digests()
    for name, expected in digests.items():
        hexadecimal = (GOLDEN / f"{name}.hex").read_text().strip()
        found = page.page.evaluate(
            """async (text) => {
                const { decode } = await import("/doh3d.js");
                const bytes = Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
                const { matrices, biases } = decode(bytes).weights;
                const whole = await new Blob([...matrices, ...biases]).arrayBuffer();
                const digest = await crypto.subtle.digest("SHA-256", whole);
                const bytesOf = [...new Uint8Array(digest)];
                return bytesOf.map((byte) => byte.toString(16).padStart(2, "0")).join("");
            }""",
            hexadecimal,
        )
        assert found == expected, name


def golden_digests():
    """Digests of the weights of golden shapes."""
    pinned = json.loads((GOLDEN / "digests.json").read_text())
    return {name: pinned[name] for name in pinned if (GOLDEN / f"{name}.hex").exists()}


def test_differing_and_drawn_shares_are_shares():
    white, black = np.full((4, 8, 3), 255, np.uint8), np.zeros((4, 8, 3), np.uint8)
    assert differing(white, black) == 1
    assert drawn_share(white) == 0
