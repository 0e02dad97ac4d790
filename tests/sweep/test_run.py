import dataclasses
import json
import shutil

import pytest
import trimesh

import doh3d
from doh3d.errors import ConfigError, Doh3dError, MeshError
from doh3d.fitting import resumable
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape, prepare
from doh3d.sweep import run as sweep_module
from doh3d.sweep.run import parse_numbers, run_sweep
from doh3d.sweep.table import COLUMNS, SweepFolder, mean_interval, summarize

GRID = {"latents": (100, 150), "bits": (4, 8), "preset": "fast", "points": 4096, "device": "cpu"}


# The sweep of one fit.
ONE = {**GRID, "latents": (100,), "bits": (8,)}


def make_quick(patch):
    quick = shape_plan.Preset(steps=60, batch_size=512, pool_size=5_000)
    patch.setitem(shape_plan.PRESETS, "fast", quick)


def leave_strays(patch):
    """Fits as short as these stray everywhere, and would be repeated."""
    patch.setattr(PreparedShape, "strays", lambda *_, **__: None)


def count_fits(patch):
    """Configurations that are fitted, in order."""
    seen = []
    real = resumable.fit_latent

    def counted(samples, config, **options):
        seen.append((config.latent, config.bits, config.seed))
        return real(samples, config, **options)

    patch.setattr(resumable, "fit_latent", counted)
    return seen


def write_ball(folder):
    path = folder / "ball.ply"
    trimesh.creation.icosphere(subdivisions=3, radius=3.0).export(path)
    return path


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    make_quick(monkeypatch)
    if "with_strays" not in request.fixturenames:
        leave_strays(monkeypatch)


@pytest.fixture
def with_strays():
    """Search for what strays all the same, as a compression does."""


@pytest.fixture
def mesh(tmp_path):
    return write_ball(tmp_path)


@pytest.fixture
def fits(monkeypatch):
    return count_fits(monkeypatch)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Sweep a grid with two seeds, once: what it gives and what was fitted; nobody changes it."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        leave_strays(patch)
        fitted = count_fits(patch)
        result = run_sweep(write_ball(folder), folder / "out", seeds=2, **GRID)
    return result, fitted


@pytest.fixture(scope="module")
def swept_once(tmp_path_factory):
    """The folder of a sweep of one fit, which nobody changes."""
    folder = tmp_path_factory.mktemp("swept_once")
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        leave_strays(patch)
        run_sweep(write_ball(folder), folder / "out", **ONE)
    return folder / "out"


@pytest.fixture
def one_fit(swept_once, tmp_path):
    """A copy of it, of the mesh `mesh`."""
    return shutil.copytree(swept_once, tmp_path / "out")


def lasting(rows):
    """Rows without what differs from run to run."""
    return [dataclasses.replace(row, seconds=0.0, date="") for row in rows]


def test_every_combination_is_a_row_of_a_file_on_disk(swept):
    result, fits = swept
    assert fits == [(n, b, s) for s in (0, 1) for n in (100, 150) for b in (4, 8)]
    assert [row.key for row in result.rows] == fits
    for row in result.rows:
        file = result.folder.file_path(*row.key)
        assert row.bytes == file.stat().st_size
        assert row.bytes == row.latent_bytes + row.bias_bytes + row.header_bytes
        sizes = doh3d.load(file, "cpu").code
        assert len(sizes.latent.values) == row.latent
        assert (row.mesh, row.quantizer, row.preset) == ("ball.ply", "qat", "fast")
        assert (row.iou_of, row.protocol, row.points) == ("field", "bbox", 4096)
        assert row.width == sizes.architecture.width
        assert row.version == doh3d.__version__
        assert row.seconds > 0
    assert max(row.iou for row in result.rows) > 0.8
    assert {file.name for file in result.folder.path.iterdir()} == {
        "files",
        "sweep.csv",
        "sweep.json",
    }


