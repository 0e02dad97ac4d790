"""What the command line says of words that it cannot use."""

import pytest

WRONG = {
    ("compress", "x.obj", "--max-bytes", "abc"): "--max-bytes is 'abc'; it must be a whole number",
    ("compress", "x.obj", "--seed", "1.5"): "--seed is '1.5'; it must be a whole number",
    ("compress", "x.obj", "--min-iou", "good"): "--min-iou is 'good'; it must be a number",
    ("compress", "x.obj", "--bits", "7" * 60 + "x"): f"--bits is '{'7' * 40}...'; it must be a",
    ("image", "compress", "x.png", "--bpp", "a"): "--bpp is 'a'; it must be a number",
    ("decompress", "x.doh", "--resolution", "high"): "--resolution is 'high'; it must be a whole",
    ("compress", "x.obj", "--max-bytes", "3"): "--max-bytes is 3; it must be 300 to 64000",
    ("compress", "x.obj", "--preset", "nope"): "--preset is 'nope'; it must be 'fast', 'default'",
    ("compress", "x.obj", "--max-bytes", "500", "--min-iou", "0.9"): (
        "--max-bytes and --min-iou contradict each other; give one of them"
    ),
    ("compress", "x.obj", "--max-bytes", "500", "--bits", "4"): (
        "--max-bytes chooses the quantisation by itself; leave out bits and ptq"
    ),
    ("compress",): "argument mesh is missing (PLY, OBJ, STL, OFF, GLB, glTF or 3MF file",
    ("batch", "-o", "out"): "argument INPUT is missing (A folder, a glob",
    ("eval", "x.doh"): (
        "--reference is missing (The original: a mesh, or a voxel grid); see doh3d eval --help"
    ),
    ("compress", "x.obj", "--max_bytes", "500"): (
        "doh3d compress has no option --max_bytes; did you mean --max-bytes?"
    ),
    ("compress", "x.obj", "--bpp", "1"): (
        "doh3d compress has no option --bpp; see doh3d compress --help"
    ),
    ("compress", "x.obj", "--seed"): "Option '--seed' requires an argument",
    ("compress", "x.obj", "--exact=1"): "Option '--exact' does not take a value",
    ("compress", "x.obj", "y.obj"): (
        "Got unexpected extra argument(s) (y.obj); see doh3d compress --help"
    ),
    ("nope",): "No such command 'nope'; the commands are check, compress, decompress",
    ("image", "nope"): "No such command 'nope'; the commands are compress, decompress, eval",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_words_cost_one_line_that_says_what_would_be_right(run, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith(f"doh3d: error: {WRONG[words]}")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_group_without_a_command_shows_its_help(run):
    status, out, err = run("image")
    assert (status, err) == (2, "")
    assert "Usage: doh3d image" in out


def test_only_arguments_that_are_options_are_spelled_as_such():
    from doh3d.cli import app
    from doh3d.commands.usage import as_options

    for message in ("cow.obj: seed is 3", "weather is bad", "points.obj: no such file"):
        assert as_options(message, app) == message
    assert as_options("gpus_per_shape is 3", app) == "--gpus-per-shape is 3"
