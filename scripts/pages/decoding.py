"""Fields' operations, sharper meshes and the decoder in a browser."""

from __future__ import annotations

from collections.abc import Iterator

from pages.registry import Line, Results, Row, size, table


def field_of(row: Row) -> str:
    """Say whose file it is: "armadillo, 2,926 B, 2 cells"."""
    mesh = row["file"].rpartition("-")[0]
    cells = f", {row['cells']} cells" if int(row["cells"]) > 1 else ""
    return f"{mesh}, {size(row['bytes'])} B{cells}"


def by_size(results: Results) -> list[Row]:
    return sorted(results.rows("fields"), key=lambda row: int(row["bytes"]))


@table("distances")
def distances(results: Results) -> Iterator[Line]:
    """Errors of signed distances in percent of the longest side."""
    yield ["", "mean error, of the longest side", "99.9% below", "largest"]
    for row in by_size(results):
        errors = [float(row[f"distance_{which}"]) for which in ("mean", "999", "largest")]
        cells = [f"{error:.{digits}f}%" for error, digits in zip(errors, (4, 3, 2), strict=True)]
        yield [field_of(row), *cells]


@table("rays")
def rays(results: Results) -> Iterator[Line]:
    """Rays against the extracted mesh's."""
    yield [
        "",
        "meet the mesh",
        "differ",
        "of these do not graze",
        "distance: median, 99.9% below",
        "rays",
        "as many point queries",
    ]
    for row in by_size(results):
        yield [
            field_of(row),
            f"{row['meet_percent']}%",
            size(row["differ"]),
            row["differ_not_grazing"],
            f"{float(row['ray_median']):.4f}%, {float(row['ray_999']):.2f}%",
            f"{row['ray_s']} s",
            f"{row['query_s']} s",
        ]


@table("field-volumes")
def field_volumes(results: Results) -> Iterator[Line]:
    """Volumes at lower resolutions, against that at 512."""
    yield ["", "64", "128", "256"]
    for row in by_size(results):
        values = [float(row[f"volume_{resolution}"]) for resolution in (64, 128, 256)]
        yield [field_of(row), *(f"{value:+#.2g}%" for value in values)]


@table("dual")
def dual(results: Results) -> Iterator[Line]:
    """Show normal consistency and Chamfer distance, by marching cubes and by "dual"."""
    yield ["part", "resolution 32", "64", "128", "Chamfer-L1 at 64"]
    rows = results.rows("dual")
    for file in dict.fromkeys(row["file"] for row in rows):
        at = {row["resolution"]: row for row in rows if row["file"] == file}
        if set(at) != {"32", "64", "128"}:
            raise LookupError(f"dual.tsv has not all resolutions of {file}")
        yield [
            f"{at['64']['mesh']}, {size(at['64']['bytes'])} B",
            *(f"{at[n]['normals']} → {at[n]['dual_normals']}" for n in ("32", "64", "128")),
            f"{at['64']['chamfer']} → {at['64']['dual_chamfer']}",
        ]


@table("web")
def web(results: Results) -> Iterator[Line]:
    """Seconds from a file's bytes to a mesh in a browser."""
    yield ["file", "mesh", "WebAssembly", "JavaScript"]
    rows = results.rows("web")
    before = ""
    for file, resolution in dict.fromkeys((row["file"], row["resolution"]) for row in rows):
        found = {
            row["how"]: row
            for row in rows
            if (row["file"], row["resolution"]) == (file, resolution)
        }
        row = found["WebAssembly"]
        label = f"{file.split('-')[0]}, {size(row['bytes'])} bytes"
        seconds = [float(found[how]["seconds"]) for how in ("WebAssembly", "JavaScript")]
        mesh = f"resolution {resolution}, {size(row['faces'])} triangles"
        yield [
            label if label != before else "",
            mesh,
            *(f"{each:#.2g}".rstrip(".") for each in seconds),
        ]
        before = label


@table("web-sizes")
def web_sizes(results: Results) -> Iterator[Line]:
    """Bytes of what is shipped."""
    yield ["what", "bytes", "gzipped"]
    for what, name in (
        ("module", "the module `doh3d.js`, tables and WebAssembly in it"),
        ("page", "a page without a file"),
    ):
        row = results.one("web-sizes", what=what)
        yield [name, size(row["bytes"]), size(row["gzipped"])]
