#!/usr/bin/env bash
# Builds the source distribution and from that the wheel, installs it without extras into a bare environment, and uses it there:
# what a person gets who types `pip install doh3d` on a machine without Open3D's libraries.
#
# usage: scripts/check_wheel.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt "$work"/dist/*.whl

# Away from the checkout, so that only the installed package can be imported.
cp meshes/torus.obj "$work"
cd "$work"
venv/bin/python -c 'import open3d' 2>/dev/null && { echo "Open3D must not be here"; exit 1; }
# What type checkers of those who import the package look for.
venv/bin/python -c 'from importlib import resources; assert (resources.files("doh3d") / "py.typed").is_file()'
venv/bin/doh3d compress torus.obj -o torus.doh --preset fast --latent 300 --width 16
venv/bin/doh3d decompress torus.doh -o torus.ply --resolution 64
# The page's decoder is in the wheel, and needs no Node here.
PATH="$work/venv/bin" venv/bin/doh3d page torus.doh -o torus.html
grep -q '<doh-viewer' torus.html && grep -q customElements torus.html
venv/bin/doh3d eval torus.doh --reference torus.obj --resolution 64 --json >report.json
venv/bin/python -c 'import json; assert json.load(open("report.json"))["iou"] > 0.95'
echo "the wheel works in a bare environment"
