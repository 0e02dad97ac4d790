import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import trimesh

import doh3d
from doh3d import cli

FAST = ["--preset", "fast", "--latent", "200", "--width", "16", "--depth", "2"]


@pytest.fixture(scope="module")
def torus_file(tmp_path_factory):
    """A torus in millimetres, off the origin, and its .doh file."""
    folder = tmp_path_factory.mktemp("torus")
    mesh = trimesh.creation.torus(65.0, 25.0, major_sections=48, minor_sections=24)
    mesh.apply_translation([1000, 0, -50])
    mesh.export(folder / "torus.ply")
    shape = doh3d.compress(
        folder / "torus.ply", preset="fast", latent=300, width=16, depth=2, device="cpu"
    )
    shape.save(folder / "torus.doh")
    return folder / "torus.ply", folder / "torus.doh"


def test_compress_reports_the_written_file(run, tmp_path, torus_file):
    mesh, _ = torus_file
    status, out, err = run("compress", mesh, "-o", tmp_path / "a.doh", *FAST, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["bytes"] == (tmp_path / "a.doh").stat().st_size
    assert report["protocol"] == "bbox"
    assert report["iou"] > 0.9
    assert (report["components"], report["genus"]) == (1, 1)
    assert (report["reference_components"], report["reference_genus"]) == (1, 1)
    assert report["specks"] >= 0
    assert report["warnings"] == []
    assert os.listdir(tmp_path) == ["a.doh"]


@pytest.mark.slow
def test_names_are_shown_whatever_they_are(tmp_path, torus_file):
    folder = tmp_path / "a["
    folder.mkdir()
    # A closing tag of rich's markup, "[/b]"; and no UTF-8.
    name = os.fsdecode(b"b].\xff.doh")
    (folder / name).write_bytes(torus_file[1].read_bytes())
    for command in (["info"], ["decompress", "--resolution", "16", "-o", tmp_path / "\udcff.ply"]):
        result = subprocess.run(
            [sys.executable, "-m", "doh3d", *command, folder / name],
            capture_output=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONIOENCODING": "utf-8:strict", "COLUMNS": "200"},
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "udcff" in result.stdout


def test_compress_does_not_write_over_its_mesh(run, tmp_path, torus_file):
    mesh = tmp_path / "torus.ply"
    mesh.write_bytes(torus_file[0].read_bytes())
    (tmp_path / "link.ply").symlink_to(mesh)
    for output in (mesh, tmp_path / "link.ply"):
        status, _, err = run("compress", mesh, "-o", output, *FAST)
        assert (status, err) == (
            2,
            f"doh3d: error: {output}: is the input itself; name another file to write\n",
        )
    assert mesh.read_bytes() == torus_file[0].read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "{pipe}.ply"],
        ["compress", "{pipe}.ply", "-o", "{folder}/a.doh"],
        ["sweep", "{pipe}.ply", "-o", "{folder}/swept", "--no-figures"],
        ["eval", "{file}", "-r", "{pipe}.ply"],
        ["eval", "{pipe}", "-r", "{mesh}"],
        ["render", "{file}", "{pipe}.ply", "-o", "{folder}/a.png"],
        ["info", "{pipe}.doh"],
        ["decompress", "{pipe}.doh", "-o", "{folder}/a.ply"],
        ["decompress", "{pipe}", "-o", "{folder}/a.ply"],
        ["image", "compress", "{pipe}.png", "-o", "{folder}/a.doh"],
        ["image", "decompress", "{pipe}.doh", "-o", "{folder}/a.png"],
    ],
    ids=" ".join,
)
def test_a_named_pipe_is_refused_and_not_waited_for(run, tmp_path, torus_file, arguments):
    for suffix in ("", ".ply", ".doh", ".png"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
    before = sorted(os.listdir(tmp_path))
    places = {"pipe": tmp_path / "pipe", "folder": tmp_path}
    places |= {"mesh": torus_file[0], "file": torus_file[1]}
    status, out, err = run(*(argument.format(**places) for argument in arguments))
    assert (status, out) == (2, "")
    assert re.fullmatch(r"doh3d: error: \S*pipe\S*: is a named pipe; an? \S+ file is needed\n", err)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_name_that_says_something_else_costs_a_word(tmp_path, torus_file, caplog):
    from doh3d.commands.options import output_for

    mesh = torus_file[0]
    for name, warned in (("a.zip", True), ("a.doh", False), ("A.DOH", False), ("a", False)):
        caplog.clear()
        assert output_for(mesh, tmp_path / name, ".doh", force=False) == tmp_path / name
        assert bool(caplog.records) == warned
    assert output_for(mesh, tmp_path / "back.obj", ".ply", force=False).name == "back.obj"
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.ply", "a.STL", "a.nii.gz", "a.jpg", "a.npy"])
def test_a_file_is_not_named_as_what_it_is_not(run, tmp_path, torus_file, name):
    for force in ([], ["--force"]):
        status, out, err = run("compress", torus_file[0], "-o", tmp_path / name, *force)
        assert (status, out) == (2, "")
        named = f"{tmp_path / name}: a .doh file would have this name; let it end in .doh"
        assert err == f"doh3d: error: {named}\n"


@pytest.mark.parametrize("name", ["a.ply", "a.doh", "a.PNG", "a.nii.gz"])
def test_a_page_takes_no_other_files_name(run, tmp_path, torus_file, name):
    output = tmp_path / name
    output.write_bytes(b"somebody's own")
    for made_of in (("page", torus_file[1]), ("report", tmp_path)):
        status, out, err = run(*made_of, "-o", output)
        assert (status, out) == (2, "")
        assert err == f"doh3d: error: {output}: a page would have this name; let it end in .html\n"
        assert output.read_bytes() == b"somebody's own"


def test_a_page_of_a_mesh_is_refused_as_info_does(run, tmp_path, torus_file):
    status, out, err = run("page", torus_file[0], "-o", tmp_path / "a.html")
    assert (status, out) == (2, "")
    assert err.endswith("not a .doh file; such files are made by: compress\n")
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere/a.ply", "nowhere/a.ply: no such file"),
        ("a.step", "a.step: extension .step is not a mesh format"),
        (".", ".: is a directory; a mesh file is needed"),
    ],
)
def test_what_is_no_mesh_is_told_before_where_its_file_would_lie(
    run, tmp_path, monkeypatch, source, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.step").write_text("ISO-10303-21;")
    (tmp_path / "a.doh").write_bytes(b"old")
    status, out, err = run("compress", source)
    assert (status, out) == (2, "")
    assert err.startswith(f"doh3d: error: {said}")


@pytest.mark.slow
def test_an_output_without_a_name_lies_beside_the_input(
    run, tmp_path, torus_file, no_peers, monkeypatch
):
    from PIL import Image

    from doh3d.signals import shape_plan

    quick = shape_plan.Preset(steps=40, batch_size=512, pool_size=5_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", quick)
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(torus_file[0], folder / "a.v2.ply")
    shutil.copy(torus_file[1], folder / "b.doh")
    Image.fromarray(np.arange(768, dtype=np.uint8).reshape(24, 32)).save(folder / "photo.jpg")
    commands = {
        "a.v2.doh": ["compress", folder / "a.v2.ply", *FAST],
        "b.ply": ["decompress", folder / "b.doh", "--resolution", "16"],
        "photo.doh": [
            "image",
            "compress",
            folder / "photo.jpg",
            "--preset",
            "fast",
            "--max-bytes",
            300,
        ],
        "photo.png": ["image", "decompress", folder / "photo.doh"],
    }
    for name, command in commands.items():
        status, out, err = run(*command, "--json")
        assert status == 0, err
        assert json.loads(out)["output"] == str(folder / name)
    assert sorted(os.listdir(folder)) == sorted([*commands, "a.v2.ply", "b.doh", "photo.jpg"])
    # What is there stays there, unless one asks for it.
    for name, command in commands.items():
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"old")
        status, out, err = run(*command)
        assert (status, out) == (2, "")
        assert err == (
            f"doh3d: error: {folder / name}: is there already; name another file with --output, "
            "or write over it with --force\n"
        )
        assert (tmp_path / name).read_bytes() == b"old"
        status, _, _ = run(*command, "--force")
        assert (status, (tmp_path / name).read_bytes()) == (0, before)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_an_output_is_never_the_input(run, tmp_path, torus_file, force):
    # A .doh file of another's ending, and a mesh that says it is one.
    (tmp_path / "a.ply").write_bytes(torus_file[1].read_bytes())
    (tmp_path / "b.doh").write_bytes(torus_file[0].read_bytes())
    (tmp_path / "c.doh").symlink_to("a.ply")
    own, itself = "as the file to write would; name that with --output", "is the input itself"
    for command, named in [
        (["decompress", "a.ply"], f"a.ply: ends in .ply {own}"),
        (["decompress", "a.ply", "-o", "a.ply"], f"a.ply: {itself}"),
        (["decompress", "c.doh", "-o", "a.ply"], f"a.ply: {itself}"),
        (["compress", "b.doh"], "b.doh: is a .doh file, not a mesh; decompress it first"),
        (["compress", tmp_path, "-o", "x.doh"], "is a directory"),
        (["compress", "."], "is a directory"),
        (["image", "compress", "b.doh"], f"b.doh: ends in .doh {own}"),
        (["render", "no.png"], f"no.png: ends in .png {own}"),
    ]:
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(tmp_path)
            status, out, err = run(*command, *force)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert named in err
    assert (tmp_path / "a.ply").read_bytes() == torus_file[1].read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.ply", "b.doh", "c.doh"]


def test_a_named_output_is_written_over(run, tmp_path, torus_file):
    (tmp_path / "back.ply").write_bytes(b"old")
    command = ["decompress", torus_file[1], "-o", tmp_path / "back.ply", "--resolution", "16"]
    assert run(*command)[0] == 0
    assert doh3d.load_mesh(tmp_path / "back.ply").is_watertight


@pytest.mark.parametrize("command", [["check"], ["compress"], ["image", "compress"]])
def test_help_is_broken_into_lines_once(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run(*command, "--help")
    assert status == 0
    lines = out[: out.index("╭")].splitlines()
    # A line ends where the next one's first word would not fit, or with its paragraph.
    for line, following in itertools.pairwise(lines):
        first = following.split()[:1]
        if line.strip() and first and "Usage" not in line:
            assert len(line.rstrip()) + 1 + len(first[0]) > 78, line


@pytest.mark.parametrize("command", [[], ["image"]])
def test_without_a_command_there_is_help_and_no_error(run, command):
    status, out, err = run(*command)
    assert (status, err) == (2, "")
    assert "Usage: doh3d" in out
    assert "compress" in out


def test_compress_warns_of_what_the_file_has_lost(run, tmp_path, torus_file, monkeypatch):
    from doh3d.evaluation import fidelity

    monkeypatch.setattr(fidelity, "LOW_IOU", 0.9999)
    mesh, _ = torus_file
    target, kept = tmp_path / "a.doh", tmp_path / "a.checkpoint"
    status, out, err = run("compress", mesh, "-o", target, *FAST, "--checkpoint", kept)
    assert status == 0
    assert re.fullmatch(rf"doh3d: warning: {target}: IoU 0\.\d+ is below 0\.9999; .*\n", err)
    assert "1 component, genus 1" in out
    assert os.listdir(tmp_path) == ["a.doh"]


@pytest.mark.slow
def test_compress_says_where_triangles_are_shorter(run, tmp_path, box):
    for package in ("DracoPy", "fast_simplification"):
        pytest.importorskip(package)
    box.export(tmp_path / "box.ply")
    command = ["compress", tmp_path / "box.ply", "-o", tmp_path / "box.doh", *FAST, "--json"]
    status, out, err = run(*command)
    assert status == 0
    report = json.loads(out)
    words = r"Draco, of the mesh's own 12 faces, would have this IoU in about \d+ bytes, this file "
    words += rf"has {report['bytes']}"
    assert re.fullmatch(rf"doh3d: warning: {words}\n", err)
    assert len(report["warnings"]) == 1
    assert re.fullmatch(words, report["warnings"][0])


@pytest.mark.parametrize("extension", ["ply", "obj", "stl", "off", "glb"])
def test_decompress_writes_every_format_in_the_originals_units(
    run, tmp_path, torus_file, extension
):
    mesh, file = torus_file
    target = tmp_path / f"back.{extension}"
    status, out, _ = run("decompress", file, "-o", target, "--resolution", 64, "--json")
    assert status == 0
    assert json.loads(out)["bytes"] == target.stat().st_size
    back, original = doh3d.load_mesh(target), doh3d.load_mesh(mesh)
    assert back.is_watertight
    np.testing.assert_allclose(back.bounds, original.bounds, atol=5)
    assert back.volume == pytest.approx(original.volume, rel=0.1)


def test_decompress_sharpens_and_writes_normals(run, tmp_path, torus_file):
    _, file = torus_file
    target, options = tmp_path / "back.ply", ["--resolution", 16, "--json"]
    sizes = []
    for more in ([], ["--method", "dual"], ["--method", "dual", "--normals"]):
        status, out, _ = run("decompress", file, "-o", target, *options, *more)
        assert status == 0
        sizes.append((json.loads(out)["faces"], json.loads(out)["bytes"]))
    assert len({faces for faces, _ in sizes}) == 1
    assert sizes[2][1] > 1.3 * sizes[1][1]
    assert b"property float nx" in target.read_bytes()
    for arguments, message in (
        (["-o", tmp_path / "a.stl", "--normals"], "STL is written without normals; use PLY or GLB"),
        (["-o", tmp_path / "a.ply", "--method", "x"], "it must be one of marching-cubes, dual"),
    ):
        status, out, err = run("decompress", file, *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert not arguments[1].exists()


def test_max_bytes_is_kept(run, tmp_path, torus_file):
    mesh, _ = torus_file
    options = ["--max-bytes", 400, "--preset", "fast", "--json"]
    status, out, _ = run("compress", mesh, "-o", tmp_path / "a.doh", *options)
    assert status == 0
    assert 380 <= json.loads(out)["bytes"] <= 400


def test_a_quality_out_of_reach_exits_3_and_writes_nothing(run, tmp_path, torus_file, monkeypatch):
    def out_of_reach(*arguments, **options):
        raise doh3d.TargetError("IoU 0.999 was not reached: 64000 bytes reach 0.99", b"", 0.99)

    monkeypatch.setattr("doh3d.fitting.compress.fit_to_quality", out_of_reach)
    mesh, _ = torus_file
    status, out, err = run("compress", mesh, "-o", tmp_path / "a.doh", "--min-iou", 0.999)
    assert (status, out) == (3, "")
    assert "64000 bytes reach 0.99" in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_info_shows_every_byte(run, torus_file):
    _, file = torus_file
    status, out, _ = run("info", file, "--json")
    report = json.loads(out)
    assert status == 0
    assert sum(report["sizes"].values()) == report["bytes"] == file.stat().st_size
    assert report["network"]["width"] == 16
    assert report["network"]["cells"] == 1
    assert report["latent"]["count"] == 300
    np.testing.assert_allclose(report["transform"]["centre"], [1000, 0, -50], atol=0.1)
    status, out, _ = run("info", file)
    assert status == 0
    assert "hadamard" in out


@pytest.mark.parametrize(
    ("options", "points"),
    [
        (["--protocol", "bbox", "--points", "32768"], 32768),
        (["--protocol", "occnet"], 100_000),
        (["--protocol", "grid", "--grid", "40"], 64_000),
    ],
)
def test_eval_reports_the_named_protocol(run, torus_file, options, points):
    mesh, file = torus_file
    status, out, _ = run("eval", file, "--reference", mesh, "--resolution", 64, *options, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["points"] == points
    assert report["protocol"] == options[1]
    assert report["iou"] > 0.9
    assert report["bytes"] == file.stat().st_size
    assert report["ratio"] == pytest.approx(mesh.stat().st_size / file.stat().st_size)
    surface = ("surface_chamfer_l1", "surface_f_score", "surface_normal_consistency")
    assert {*surface, "seconds"} <= set(report)


@pytest.mark.parametrize(
    "name",
    [
        "thin_plate.ply",
        pytest.param("three_holes.stl", marks=pytest.mark.slow),
        pytest.param("open", marks=pytest.mark.slow),
        "folded",
    ],
)
def test_eval_of_a_mesh_against_itself_is_perfect(run, meshes_folder, tmp_path, name):
    mesh = meshes_folder / name
    if name == "open":
        mesh = tmp_path / "open.ply"
        whole = trimesh.creation.icosphere(subdivisions=3)
        trimesh.Trimesh(whole.vertices, whole.faces[20:], process=False).export(mesh)
    elif name == "folded":
        # Two boxes that share most of a side.
        mesh = tmp_path / "folded.off"
        boxes = trimesh.creation.box(), trimesh.creation.box()
        boxes[1].apply_translation([1, 0.1, 0])
        trimesh.util.concatenate(boxes).export(mesh)
    status, out, _ = run("eval", mesh, "--reference", mesh, "--points", 32768, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["iou"] == 1
    assert report["surface_chamfer_l1"] == 0
    assert report["surface_f_score"] == report["surface_normal_consistency"] == 1
    assert report["point_to_point"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "f_scores", "unit"), [("occnet", [], 0.2), ("necgs", ["0.005", "0.01"], 1.0)]
)
def test_eval_adds_what_the_literature_measures_and_its_floor(
    run, meshes_folder, protocol, f_scores, unit
):
    mesh = meshes_folder / "sphere.ply"
    command = ["eval", mesh, "--reference", mesh, "--points", 4096, "--surface", protocol]
    status, out, _ = run(*command, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["surface_chamfer_l1"] == 0
    sampled = report["point_to_point"]
    floor = sampled.pop("floor")
    for found in (sampled, floor):
        scores = [f"f_score_{score}" for score in f_scores]
        assert list(found) == ["protocol", "chamfer_l1", "normal_consistency", *scores]
        assert found["protocol"] == protocol
        # Of 100,000 samples on a ball of radius 1, see test_point_metrics.
        assert found["chamfer_l1"] * unit == pytest.approx(0.0056, abs=1e-4)
    status, out, _ = run(*command)
    assert status == 0
    assert "the reference against itself" in out
    assert "the whole reference in Draco, 11 bits, level 10" in out


def test_eval_names_the_protocols_of_surfaces(run, meshes_folder):
    mesh = meshes_folder / "sphere.ply"
    status, _, err = run("eval", mesh, "--reference", mesh, "--surface", "chamfer")
    assert status == 2
    assert "surface is 'chamfer'; it must be one of exact, occnet, necgs" in err


@pytest.fixture
def quick_sweep(monkeypatch, torus_file, tmp_path):
    """Arguments of a sweep that takes a second."""
    from doh3d.signals import shape_plan

    quick = shape_plan.Preset(steps=60, batch_size=1024, pool_size=20_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", quick)
    options = ["--latent", "100,150", "--bits", "4,8", "--quantizer", "ptq", "--preset", "fast"]
    return ["sweep", torus_file[0], "-o", tmp_path / "out", "--points", "4096", *options]


def test_sweep_tabulates_and_draws(run, tmp_path, quick_sweep):
    pytest.importorskip("matplotlib")
    (tmp_path / "draco.tsv").write_text("bytes\tiou\n300\t0.8\n900\t0.95\n")
    baseline = ["--baseline", f"Draco={tmp_path / 'draco.tsv'}"]
    status, out, err = run(*quick_sweep, *baseline, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert [(row["latent"], row["bits"]) for row in report["rows"]] == [
        (100, 4),
        (100, 8),
        (150, 4),
        (150, 8),
    ]
    assert [point["bytes"] for point in report["summary"]] == [
        row["bytes"] for row in report["rows"]
    ]
    folder = tmp_path / "out"
    assert report["figures"] == [
        str(folder / f"iou_{against}.png") for against in ("latent", "bits", "bytes")
    ]
    assert all(os.path.getsize(figure) > 1000 for figure in report["figures"])
    table = (folder / "sweep.csv").read_bytes()
    # The same command again has nothing left to do; what it prints is for people.
    status, out, err = run(*quick_sweep)
    assert (status, err) == (0, "")
    assert "latent 150" in out
    assert re.search(r"8 bits +│ +\d+ bytes, IoU 0\.\d{4}", out)
    assert (folder / "sweep.csv").read_bytes() == table


def test_sweep_of_a_mesh_of_any_name(run, tmp_path, quick_sweep, torus_file):
    pytest.importorskip("matplotlib")
    mesh = tmp_path / os.fsdecode(b"Ba$$in\xff.ply")
    shutil.copy(torus_file[0], mesh)
    (tmp_path / "other.tsv").write_text("bytes\tiou\n300\t0.8\n900\t0.95\n")
    command = ["sweep", mesh, *quick_sweep[2:], "--baseline", rf"o$\q$={tmp_path}/other.tsv"]
    status, out, err = run(*command, "--json")
    assert (status, err) == (0, "")
    assert {row["mesh"] for row in json.loads(out)["rows"]} == {r"Ba$$in\xff.ply"}
    assert r"Ba$$in\xff.ply," in (tmp_path / "out" / "sweep.csv").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "iou_bytes.png").stat().st_size > 1000


def test_sweep_without_matplotlib_says_so_before_any_work(run, tmp_path, quick_sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, err = run(*quick_sweep)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert 'pip install "doh3d[view]"' in err
    assert not (tmp_path / "out").exists()
    status, _, _ = run(*quick_sweep, "--no-figures")
    assert status == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["files", "sweep.csv", "sweep.json"]


def test_sweep_refuses_a_folder_of_another(run, tmp_path, quick_sweep):
    assert run(*quick_sweep, "--no-figures")[0] == 0
    status, out, err = run(*quick_sweep, "--no-figures", "--quantizer", "qat")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "quantizer 'ptq', not 'qat'" in err


def bad_inputs(folder, mesh, file):
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "empty.ply").write_bytes(b"")
    (folder / "cut.doh").write_bytes(file.read_bytes()[:-9])
    (folder / "plain").write_bytes(b"")
    out = folder / "out.doh"
    return {
        "missing file": (["compress", folder / "no.ply", "-o", out], "no.ply"),
        "a directory": (["compress", folder, "-o", out], str(folder)),
        "an image": (["compress", folder / "image.png", "-o", out], "image"),
        "an empty file": (["compress", folder / "empty.ply", "-o", out], "empty.ply"),
        "a .doh file as a mesh": (["compress", file, "-o", out], "decompress it first"),
        "a mesh as a .doh file": (["info", mesh], "not a .doh file; such files are made by"),
        "a mesh to decompress": (["decompress", mesh], "not a .doh file; such files are made by"),
        "an output unnamed": (["decompress", file, folder / "x.ply"], "named with --output"),
        "a cut file": (["decompress", folder / "cut.doh", "-o", folder / "x.ply"], "checksum"),
        "bits": (["compress", mesh, "-o", out, "--bits", 99], "2 to 16"),
        "bits that are no number": (["compress", mesh, "-o", out, "--bits", "x"], "--bits"),
        "latent": (["compress", mesh, "-o", out, "--latent", 0], "latent is 0"),
        "preset": (
            ["compress", mesh, "-o", out, "--preset", "slow"],
            "'fast', 'default' or 'best'",
        ),
        "too few bytes": (["compress", mesh, "-o", out, "--max-bytes", 299], "300 to 64000"),
        "too high an IoU": (["compress", mesh, "-o", out, "--min-iou", 1], "below 1"),
        "size and latent": (
            ["compress", mesh, "-o", out, "--max-bytes", 500, "--latent", 300],
            "contradict",
        ),
        "device": (["compress", mesh, "-o", out, "--device", "tpu"], "auto, cpu, cuda, mps"),
        "a checkpoint nowhere": (
            ["compress", mesh, "-o", out, "--checkpoint", folder / "no" / "c"],
            "does not exist",
        ),
        "a checkpoint that is none": (
            ["compress", mesh, "-o", out, "--checkpoint", folder / "plain"],
            "no checkpoint, or a damaged one; name another file",
        ),
        "the output as checkpoint": (
            ["compress", mesh, "-o", out, "--checkpoint", out],
            "is the output",
        ),
        "no such folder": (["compress", mesh, "-o", folder / "no" / "a.doh"], "does not exist"),
        "a folder as output": (["compress", mesh, "-o", folder], "is a folder"),
        "a file as folder": (["compress", mesh, "-o", folder / "plain" / "a"], "not a folder"),
        "unknown mesh format": (["decompress", file, "-o", folder / "x.xyz"], ".ply, .obj"),
        "resolution": (
            ["decompress", file, "-o", folder / "x.ply", "--resolution", 4],
            "8 to 1024",
        ),
        "protocol": (["eval", file, "-r", mesh, "--protocol", "iou"], "bbox, occnet, grid"),
        "grid elsewhere": (["eval", file, "-r", mesh, "--grid", 9], "grid"),
        "no reference": (["eval", file], "--reference"),
        "a sweep's latents": (
            ["sweep", mesh, "-o", folder / "s", "--latent", "250,,500"],
            "latent is '250,,500'; it must be whole numbers separated by commas",
        ),
        "a sweep's bits": (["sweep", mesh, "-o", folder / "s", "--bits", "4,99"], "bits is 99"),
        "a sweep's bits twice": (["sweep", mesh, "-o", folder / "s", "--bits", "4,4"], "once"),
        "a sweep's seeds": (["sweep", mesh, "-o", folder / "s", "--seeds", 0], "seeds is 0"),
        "a sweep's quantizer": (
            ["sweep", mesh, "-o", folder / "s", "--quantizer", "vq"],
            "'qat' or 'ptq'",
        ),
        "a sweep's folder": (["sweep", mesh, "-o", folder / "plain"], "is not a folder"),
        "a sweep's mesh": (["sweep", folder / "no.ply", "-o", folder / "s"], "no.ply"),
        "a sweep's baseline": (
            ["sweep", mesh, "-o", folder / "s", "--baseline", "Draco=no.tsv"],
            "no.tsv",
        ),
        "unknown command": (["squash", mesh], "squash"),
        "unknown option": (["info", file, "--fast"], "--fast"),
    }


BAD_INPUTS = [
    "missing file",
    "a directory",
    "an image",
    "an empty file",
    "a .doh file as a mesh",
    "a mesh as a .doh file",
    "a mesh to decompress",
    "an output unnamed",
    "a cut file",
    "bits",
    "bits that are no number",
    "latent",
    "preset",
    "too few bytes",
    "too high an IoU",
    "size and latent",
    "device",
    "a checkpoint nowhere",
    "a checkpoint that is none",
    "the output as checkpoint",
    "no such folder",
    "a folder as output",
    "a file as folder",
    "unknown mesh format",
    "resolution",
    "protocol",
    "grid elsewhere",
    "no reference",
    "a sweep's latents",
    "a sweep's bits",
    "a sweep's bits twice",
    "a sweep's seeds",
    "a sweep's quantizer",
    "a sweep's folder",
    "a sweep's mesh",
    "a sweep's baseline",
    "unknown command",
    "unknown option",
]


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_line_exit_2_and_nothing_written(run, tmp_path, torus_file, case):
    cases = bad_inputs(tmp_path, *torus_file)
    assert set(cases) == set(BAD_INPUTS)
    arguments, named = cases[case]
    before = sorted(os.listdir(tmp_path))
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("doh3d: error: ")
    assert named in err
    assert sorted(os.listdir(tmp_path)) == before


def test_help_and_version(run):
    for command in (
        [],
        ["compress"],
        ["decompress"],
        ["info"],
        ["eval"],
        ["sweep"],
        ["view"],
        ["render"],
    ):
        status, out, _ = run(*command, "--help")
        assert status == 0
        assert "Usage" in out
        if command:
            assert "Example" in out
    status, out, _ = run("--version")
    assert (status, out) == (0, f"doh3d {doh3d.__version__}\n")


def test_module_runs_as_the_command(torus_file):
    _, file = torus_file
    result = subprocess.run(
        [sys.executable, "-m", "doh3d", "info", str(file), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout)["file"] == str(file)
    # In a pipe there is nothing but the report.
    assert result.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_is_installed_and_completes(tmp_path):
    program = tmp_path / "doh3d"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m doh3d \"$@\"\n")
    program.chmod(0o755)
    script = f"""
        {program} --install-completion >/dev/null || exit 1
        . ~/.bashrc
        for words in 'doh3d dec' 'doh3d render --elev'; do
            COMP_WORDS=($words); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _doh3d_completion '{program}'
            echo "${{COMPREPLY[@]}}"
        done
    """
    result = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
        timeout=600,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "decompress\n--elevation\n"


def test_a_terminal_sees_progress(monkeypatch, torus_file, tmp_path):
    rich_console = pytest.importorskip("rich.console")
    import io

    from doh3d.signals import shape_plan

    # Long enough for a report.
    quick = shape_plan.Preset(steps=60, batch_size=512, pool_size=5_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", quick)
    screen = io.StringIO()
    real = rich_console.Console

    def terminal(**options):
        return real(file=screen, force_terminal=True, width=120)

    monkeypatch.setattr(rich_console, "Console", terminal)
    monkeypatch.setattr(
        sys, "argv", ["doh3d", "compress", str(torus_file[0]), "-o", str(tmp_path / "a.doh"), *FAST]
    )
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "fitting" in shown
    assert re.search(r"loss 0\.\d+ +about \d+ B", shown)
