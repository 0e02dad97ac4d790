import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import doh3d
from dense_extraction import dense_surface, dense_values
from doh3d.codec.container import serialize
from doh3d.codec.entropy import choose_model
from doh3d.codec.inspection import describe
from doh3d.codec.quantization import nearest_step_index
from doh3d.codec.shape_code import ShapeCode, shape_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import ConfigError, FormatError
from doh3d.field import OccupancyField, OccupancyLattice
from doh3d.geometry.lattice import Lattice, index_grid
from doh3d.geometry.search import COARSEST_BLOCK, LEAF_BLOCK, open_cells
from doh3d.geometry.surface import closed_values
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.limits import Limits
from doh3d.thread_team import ThreadTeam

# On the coarsest lattice, and next to it on none.
LYING = NormalizingTransform((10.0, -4.0, 0.5), 2.5)
LYING_ANYWHERE = NormalizingTransform((10.0, -4.0, 0.5), 2.5000000000000004)


def random_code(*, seed=0, n=300, dense=False, architecture=None, transform=LYING):
    """A code with random latents: a lumpy shape that nobody fitted."""
    architecture = architecture or Architecture(width=24, depth=3, octaves=3)
    rng = np.random.default_rng(seed)
    levels = np.rint(rng.normal(0, 8, n)).astype(np.int64)
    biases = np.rint(rng.normal(0, 10, architecture.bias_count)).astype(np.int64)
    return ShapeCode(
        architecture=architecture,
        dense_projection=dense,
        seed=seed,
        transform=transform,
        extents=(31, 24, 15),
        latent=ParameterGroup(levels, nearest_step_index(0.18 / n**0.5), choose_model(levels)),
        biases=ParameterGroup(biases, nearest_step_index(2**-6), choose_model(biases)),
    )


def with_cells(architecture, extents, levels, seed):
    """The architecture with cells cut anywhere in the domain of these extents."""
    rng = np.random.default_rng(seed)
    cuts = zip(rng.integers(0, 3, 2**levels - 1), rng.integers(8, 57, 2**levels - 1), strict=True)
    box = shape_box(extents, architecture.mirrored)
    partition = Partition(*box, tuple((int(axis), int(place)) for axis, place in cuts))
    return replace(architecture, partition=partition)


def weights_digest(field):
    digest = hashlib.sha256()
    for tensor in field.weights.matrices + field.weights.biases:
        digest.update(tensor.numpy().astype("<f4").tobytes())
    return digest.hexdigest()


@pytest.fixture
def field():
    return OccupancyField(random_code(), "cpu")


def test_numpy_and_torch_points_give_the_same_logits(field):
    points = np.random.default_rng(0).uniform(*field.bounds, (5000, 3))
    from_numpy = field.logits(points)
    from_torch = field.logits(torch.from_numpy(points))
    assert from_numpy.dtype == np.float32
    assert from_numpy.shape == (5000,)
    assert np.array_equal(from_numpy, from_torch.numpy())
    assert np.array_equal(field.occupancy(points), from_numpy > 0)
    assert field.occupancy(torch.from_numpy(points)).dtype == torch.bool
    assert field.logits(np.zeros((0, 3))).shape == (0,)


def test_points_are_in_the_meshs_own_units_and_outside_beyond_the_domain(field):
    low, high = field.bounds
    np.testing.assert_allclose((low + high) / 2, [10.0, -4.0, 0.5])
    np.testing.assert_allclose(high - low, 2 * 2.5 * np.array([1.0, 25 / 32, 0.5]))
    corners = np.array([low, high, low - 1e-3, high + 1e-3])
    logits = field.logits(corners)
    assert np.isfinite(logits[:2]).all()
    assert (logits[2:] == -np.inf).all()


def turned_code(**options):
    """The code of the same shape, turned about the middle of its domain."""
    code = random_code(**options)
    transform = replace(code.transform, frame=(-8209, 6256, -8606))
    return replace(code, transform=transform)


@pytest.mark.parametrize("transform", [LYING, LYING_ANYWHERE])
def test_a_turned_field_is_the_field_turned(field, transform):
    turned = OccupancyField(turned_code(transform=transform), "cpu")
    rotation, centre = turned.code.transform.rotation, np.array([10.0, -4.0, 0.5])
    points = np.random.default_rng(0).uniform(*field.bounds, (5000, 3))
    world = centre + (points - centre) @ rotation.T
    found = turned.logits(world)
    assert np.array_equal(found, turned.logits(torch.from_numpy(world)).numpy())
    inner = np.isfinite(found)
    assert inner.mean() > 0.99
    np.testing.assert_allclose(found[inner], field.logits(points)[inner], rtol=0, atol=1e-4)
    # Beyond the domain on each of its sides, though within the box around it.
    low, high = field.bounds
    half = (high - low) / 2
    for direction in np.concatenate([np.eye(3), -np.eye(3)]):
        assert np.isfinite(turned.logits((centre + rotation @ (0.999 * half * direction))[None]))
        assert turned.logits((centre + rotation @ (1.001 * half * direction))[None]) == -np.inf
    far = np.array([[1e308, -1e308, 1e308], [-1e308, 1e308, 1e307]])
    assert (turned.logits(far) == -np.inf).all()
    assert (turned.logits(torch.from_numpy(far)) == -np.inf).all()


