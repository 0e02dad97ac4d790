import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import MeshError
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.mesh import clean_mesh, load_mesh, repair_mesh

VOLUMES = {
    "sphere.ply": (4 / 3 * np.pi, 0.003),
    "torus.obj": (2 * np.pi**2 * 0.35**2, 0.01),
    "three_holes.stl": (0.8 * (12 - 3 * np.pi * 0.6**2), 0.005),
    "two_bodies.off": (np.pi / 6 + 0.48, 0.006),
    "thin_plate.ply": (0.016, 1e-6),
}
GENUS = {"sphere.ply": 0, "torus.obj": 1, "three_holes.stl": 3, "thin_plate.ply": 0}


def as_read(path):
    mesh = read_mesh(path)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, validate=False)


def raw(vertices, faces):
    return trimesh.Trimesh(vertices, faces, process=False, validate=False)


def joined(*meshes):
    return trimesh.util.concatenate(list(meshes))


def cube(side=1.0, at=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.box((side, side, side))
    mesh.apply_translation(at)
    return mesh


def reversed_(mesh):
    return raw(mesh.vertices, mesh.faces[:, ::-1])


def is_solid(mesh):
    return mesh.is_watertight and mesh.is_winding_consistent


class TestExampleMeshes:
    @pytest.mark.parametrize("name", VOLUMES)
    def test_volume(self, meshes_folder, name):
        mesh = load_mesh(meshes_folder / name)
        volume, tolerance = VOLUMES[name]
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(volume, rel=tolerance)

    @pytest.mark.parametrize("name", GENUS)
    def test_genus(self, meshes_folder, name):
        assert load_mesh(meshes_folder / name).euler_number == 2 - 2 * GENUS[name]

    def test_volumes_are_those_of_the_table(self, meshes_folder):
        table = (meshes_folder / "README.md").read_text()
        for name in VOLUMES:
            volume = load_mesh(str(meshes_folder / name)).volume
            assert f"`{name}`" in table
            assert f"{volume:.5f}"[:-1] in table

    def test_files_are_small(self, meshes_folder):
        assert all(path.stat().st_size < 300_000 for path in meshes_folder.iterdir())


class TestFormats:
    @pytest.mark.parametrize("extension", ["ply", "obj", "stl", "off", "glb", "gltf", "3mf", "STL"])
    def test_round_trip(self, tmp_path, torus, extension):
        path = tmp_path / f"torus.{extension}"
        if extension == "gltf":
            for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(torus)).items():
                (tmp_path / name).write_bytes(data)
            path = tmp_path / "model.gltf"
        elif extension == "3mf":
            path.write_bytes(trimesh.exchange.threemf.export_3MF(trimesh.Scene(torus)))
        else:
            torus.export(path)
        mesh = load_mesh(path)
        assert is_solid(mesh)
        assert len(mesh.vertices) == len(torus.vertices)
        assert mesh.volume == pytest.approx(torus.volume, rel=1e-5)

    def test_scene_transforms_apply(self, tmp_path):
        scene = trimesh.Scene()
        scene.add_geometry(cube(), transform=np.diag([2.0, 1, 1, 1]))
        mirror = np.diag([-1.0, 1, 1, 1])
        mirror[0, 3] = 5
        scene.add_geometry(cube(), transform=mirror)
        path = tmp_path / "scene.glb"
        path.write_bytes(scene.export(file_type="glb"))
        mesh = load_mesh(path)
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(3)
        np.testing.assert_allclose(mesh.bounds, [[-1, -0.5, -0.5], [5.5, 0.5, 0.5]])

    def test_off_with_polygons_colours_and_comments(self, tmp_path):
        # A prism over a pentagon with a dent, the first corner being a bad one to cut from.
        outline = [(0, 0), (2, -2), (2, 2), (-2, 2), (-2, -2)]
        corners = [(x, y, 0) for x, y in outline] + [(x, y, 1) for x, y in outline]
        lines = ["COFF  # coloured", "10 7 0", ""]
        lines += [f"{x} {y} {z} 255 0 0 255" for x, y, z in corners]
        lines += ["5 4 3 2 1 0", "5 5 6 7 8 9 0.5 0.5 0.5"]
        lines += [f"4 {k} {(k + 1) % 5} {(k + 1) % 5 + 5} {k + 5}" for k in range(5)]
        path = tmp_path / "prism.off"
        path.write_text("\n".join(lines))
        mesh = load_mesh(path)
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(12)
        assert mesh.area == pytest.approx(2 * 12 + 4 * 3 + 2 * np.sqrt(8))

    def test_off_in_free_form_and_counts_on_the_first_line(self, tmp_path):
        box = cube()
        words = " ".join(f"{x:g}" for x in box.vertices.ravel())
        faces = "\n".join(f"3 {a}\n{b}\n{c}" for a, b, c in box.faces)
        path = tmp_path / "cube.off"
        path.write_text(f"OFF8 12 0\n{words}\n{faces}\n")
        assert load_mesh(path).volume == pytest.approx(1)

    @pytest.mark.parametrize("binary", [False, True])
    def test_ply_triangle_strips(self, tmp_path, binary):
        # A tetrahedron: one strip of its four faces would repeat a corner, so two strips.
        vertices = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], dtype="<f4")
        strip = np.array([0, 2, 1, 3, -1, 0, 1, 3, -1, 0, 3, 2], dtype="<i4")
        form = "binary_little_endian" if binary else "ascii"
        header = (
            f"ply\nformat {form} 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
            "property float z\nelement tristrips 1\nproperty list int int vertex_indices\n"
            "end_header\n"
        )
        if binary:
            body = vertices.tobytes() + np.int32(len(strip)).tobytes() + strip.tobytes()
        else:
            rows = [" ".join(map(str, row)) for row in vertices.tolist()]
            rows.append(" ".join(map(str, [len(strip), *strip.tolist()])))
            body = ("\n".join(rows) + "\n").encode()
        path = tmp_path / "strips.ply"
        path.write_bytes(header.encode() + body)
        assert is_solid(as_read(path))
        assert as_read(path).volume == pytest.approx(1 / 6)
        mesh = load_mesh(path)
        assert len(mesh.faces) == 4
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(1 / 6)

    def test_obj_with_polygons_and_relative_indices(self, tmp_path):
        path = tmp_path / "cube.obj"
        corners = [f"v {x} {y} {z}" for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        quads = ["4 3 2 1", "5 6 7 8", "1 2 6 5", "2 3 7 6", "3 4 8 7", "-5 -8 -4 -1"]
        path.write_text("\n".join(corners + [f"f {quad}" for quad in quads]))
        mesh = load_mesh(path)
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(1)


class TestUnreadableFiles:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.png", b"\x89PNG\r\n\x1a\n....", "images are for `doh3d image compress`"),
            ("a.stl", b"\x89PNG\r\n\x1a\n....", "is a PNG image"),
            ("a.obj", b"\xff\xd8\xff\xe0....", "is a JPEG image"),
            ("a.txt", b"hello", "supported are PLY, OBJ, STL, OFF, GLB, glTF, 3MF"),
            ("mesh", b"hello", "without extension"),
            ("a.doh", b"hello", "decompress it first"),
            ("a.ply", b"\xd0OH\x01", "decompress it first"),
            ("a.ply", b"", "is empty"),
            ("a.ply", b"hello", "cannot be read as PLY"),
            ("a.stl", b"hello world", "a.stl: "),
            ("a.obj", b"hello world\n", "a.obj: "),
            ("a.off", b"hello world\n", "cannot be read as OFF"),
            ("a.off", b"OFF BINARY\n\0\0\0\1", "binary"),
            ("a.off", b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "are announced"),
            ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "face 0 uses vertex 7"),
            ("a.glb", b"glTF\x02\0\0\0", "cannot be read as GLB"),
            ("a.gltf", b"{}", "a.gltf: "),
            ("a.3mf", b"PK\x03\x04", "cannot be read as 3MF"),
            ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "uses vertex 9, but there are 3"),
            ("a.obj", b"v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n", "must be finite"),
            (
                "a.obj",
                b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 nan\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n",
                "; 3 faces with a vertex that is not finite are left out",
            ),
            ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no "),
        ],
    )
    def test_message(self, tmp_path, name, content, message):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(MeshError) as caught:
            load_mesh(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert message in text
        assert "\n" not in text

    def test_missing_file_and_directory(self, tmp_path):
        with pytest.raises(MeshError, match="no such file"):
            load_mesh(tmp_path / "none.ply")
        with pytest.raises(MeshError, match="is a directory"):
            load_mesh(tmp_path)

    def test_point_cloud(self, tmp_path):
        path = tmp_path / "points.ply"
        trimesh.PointCloud(np.eye(3)).export(path)
        with pytest.raises(MeshError, match="3 vertices but no faces"):
            load_mesh(path)

    @pytest.mark.parametrize("name", ["sphere.ply", "three_holes.stl", "thin_plate.ply"])
    def test_truncated_files(self, tmp_path, meshes_folder, name):
        whole = (meshes_folder / name).read_bytes()
        path = tmp_path / name
        for share in np.linspace(0, 0.95, 12):
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(MeshError):
                load_mesh(path)

    def test_nothing_is_printed(self, tmp_path, capfd, meshes_folder):
        (tmp_path / "bad.stl").write_bytes(b"solid\nfacet normal nan")
        with pytest.raises(MeshError):
            load_mesh(tmp_path / "bad.stl")
        load_mesh(meshes_folder / "torus.obj")
        assert capfd.readouterr() == ("", "")


class TestCleaning:
    def test_welds_and_drops(self):
        box = cube()
        soup = raw(box.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3))
        extra = [
            [0, 0, 1],
            [0, 1, 0],
            *soup.faces[:5].tolist(),
            *soup.faces[3:6, [1, 2, 0]].tolist(),
        ]
        vertices = np.vstack([soup.vertices, [[np.nan] * 3, [9e9] * 3]])
        mesh = clean_mesh(raw(vertices, np.vstack([soup.faces, extra])), "cube")
        assert mesh.vertices.shape == (8, 3)
        assert mesh.faces.shape == (12, 3)
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(1)

    def test_faces_that_are_not_finite_are_left_out_with_a_word(self, torus, caplog):
        vertices = torus.vertices.copy()
        vertices[5] = np.nan
        mesh = clean_mesh(raw(vertices, torus.faces), "torus.ply")
        assert len(mesh.faces) == len(torus.faces) - 6
        assert mesh.volume == pytest.approx(torus.volume, rel=0.02)
        assert caplog.messages == [
            "torus.ply: 6 faces use vertices that are not finite; they are left out"
        ]

    def test_what_was_done_is_counted(self):
        box = cube()
        faces = np.vstack([box.faces, box.faces[:2], [[0, 0, 1]]])
        faces[3] = faces[3, ::-1]
        vertices = np.vstack([box.vertices, box.vertices[:1]])
        faces[faces == 0] = np.where(np.arange((faces == 0).sum()) % 2, 0, 8)
        repaired = repair_mesh(raw(vertices, faces), "cube")
        assert repaired.joined_vertices == 1
        assert repaired.degenerate_faces == 1
        assert repaired.duplicate_faces == 2
        assert repaired.turned_faces == 1
        assert repaired.not_finite_faces == 0
        assert repaired.mesh.volume == pytest.approx(1)

    def test_input_is_not_changed(self):
        box = reversed_(cube())
        vertices, faces = box.vertices.copy(), box.faces.copy()
        clean_mesh(box, "cube")
        np.testing.assert_array_equal(box.vertices, vertices)
        np.testing.assert_array_equal(box.faces, faces)

    @pytest.mark.parametrize("scale", [1e-90, 1e-9, 1.0, 1e30])
    def test_scale_does_not_matter(self, scale):
        torus = trimesh.creation.torus(1, 0.3)
        mesh = clean_mesh(raw(torus.vertices * scale, torus.faces[:, ::-1]), "torus")
        assert len(mesh.faces) == len(torus.faces)
        assert raw(mesh.vertices / scale, mesh.faces).volume == pytest.approx(torus.volume)

    def test_far_from_the_origin(self):
        mesh = clean_mesh(reversed_(cube(at=(1e8, -1e8, 1e8))), "cube")
        assert mesh.volume == pytest.approx(1)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.floats(0, 1))
    def test_mixed_winding(self, seed, share):
        torus = trimesh.creation.torus(1, 0.3, major_sections=16, minor_sections=8)
        generator = np.random.default_rng(seed)
        flipped = generator.random(len(torus.faces)) < share
        faces = np.where(flipped[:, None], torus.faces[:, ::-1], torus.faces)
        mesh = clean_mesh(raw(torus.vertices, generator.permutation(faces)), "torus")
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(torus.volume)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.booleans(), min_size=1, max_size=6))
    def test_separate_bodies_turn_outwards(self, flips):
        parts = [cube(1 + k / 9, at=(3 * k, 0, 0)) for k in range(len(flips))]
        volume = sum(part.volume for part in parts)
        given_ = [reversed_(p) if flip else p for p, flip in zip(parts, flips, strict=True)]
        assert clean_mesh(joined(*given_), "cubes").volume == pytest.approx(volume)

    def test_cavity_stays(self):
        shell = joined(cube(2), reversed_(cube(1)))
        assert clean_mesh(shell, "shell").volume == pytest.approx(7)

    def test_cavity_of_a_mesh_inside_out_stays(self):
        shell = joined(reversed_(cube(2)), cube(1))
        assert clean_mesh(shell, "shell").volume == pytest.approx(7)

    def test_cavity_of_one_body_inside_out_of_several_stays(self):
        one = joined(reversed_(cube(2)), cube(1))
        two = joined(cube(5, at=(10, 0, 0)), one)
        assert clean_mesh(two, "two").volume == pytest.approx(125 + 7)
        nested = joined(cube(5, at=(10, 0, 0)), reversed_(cube(3)), cube(2), reversed_(cube(1)))
        assert clean_mesh(nested, "nested").volume == pytest.approx(125 + 27 - 8 + 1)

    @pytest.mark.parametrize("shift", [0.4, 1.0, 1.3])
    def test_body_inside_out_that_crosses_another_is_joined_to_it(self, shift, caplog):
        # Wherever its largest face lies: long boxes through a cube.
        bar = trimesh.creation.box((3, 1, 1)).apply_translation((shift, 0, 0))
        for one, other in [(cube(2), bar), (bar, cube(2))]:
            caplog.clear()
            mesh = clean_mesh(joined(one, reversed_(other)), "crossing")
            assert mesh.volume == pytest.approx(8 + 3)
            assert caplog.messages == [
                "crossing: 1 bodies inside out lie partly in others; they are turned, and joined "
                "to those"
            ]

    def test_equal_balls_that_overlap_one_inside_out(self):
        ball = trimesh.creation.icosphere(subdivisions=3)
        other = ball.copy().apply_translation((1, 0, 0))
        mesh = clean_mesh(joined(ball, reversed_(other)), "balls")
        assert mesh.volume == pytest.approx(2 * ball.volume)

    def test_body_in_a_cavity_stays(self):
        nested = joined(cube(3), reversed_(cube(2)), cube(1))
        assert clean_mesh(nested, "nested").volume == pytest.approx(27 - 8 + 1)

    def test_cavity_beside_an_inside_out_body(self):
        mixed = joined(cube(2), reversed_(cube(1)), reversed_(cube(1, at=(5, 0, 0))))
        assert clean_mesh(mixed, "mixed").volume == pytest.approx(8)

    @pytest.mark.parametrize("side", [-1.1, 1.1])
    def test_inside_out_body_that_touches_another(self, side):
        # The slab's largest faces: one against the cube, one away from it.
        slab = trimesh.creation.box((0.2, 1, 1))
        slab.apply_translation((side, 0.1, 0.1))
        touching = joined(cube(2), reversed_(slab))
        assert clean_mesh(touching, "touching").volume == pytest.approx(8.2)

    def test_wall_between_bodies_goes(self):
        one = cube(1)
        mirrored = raw(one.vertices * [-1, 1, 1] + [1, 0, 0], one.faces[:, ::-1])
        pair = joined(one, mirrored)
        mesh = clean_mesh(pair, "pair")
        assert is_solid(mesh)
        assert len(mesh.faces) == 20
        assert mesh.volume == pytest.approx(2)

    def test_bodies_that_share_an_edge(self):
        pair = joined(cube(1), reversed_(cube(1, at=(1, 1, 0))))
        assert clean_mesh(pair, "pair").volume == pytest.approx(2)

    def test_two_sided_surface_keeps_one_side(self):
        torus = trimesh.creation.torus(1, 0.3)
        mesh = clean_mesh(joined(torus, reversed_(torus)), "two-sided")
        assert len(mesh.faces) == len(torus.faces)
        assert mesh.volume == pytest.approx(torus.volume)

    def test_flat_face_that_closes_a_seam_stays(self):
        # One edge of the box has a vertex on one side only; a triangle without area fills it.
        box = cube()
        face = box.faces[0]
        middle = box.vertices[face[:2]].mean(axis=0)
        new = len(box.vertices)
        a, b, c = face
        faces = [*box.faces[1:].tolist(), [a, new, c], [new, b, c], [a, b, new]]
        mesh = clean_mesh(raw(np.vstack([box.vertices, middle]), faces), "seam")
        assert is_solid(mesh)
        assert mesh.volume == pytest.approx(1)

    def test_moebius_strip_is_survived(self):
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        strips = []
        for side in (-0.3, 0.3):
            radius = 1 + side * np.cos(angle / 2)
            strips.append(
                np.column_stack(
                    [radius * np.cos(angle), radius * np.sin(angle), side * np.sin(angle / 2)]
                )
            )
        faces = []
        for k in range(40):
            low, high = (k, k + 40), ((k + 1) % 40, (k + 1) % 40 + 40)
            if k == 39:
                high = high[::-1]
            faces += [[low[0], high[0], low[1]], [low[1], high[0], high[1]]]
        moebius = raw(np.vstack(strips), faces)
        with pytest.raises(MeshError, match="encloses no volume"):
            clean_mesh(moebius, "moebius")
        both = clean_mesh(joined(moebius, cube(1, at=(5, 0, 0))), "both")
        assert len(both.faces) == 80 + 12

    def test_many_components(self):
        ball = trimesh.creation.icosphere(subdivisions=1)
        grid = np.stack(np.meshgrid(*[np.arange(10) * 3.0] * 3), axis=-1).reshape(-1, 1, 3)
        vertices = (ball.vertices + grid).reshape(-1, 3)
        offsets = np.arange(len(grid)).reshape(-1, 1, 1) * len(ball.vertices)
        faces = np.where(offsets % 4 == 0, ball.faces, ball.faces[:, ::-1]) + offsets
        mesh = clean_mesh(raw(vertices, faces.reshape(-1, 3)), "balls")
        assert mesh.volume == pytest.approx(len(grid) * ball.volume)