def test_iou_is_that_of_the_decoded_file(mesh, swept):
    from doh3d.evaluation.evaluate import field_iou

    row = swept[0].rows[-1]
    field = doh3d.load(swept[0].folder.file_path(*row.key), "cpu")
    assert row.iou == field_iou(doh3d.load_mesh(mesh), field, points=4096).iou


@pytest.mark.parametrize("quantizer", ["qat", pytest.param("ptq", marks=pytest.mark.slow)])
def test_files_are_those_that_compress_makes(mesh, tmp_path, with_strays, no_peers, quantizer):
    grid = {**GRID, "latents": (100,), "bits": (5, 32)}
    result = run_sweep(mesh, tmp_path / "out", quantizer=quantizer, **grid)
    for row in result.rows:
        alone = doh3d.compress(
            mesh, preset="fast", latent=100, bits=row.bits, quantizer=quantizer, device="cpu"
        )
        assert result.folder.file_path(*row.key).read_bytes() == alone.data


@pytest.mark.parametrize("kind", ["mesh", pytest.param("pair", marks=pytest.mark.slow), "prepared"])
def test_a_mesh_in_memory_is_swept_as_its_file_is(mesh, swept_once, tmp_path, fits, kind):
    loaded = trimesh.load_mesh(mesh)
    form = {
        "mesh": loaded,
        "pair": (loaded.vertices, loaded.faces),
        "prepared": prepare(loaded),
    }[kind]
    swept = run_sweep(form, tmp_path / "memory", **ONE)
    assert swept.rows[0].mesh == "mesh"
    folders = SweepFolder(swept_once), swept.folder
    files = [folder.file_path(100, 8, 0).read_bytes() for folder in folders]
    assert files[0] == files[1]
    assert swept.folder.source()[0] is None
    # The same vertices and faces go on with it, others do not.
    fits.clear()
    again = {**ONE, "bits": (8, 5)}
    assert len(run_sweep(loaded.copy(), tmp_path / "memory", **again).rows) == 2
    assert fits == [(100, 5, 0)]
    loaded.vertices[0] *= 1.01
    with pytest.raises(ConfigError, match="mesh_sha256"):
        run_sweep(loaded, tmp_path / "memory", **ONE)


def test_what_is_no_mesh_is_not_swept(tmp_path):
    with pytest.raises(MeshError, match="mesh is of type int; a path, a trimesh or Open3D mesh"):
        run_sweep(7, tmp_path / "out", **GRID)
    assert not (tmp_path / "out").exists()


def test_ptq_fits_once_for_all_bits(mesh, tmp_path, fits):
    result = run_sweep(mesh, tmp_path / "out", quantizer="ptq", seeds=2, **GRID)
    assert [(latent, seed) for latent, _, seed in fits] == [(100, 0), (150, 0), (100, 1), (150, 1)]
    assert len(result.rows) == 8
    by_key = {row.key: row for row in result.rows}
    assert by_key[100, 4, 0].bytes < by_key[100, 8, 0].bytes
    # One more number of bits is one more fit of each latent and seed, not two.
    fits.clear()
    run_sweep(mesh, tmp_path / "out", quantizer="ptq", seeds=2, **{**GRID, "bits": (4, 6, 8)})
    assert len(fits) == 4


@pytest.mark.parametrize("cut", [1, 40, 150])
def test_a_killed_run_is_taken_up_where_it_was(mesh, swept, tmp_path, fits, cut):
    whole = swept[0]
    shutil.copytree(whole.folder.path, tmp_path / "killed")
    table = tmp_path / "killed" / "sweep.csv"
    data = table.read_bytes()
    table.write_bytes(data[:-cut])
    finished = table.read_bytes().count(b"\n") - 1
    assert finished in (6, 7)
    assert len(SweepFolder(tmp_path / "killed").read()) == finished
    again = run_sweep(mesh, tmp_path / "killed", seeds=2, **GRID)
    assert fits == [row.key for row in whole.rows[finished:]]
    assert lasting(again.rows) == lasting(whole.rows)
    kept = b"\n".join(data.split(b"\n")[: finished + 1])
    assert table.read_bytes().startswith(kept)
    for row in whole.rows:
        files = [result.folder.file_path(*row.key).read_bytes() for result in (whole, again)]
        assert files[0] == files[1]
    fits.clear()
    run_sweep(mesh, tmp_path / "killed", seeds=2, **GRID)
    assert fits == []