def test_the_surface_of_a_turned_field_is_the_surface_turned(field):
    turned = OccupancyField(turned_code(), "cpu")
    straight, mesh = field.to_mesh(48), turned.to_mesh(48)
    assert np.array_equal(mesh.faces, straight.faces)
    centre = np.array([10.0, -4.0, 0.5])
    expected = centre + (straight.vertices - centre) @ turned.code.transform.rotation.T
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-12)
    assert mesh.volume == pytest.approx(straight.volume)
    low, high = turned.bounds
    assert (mesh.vertices >= low).all()
    assert (mesh.vertices <= high).all()
    described = describe(turned.code)["transform"]
    assert described["rotation"] == turned.code.transform.rotation.tolist()
    assert described["domain_low"] == low.tolist()


def test_gradients_flow_to_torch_points(field):
    points = torch.tensor([[10.0, -4.0, 0.5]], requires_grad=True)
    field.logits(points).sum().backward()
    assert points.grad is not None
    assert points.grad.abs().sum() > 0


def test_a_field_of_cells_takes_numpy_and_torch_points():
    architecture = with_cells(
        Architecture(width=12, depth=2, octaves=1, mirrored=(1,)), (31, 24, 15), 3, seed=2
    )
    code = random_code(architecture=architecture)
    field = OccupancyField(code, "cpu")
    points = np.random.default_rng(0).uniform(*field.bounds, (5000, 3))
    found = field.logits(points)
    assert np.array_equal(found, field.logits(torch.from_numpy(points)).numpy())
    assert field.logits(np.zeros((0, 3))).shape == (0,)
    # Far beyond the domain, and nowhere.
    far = np.array([[1e30, 0, 0], [-1e30, 1e30, 1e30], [np.nan, 0, 0]])
    assert not field.occupancy(far).any()
    at = torch.from_numpy(points[:100]).requires_grad_()
    field.logits(at).sum().backward()
    step = 1e-3 * np.eye(3)
    steps = [field.logits(points[:100] + s) - field.logits(points[:100] - s) for s in step]
    slopes = np.stack(steps, axis=1) / 2e-3
    # Where neither a cut nor a kink is near.
    near = np.abs(at.grad.numpy() - slopes).max(axis=1) < 0.05 * np.abs(slopes).max()
    assert near.mean() > 0.8


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 2, 3)])
def test_points_of_another_shape_are_refused(field, shape):
    with pytest.raises(ConfigError, match="must be \\(N, 3\\)"):
        field.logits(np.zeros(shape))
    with pytest.raises(ConfigError, match="must be \\(N, 3\\)"):
        field.logits(torch.zeros(shape))


@pytest.mark.parametrize("kind", [np.complex128, bool, "U1", object])
def test_points_that_are_no_real_numbers_are_refused(field, kind):
    points = np.ones((2, 3), dtype=kind)
    with pytest.raises(TypeError, match=r"points are .*; they must be real numbers"):
        field.occupancy(points)
    if kind in (np.complex128, bool):
        with pytest.raises(TypeError, match=r"points are torch.*; they must be real numbers"):
            field.occupancy(torch.from_numpy(points))


@pytest.mark.parametrize("resolution", ["big", 32.5, None])
def test_a_resolution_that_is_no_whole_number_is_refused(field, resolution):
    with pytest.raises(TypeError, match=r"resolution is .*; it must be a whole number"):
        field.to_mesh(resolution)


@pytest.mark.parametrize("resolution", [16, 50])
@pytest.mark.parametrize(
    "extents",
    [
        (31, 24, 15),
        pytest.param((31, 31, 31), marks=pytest.mark.slow),
        pytest.param((7, 31, 2), marks=pytest.mark.slow),
        (20, 3, 31),
    ],
)
@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=24, depth=3, octaves=3),
        Architecture(width=16, depth=2, octaves=5),
        Architecture(width=24, depth=2, octaves=0, activation="sine", omega=20),
        Architecture(width=12, depth=4, octaves=1, activation="sine", omega=60),
        Architecture(width=20, depth=4, octaves=7),
        Architecture(width=24, depth=3, octaves=3, mirrored=(0, 1)),
        Architecture(width=24, depth=2, octaves=1, activation="sine", omega=9, mirrored=(2,)),
    ],
)
def test_extraction_equals_the_dense_result(architecture, extents, resolution, crossed):
    for seed in range(3):
        code = replace(random_code(seed=seed, architecture=architecture), extents=extents)
        assert_extracted_as_dense(code, resolution, crossed)