def open_box(height):
    box = trimesh.creation.box((1, 1, height))
    return raw(box.vertices, box.faces[box.face_normals[:, 2] < 0.5])


def dome(height):
    ball = trimesh.creation.icosphere(subdivisions=3)
    faces = ball.faces[ball.triangles_center[:, 2] > 0]
    return raw(ball.vertices * [1, 1, height], faces)


class TestVolume:
    @pytest.mark.parametrize("mesh", [dome(1.0), open_box(1.0)], ids=["hemisphere", "open box"])
    def test_openings_are_allowed(self, mesh):
        assert len(clean_mesh(mesh, "open").faces) == len(mesh.faces)

    def test_inside_out_dome_is_turned(self):
        given_ = dome(1.0)
        cleaned = clean_mesh(reversed_(given_), "dome")
        top = cleaned.triangles_center[:, 2].argmax()
        assert cleaned.face_normals[top, 2] > 0.9

    @pytest.mark.parametrize(
        "mesh",
        [
            raw([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]),
            raw([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]]),
            raw([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 1]]),
            raw([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]),
            raw(cube().vertices * [1, 1, 0], cube().faces),
            dome(0.3),
        ],
        ids=["triangle", "plane", "two-sided", "collinear", "flattened", "dish"],
    )
    def test_no_volume(self, mesh):
        with pytest.raises(MeshError, match=r"^flat\.ply: the mesh encloses no volume"):
            clean_mesh(mesh, "flat.ply")

    def test_thin_closed_plate_is_allowed(self):
        plate = trimesh.creation.box((1, 1, 1e-3))
        assert clean_mesh(plate, "plate").volume == pytest.approx(1e-3)

    def test_a_plate_too_thin_to_come_back_is_not(self):
        with pytest.raises(MeshError, match=r"flat: thinner than 0\.0001 of its longest side"):
            clean_mesh(trimesh.creation.box((1, 1, 1e-5)), "plate")

    def test_lobes_of_opposite_winding_have_no_inside(self):
        # A figure of eight, swept: one closed surface, its two lobes of opposite winding.
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False) + 0.01
        outline = np.column_stack([np.sin(angle), np.sin(2 * angle) / 2])
        low, high = (np.hstack([outline, np.full((64, 1), z)]) for z in (0.0, 1.0))
        ring, after = np.arange(64), (np.arange(64) + 1) % 64
        walls = np.vstack(
            [
                np.column_stack([ring, after, after + 64]),
                np.column_stack([ring, after + 64, ring + 64]),
            ]
        )
        caps = np.array([[0, k, k + 1] for k in range(1, 63)])
        faces = np.vstack([walls, caps[:, ::-1], caps + 64])
        eight = raw(np.vstack([low, high]), faces)
        assert eight.is_watertight
        assert abs(eight.volume) < 1e-9
        with pytest.raises(MeshError, match="its parts wind in opposite ways"):
            clean_mesh(eight, "eight")

    @pytest.mark.parametrize("spread", [0.1, 0.2, 0.3])
    @pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
    def test_random_triangles(self, spread, seed):
        generator = np.random.default_rng(seed)
        middle = generator.random((200, 1, 3))
        corners = middle + generator.normal(0, spread, (200, 3, 3))
        with pytest.raises(MeshError, match="encloses no volume"):
            clean_mesh(raw(corners.reshape(-1, 3), np.arange(600).reshape(-1, 3)), "soup")

    @pytest.mark.parametrize(
        ("vertices", "faces", "message"),
        [
            (np.zeros((0, 3)), np.zeros((0, 3), int), "no vertices"),
            (np.eye(3), np.zeros((0, 3), int), "3 vertices but no faces"),
            (np.eye(3), [[0, 1, 3]], "face 0 uses vertex 3, but there are 3"),
            (np.eye(3), [[0, 1, 2], [0, -1, 2]], "face 1 uses vertex -1"),
            (np.ones((3, 3)), [[0, 1, 2]], "no extent"),
            (np.eye(3) * 1e200, [[0, 1, 2]], "1e\\+200; at most"),
            ([[0, 0, 0], [1, 0, 0], [0, np.inf, 0]], [[0, 1, 2]], "vertex 2 of face 0 is at"),
        ],
    )
    def test_bad_arrays(self, vertices, faces, message):
        with pytest.raises(MeshError, match=f"^a b.ply: .*{message}"):
            clean_mesh(raw(vertices, faces), "a\nb.ply")