def test_rows_are_on_disk_before_the_next_fit(mesh, tmp_path, monkeypatch):
    real, rows_seen = resumable.fit_latent, []

    def stopped(samples, config, **options):
        rows_seen.append(len(SweepFolder(tmp_path / "out").read()))
        if config.latent == 150:
            raise KeyboardInterrupt
        return real(samples, config, **options)

    monkeypatch.setattr(resumable, "fit_latent", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(mesh, tmp_path / "out", **GRID)
    assert rows_seen == [0, 1, 2]


def test_a_table_cut_inside_its_first_line_starts_afresh(mesh, one_fit):
    whole = SweepFolder(one_fit).read()
    (one_fit / "sweep.csv").write_text("mesh,latent,bi")
    again = run_sweep(mesh, one_fit, **ONE)
    assert lasting(again.rows) == lasting(whole)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"preset": "default"}, "preset 'fast', not 'default'"),
        ({"quantizer": "ptq"}, "quantizer 'qat', not 'ptq'"),
        ({"points": 8192}, "points 4096, not 8192"),
        ({"mesh": "other.ply"}, "mesh_sha256"),
    ],
)
def test_another_sweep_is_not_mixed_in(mesh, one_fit, tmp_path, options, named):
    trimesh.creation.icosphere(subdivisions=1).export(tmp_path / "other.ply")
    before = (one_fit / "sweep.csv").read_bytes()
    other = tmp_path / options.pop("mesh", mesh.name)
    with pytest.raises(ConfigError, match=named):
        run_sweep(other, one_fit, **{**ONE, **options})
    assert (one_fit / "sweep.csv").read_bytes() == before


def test_the_same_mesh_under_another_name_is_the_same_sweep(mesh, one_fit, tmp_path, fits):
    mesh.rename(tmp_path / "renamed.ply")
    assert len(run_sweep(tmp_path / "renamed.ply", one_fit, **ONE).rows) == 1
    assert fits == []


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("sweep.json", "{", "not the JSON of a sweep"),
        ("sweep.json", "[]", "mesh_sha256 None"),
        ("sweep.json", None, "without its sweep.json"),
        ("sweep.csv", "a,b\n", "line 1 does not name the columns"),
        ("sweep.csv", ",".join(COLUMNS) + "\nball.ply,100\n", "line 2 has 2 values"),
        ("sweep.csv", ",".join(COLUMNS) + "\n" + ",".join(["x"] * 21) + "\n", "latent is 'x'"),
    ],
)
def test_a_damaged_folder_is_named_not_overwritten(mesh, one_fit, file, text, named):
    path = one_fit / file
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        run_sweep(mesh, one_fit, **ONE)
    assert path.exists() == (text is not None)


def test_rows_survive_the_table(mesh, tmp_path):
    awkward = mesh.with_name('a "b",\nc.ply')
    mesh.rename(awkward)
    rows = run_sweep(awkward, tmp_path / "out", **{**GRID, "bits": (8,)}).rows
    assert [row.mesh for row in rows] == ['a "b", c.ply'] * 2
    assert tuple(SweepFolder(tmp_path / "out").read()) == rows


def test_a_fit_that_fails_costs_no_other(mesh, tmp_path, monkeypatch, caplog):
    real = resumable.fit_latent

    def failing(samples, config, **options):
        if config.bits == 4:
            raise Doh3dError("the fit became empty")
        return real(samples, config, **options)

    monkeypatch.setattr(resumable, "fit_latent", failing)
    result = run_sweep(mesh, tmp_path / "out", **GRID)
    assert [row.key for row in result.rows] == [(100, 8, 0), (150, 8, 0)]
    assert result.failures[0] == "latent 100, bits 4, seed 0: the fit became empty"
    assert "latent 150, bits 4" in caplog.text
    assert "latent 150" in result.describe()["failed"]
    with pytest.raises(Doh3dError, match="every fit of the sweep failed: latent 100, bits 4"):
        run_sweep(mesh, tmp_path / "none", **{**GRID, "bits": (4,)})
    # The failed ones are tried again.
    monkeypatch.setattr(resumable, "fit_latent", real)
    assert len(run_sweep(mesh, tmp_path / "out", **GRID).rows) == 4


