"""The decoder in JavaScript: its own tests, its types, and that what is shipped is as it is built.

All of it needs Node, most of it what `make web` installs; without these, tests are skipped, unless
DOH3D_NODE is `required`, as `make check` has it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import web_fixtures
import web_tables

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
NODE = shutil.which("node")
MODULES = WEB / "node_modules"
REQUIRED = os.environ.get("DOH3D_NODE") == "required"

needs_node = pytest.mark.skipif(NODE is None and not REQUIRED, reason="there is no Node")
needs_modules = pytest.mark.skipif(
    not (NODE and (MODULES / "esbuild").exists()) and not REQUIRED,
    reason="there is no web/node_modules (make web)",
)


def run(*command, cwd=WEB):
    """Run a command, which must succeed; what it prints."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@needs_node
def test_its_own_tests_pass():
    tests = sorted(str(path) for path in (WEB / "test").glob("*.test.mjs"))
    assert len(tests) >= 3
    report = run("node", "--test", "--test-reporter=tap", *tests)
    assert "\n# fail 0\n" in report
    assert int(report.split("\n# pass ")[1].split()[0]) > 90


@needs_modules
def test_what_is_shipped_is_as_it_is_built():
    run("node", "scripts/build.mjs", "--check")


@needs_modules
@pytest.mark.slow
def test_types_are_right():
    run("node", "node_modules/typescript/bin/tsc", "--noEmit")


@needs_modules
@pytest.mark.slow
def test_the_package_is_packed_and_works_where_it_is_installed(tmp_path):
    # In a copy: packing builds types.
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules", "types"))
    (web / "node_modules").symlink_to(MODULES)
    run("node", "node_modules/typescript/bin/tsc", "-p", ".", "--noEmit", "false",
        "--declaration", "--emitDeclarationOnly", "--outDir", "types", cwd=web)  # fmt: skip
    packed = json.loads(run("npm", "pack", "--json", "--ignore-scripts", cwd=web))[0]
    names = {file["path"] for file in packed["files"]}
    shipped = {"doh3d.js", "export.js", "three.js", "viewer.js", "worker.js", "index.html"}
    assert shipped | {"package.json", "types/index.d.ts", "types/three.d.ts"} <= names
    assert not [name for name in names if name.startswith(("src", "test", "scripts"))]
    user = tmp_path / "user"
    user.mkdir()
    (user / "package.json").write_text('{"type": "module", "private": true}')
    archive = str(web / packed["filename"])
    run("npm", "install", "--offline", "--no-audit", "--no-fund", archive, cwd=user)
    hexadecimal = (ROOT / "tests/golden/standard.hex").read_text().strip()
    (user / "use.mjs").write_text(
        'import { decode } from "doh3d";\nimport { toPly } from "doh3d/export";\n'
        f'const field = decode(new Uint8Array(Buffer.from("{hexadecimal}", "hex")));\n'
        "console.log(field.bytes, toPly(field.toMesh(16)).length > 100);\n"
    )
    assert run("node", "use.mjs", cwd=user) == f"{len(hexadecimal) // 2} true\n"


def test_the_module_is_small():
    import gzip

    assert len(gzip.compress((WEB / "doh3d.js").read_bytes(), 9)) <= 30_000


def test_its_tables_are_the_packages():
    assert web_tables.OUTPUT.read_text() == web_tables.module()


def test_what_it_is_tested_against_is_what_the_package_decodes():
    kept = json.loads(web_fixtures.OUTPUT.read_text())
    found = web_fixtures.expected()
    assert set(kept) == set(found)
    for name, values in found.items():
        assert set(kept[name]) == set(values)
        for part, numbers in values.items():
            if part == "logits":
                kept_numbers = np.array(kept[name][part], float)
                np.testing.assert_allclose(kept_numbers, np.array(numbers, float), 1e-5, 1e-5)
            elif part == "pixels":
                assert np.abs(np.subtract(kept[name][part], numbers)).max() <= 1
            else:
                np.testing.assert_allclose(kept[name][part], numbers, 1e-12)