@pytest.mark.parametrize("resolution", [16, 45])
@pytest.mark.parametrize(
    "extents", [(31, 24, 15), pytest.param((20, 3, 31), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=12, depth=3, octaves=2),
        Architecture(width=16, depth=2, octaves=0, activation="sine", omega=15),
        Architecture(width=16, depth=2, octaves=3, mirrored=(0, 1)),
        Architecture(width=12, depth=2, octaves=1, activation="sine", omega=9, mirrored=(2,)),
    ],
)
def test_extraction_of_cells_equals_the_dense_result(architecture, extents, resolution, crossed):
    for levels in (1, 4):
        own = with_cells(architecture, extents, levels, seed=levels)
        code = replace(random_code(seed=levels, architecture=own), extents=extents)
        assert_extracted_as_dense(code, resolution, crossed)


def assert_extracted_as_dense(code, resolution, crossed):
    field = OccupancyField(code, "cpu", limits=Limits.of_format())
    lattice = Lattice.over_box(field.code.half_extents, resolution)
    on_lattice = OccupancyLattice(field, lattice)
    values = dense_values(on_lattice)
    # Signs where the dense grid changes sign, to the bit, for all that is looked at.
    at_box = np.ones(values.shape, dtype=bool)
    at_box[1:-1, 1:-1, 1:-1] = False
    must = crossed(closed_values(values, at_box))
    found = np.zeros(np.array(values.shape) + COARSEST_BLOCK, dtype=bool)
    for _, leaves in open_cells(on_lattice):
        for (i, j, k), cells in zip(leaves.corners, leaves.cells, strict=True):
            found[i : i + LEAF_BLOCK, j : j + LEAF_BLOCK, k : k + LEAF_BLOCK] = cells
    x, y, z = must.shape
    assert not (must & ~found[:x, :y, :z]).any()
    vertices, faces = dense_surface(values)
    mesh = field.to_mesh(resolution)
    assert mesh.is_watertight or not len(faces)
    assert np.array_equal(mesh.faces, faces)
    np.testing.assert_allclose(
        field.code.transform.to_normalized(mesh.vertices),
        lattice.positions(vertices),
        atol=1e-6,
    )