def test_progress_counts_the_steps_of_the_missing_fits(mesh, tmp_path):
    seen = []
    run_sweep(mesh, tmp_path / "out", progress=seen.append, **GRID)
    assert [(p.step, p.steps) for p in seen][-2:] == [(230, 240), (240, 240)]
    assert [p.step for p in seen] == sorted(p.step for p in seen)
    seen.clear()
    run_sweep(mesh, tmp_path / "out", progress=seen.append, **{**GRID, "latents": (100, 120)})
    assert seen[-1].steps == 120


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"latents": ()}, "latent is empty"),
        ({"latents": (100, 0)}, "latent is 0"),
        ({"bits": (4, 17)}, "bits is 17"),
        ({"bits": (4, 8, 4)}, "bits names 4 more than once"),
        ({"seeds": 0}, "seeds is 0; it must be 1 to 65536"),
        ({"points": 0}, "points is 0"),
        ({"preset": "slow"}, "'fast', 'default' or 'best'"),
        ({"quantizer": "vq"}, "'qat' or 'ptq'"),
        ({"device": "tpu"}, "auto, cpu, cuda, mps"),
    ],
)
def test_options_out_of_range_are_named_and_nothing_is_written(mesh, tmp_path, options, named):
    with pytest.raises(ConfigError, match=named):
        run_sweep(mesh, tmp_path / "out", **{**GRID, **options})
    assert not (tmp_path / "out").exists()


def test_a_mesh_that_is_none_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty.ply").write_bytes(b"")
    for name in ("empty.ply", "missing.ply"):
        with pytest.raises(MeshError, match=name):
            run_sweep(tmp_path / name, tmp_path / "out", **GRID)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="is not a folder"):
        run_sweep(tmp_path / "empty.ply", tmp_path / "file", **GRID)


def test_a_summary_takes_seeds_together_and_nothing_else(swept):
    result, _ = swept
    points = summarize(result.rows)
    assert [(p.latent, p.bits, p.seeds) for p in points] == [
        (100, 4, 2),
        (100, 8, 2),
        (150, 4, 2),
        (150, 8, 2),
    ]
    ious = [row.iou for row in result.rows if (row.latent, row.bits) == (150, 4)]
    assert points[2].iou == mean_interval(ious)
    assert points[2].to_dict()["iou_half_width"] == points[2].iou.half_width > 0
    report = json.loads(json.dumps(result.to_dict()))
    assert [row["iou"] for row in report["rows"]] == [row.iou for row in result.rows]
    assert "±" in result.describe()["latent 150"]["4 bits"]


@pytest.mark.parametrize("text", ["", "4,", "a", "4,x", "4;8", "-4", "4.5", "²", "9" * 12])
def test_lists_that_are_none_are_named(text):
    with pytest.raises(ConfigError, match=r"bits is '.*'; it must be whole numbers"):
        parse_numbers("bits", text)


def test_lists_may_have_spaces():
    assert parse_numbers("bits", "3, 4,16") == (3, 4, 16)


def test_default_lists_are_those_of_the_command_line():
    import inspect

    from doh3d.commands import sweep

    defaults = inspect.signature(sweep.sweep).parameters
    assert parse_numbers("latent", defaults["latent"].default) == sweep_module.DEFAULT_LATENTS
    assert parse_numbers("bits", defaults["bits"].default) == sweep_module.DEFAULT_BITS
    assert defaults["points"].default == sweep_module.DEFAULT_POINTS
