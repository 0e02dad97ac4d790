import numpy as np
import pytest
import trimesh

import doh3d


@pytest.fixture
def file(tmp_path, compressed):
    doh3d.register_trimesh()
    compressed.save(tmp_path / "torus.doh")
    return tmp_path / "torus.doh"


def test_trimesh_loads_the_extracted_surface(file, compressed):
    expected = compressed.field().to_mesh(48)
    mesh = trimesh.load_mesh(file, resolution=48)
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
    assert mesh.is_watertight
    by_load = trimesh.load(file, resolution=48, force="mesh")
    assert len(by_load.faces) == len(expected.faces)
    with file.open("rb") as opened:
        assert len(trimesh.load_mesh(opened, file_type="doh", resolution=48).faces) > 0


def test_trimesh_exports_what_compress_makes(tmp_path, quick):
    doh3d.register_trimesh()
    torus = trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12)
    torus.export(tmp_path / "again.doh", **quick)
    data = (tmp_path / "again.doh").read_bytes()
    assert data == doh3d.compress(torus, **quick).data
    assert torus.export(file_type="doh", **quick) == data
    torus.export(tmp_path / "small.doh", max_bytes=400, preset="fast")
    # So short a fit may fall short of the size, but not go beyond it.
    assert 300 <= (tmp_path / "small.doh").stat().st_size <= 400


def test_errors_are_doh3ds_and_name_the_file(file, torus):
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(doh3d.FormatError, match=r"torus\.doh: .*checksum"):
        trimesh.load_mesh(file)
    with pytest.raises(doh3d.ConfigError, match="300 to 64000"):
        torus.export(file_type="doh", max_bytes=1)


def test_options_of_reading_are_checked(file):
    with pytest.raises(doh3d.ConfigError, match="8 to 1024"):
        trimesh.load_mesh(file, resolution=4)