@pytest.mark.parametrize("levels", [0, 2])
def test_bounds_and_values_are_the_same_bits_whoever_computes_them(monkeypatch, levels):
    monkeypatch.setattr("doh3d.field._CPU_CHUNK", 256)
    monkeypatch.setattr("doh3d.hypernetwork.cell_bounds._CPU_NUMBERS", 12 * 50)
    architecture = Architecture(width=12, depth=2, octaves=1)
    if levels:
        architecture = with_cells(architecture, (31, 24, 15), levels, seed=1)
    field = OccupancyField(random_code(seed=3, architecture=architecture), "cpu")
    lattice = Lattice.over_box(field.code.half_extents, 32)
    blocks = 4 * index_grid(-(-np.array(lattice.shape) // 4))
    nodes = index_grid(np.array(lattice.shape))
    found = []
    for threads in (1, 3):
        team = ThreadTeam(threads)
        on_lattice = OccupancyLattice(field, lattice, team=team)
        found.append((on_lattice.planes(blocks, 4), on_lattice.logits(nodes)))
        team.close()
    assert all(map(np.array_equal, *found))
    assert np.isfinite(found[0][0]).all()


def test_few_blocks_of_cells_are_left_open():
    # Planes over several cells prove less, but most boxes lie within one.
    architecture = with_cells(Architecture(width=12, depth=2, octaves=1), (31, 24, 15), 3, seed=1)
    code = random_code(seed=3, architecture=architecture)
    field = OccupancyField(code, "cpu")
    lattice = OccupancyLattice(field, Lattice.over_box(code.half_extents, 192))
    evaluated = 0
    for _, leaves in open_cells(lattice):
        evaluated += len(leaves.cells)
    assert 0 < evaluated * LEAF_BLOCK**3 < 0.4 * np.prod(lattice.shape)


def test_nodes_and_points_have_the_same_logits(field):
    lattice = Lattice.over_box(field.code.half_extents, 40)
    values = dense_values(OccupancyLattice(field, lattice))
    nodes = index_grid(np.array(lattice.shape))
    points = field.code.transform.to_world(lattice.points(nodes))
    inner = ((nodes > 0) & (nodes < np.array(lattice.shape) - 1)).all(axis=1)
    np.testing.assert_allclose(
        field.logits(points)[inner], values.reshape(-1)[inner], rtol=0, atol=1e-4
    )


def test_extracted_vertices_lie_on_the_surface_inside_the_bounds(field):
    mesh = field.to_mesh(64)
    low, high = field.bounds
    assert (mesh.vertices >= low).all()
    assert (mesh.vertices <= high).all()
    inner = ((mesh.vertices > low + 0.2) & (mesh.vertices < high - 0.2)).all(axis=1)
    logits = field.logits(np.asarray(mesh.vertices))[inner]
    assert inner.sum() > 100
    assert (
        np.abs(logits).mean()
        < 0.05 * np.abs(field.logits(np.random.default_rng(0).uniform(low, high, (1000, 3)))).mean()
    )


@pytest.mark.parametrize("resolution", [0, 7, 1025])
def test_resolution_out_of_range(field, resolution):
    with pytest.raises(ConfigError, match="8 to 1024"):
        field.to_mesh(resolution)


@pytest.mark.parametrize("dense", [False, True])
def test_weights_do_not_depend_on_threads_or_matmul_settings(dense):
    code = random_code(dense=dense, n=1000)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    digests = set()
    try:
        for count in (1, 2):
            for setting in ("highest", "high", "medium"):
                torch.set_num_threads(count)
                torch.set_float32_matmul_precision(setting)
                digests.add(weights_digest(OccupancyField(code, "cpu")))
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    assert len(digests) == 1


@pytest.mark.slow
def test_weights_do_not_depend_on_the_processors_vector_instructions(tmp_path):
    path = tmp_path / "a.doh"
    path.write_bytes(serialize(random_code(n=1000)))
    script = (
        "import sys, hashlib, doh3d\n"
        "weights = doh3d.load(sys.argv[1], 'cpu').weights\n"
        "data = b''.join(t.numpy().astype('<f4').tobytes() "
        "for t in weights.matrices + weights.biases)\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={"ATEN_CPU_CAPABILITY": level, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for level in ("default", "avx2")
    }
    assert len(digests) == 1


def fake_to(tensor, *arguments):
    """Tensor.to for fake tensors: the real one asks for the CUDA runtime, fake or not."""
    device, dtype = tensor.device, tensor.dtype
    for argument in arguments:
        if isinstance(argument, torch.dtype):
            dtype = argument
        else:
            device = torch.device(argument)
    return torch.ops.aten._to_copy(tensor, device=device, dtype=dtype)


def test_decoding_and_evaluating_stay_on_the_device(monkeypatch):
    # Fake CUDA tensors: an operation that mixes in a CPU tensor fails, on any machine.
    fake, from_numpy = FakeTensorMode(), torch.from_numpy
    # Arrays enter torch beyond the mode's sight.
    monkeypatch.setattr(torch, "from_numpy", lambda array: fake.from_tensor(from_numpy(array)))
    monkeypatch.setattr(torch.Tensor, "to", fake_to)
    with fake, torch.no_grad():
        cuda = torch.device("cuda")
        for dense in (False, True):
            field = OccupancyField(random_code(dense=dense), cuda)
            assert all(matrix.device.type == "cuda" for matrix in field.weights.matrices)
            logits = field.network.logits(torch.empty(100, 3, device=cuda))
            assert logits.device.type == "cuda"
            on_lattice = OccupancyLattice(field, Lattice.over_box(field.code.half_extents, 16))
            nodes = torch.zeros(10, 3, dtype=torch.int64, device=cuda)
            assert on_lattice._logits(nodes).device.type == "cuda"
            (of_cell,) = on_lattice._bounds_over(4)._cells
            planes = of_cell.planes(nodes, for_signs=False)
            assert planes.device.type == "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dense", [False, True])
def test_cuda_weights_equal_cpu_weights(dense):
    code = random_code(dense=dense, n=1000)
    on_cpu, on_cuda = OccupancyField(code, "cpu"), OccupancyField(code, "cuda")
    for ours, theirs in zip(on_cpu.weights.matrices, on_cuda.weights.matrices, strict=True):
        assert torch.equal(ours, theirs.cpu())


def test_load_names_the_file_and_what_is_wrong(tmp_path):
    path = tmp_path / "shape.doh"
    with pytest.raises(ConfigError, match=r"shape\.doh: cannot be read: No such file"):
        doh3d.load(path)
    with pytest.raises(ConfigError, match=r"is a directory; a \.doh file is needed"):
        doh3d.load(tmp_path)
    path.write_bytes(b"ply\nformat ascii")
    with pytest.raises(FormatError, match=r"shape\.doh: not a \.doh file"):
        doh3d.load(path)
    data = serialize(random_code())
    path.write_bytes(data[:-20])
    with pytest.raises(FormatError, match=r"shape\.doh: damaged or truncated"):
        doh3d.load(path)
    path.write_bytes(data)
    assert doh3d.load(path).code.seed == 0
