import errno
import os
import signal
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.files import check_output, other_kind, utf8_name, write_atomically

# A writer that stops between writing and renaming, in the way that its second argument says.
WRITER = """
import os, resource, signal, sys
from doh3d.files import write_atomically

path, manner = sys.argv[1:]
real_fsync = os.fsync

def stop(descriptor):
    real_fsync(descriptor)
    if manner == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("written", flush=True)
    sys.stdin.readline()

if manner == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
else:
    os.fsync = stop
write_atomically(path, bytes(5000))
"""


def writer(path, manner):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), manner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_written_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "a.doh"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.doh"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_a_file_keeps_its_permissions(tmp_path, monkeypatch, mode):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")
    path.chmod(mode)
    real_fchmod, before = os.fchmod, []

    def fchmod(descriptor, permissions):
        before.append(os.fstat(descriptor).st_mode & 0o777)
        real_fchmod(descriptor, permissions)

    monkeypatch.setattr(os, "fchmod", fchmod)
    write_atomically(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)
    # Nor may anyone else have opened it before.
    assert before[0] & ~mode == 0


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("to", ["{folder}/other/b.doh", "other/b.doh", "other/c.doh"])
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path, to, there):
    (tmp_path / "other").mkdir()
    target = tmp_path / "other" / "b.doh"
    (tmp_path / "other" / "c.doh").symlink_to("b.doh")
    path = tmp_path / "a.doh"
    path.symlink_to(to.format(folder=tmp_path))
    if there:
        target.write_bytes(b"old")
        target.chmod(0o600)
    # Left behind by a writer to the target, under whichever name.
    (tmp_path / "other" / ".b.doh.00000000.part").write_bytes(b"")
    check_output(path)
    write_atomically(path, b"new")
    assert (path.is_symlink(), (tmp_path / "other" / "c.doh").is_symlink()) == (True, True)
    assert (target.is_symlink(), target.read_bytes()) == (False, b"new")
    assert not there or target.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["a.doh", "other"]
    assert sorted(os.listdir(tmp_path / "other")) == ["b.doh", "c.doh"]


@pytest.mark.parametrize(
    ("to", "named"),
    [
        ("none/b.doh", "the folder .*none does not exist"),
        ("a.doh", "leads back to itself"),
        (".", "is a folder"),
        ("/dev/null", "is not a regular file"),
    ],
)
def test_links_that_cannot_be_written_are_said_beforehand(tmp_path, to, named):
    path = tmp_path / "a.doh"
    path.symlink_to(to)
    with pytest.raises(ConfigError, match=rf"a\.doh: .*{named}"):
        check_output(path)
    assert os.readlink(path) == to


def test_writes_that_the_system_cuts_short_are_continued(tmp_path, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:7]))
    write_atomically(tmp_path / "a.doh", bytes(range(100)))
    assert (tmp_path / "a.doh").read_bytes() == bytes(range(100))


@pytest.mark.parametrize("call", ["write", "fsync", "open", "listdir"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")

    def full_disk(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full_disk)
        with pytest.raises(ConfigError, match=r"a\.doh: cannot be written: No space left"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.doh"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, call, interruption
):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")

    def interrupted(*arguments):
        raise interruption

    # Path.replace is os.replace.
    monkeypatch.setattr(os, "replace" if call == "rename" else call, interrupted)
    with pytest.raises(interruption):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.doh"]


def test_a_file_that_may_not_grow_is_an_error_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")
    process = writer(path, "limit")
    _, err = process.communicate()
    assert err.splitlines()[-1].endswith("a.doh: cannot be written: File too large")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.doh"]


def test_what_a_killed_writer_left_is_gone_after_the_next_write(tmp_path):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")
    process = writer(path, "kill")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    left = [name for name in os.listdir(tmp_path) if name != "a.doh"]
    assert len(left) == 1
    # Of other targets, whatever their names have in common with this one.
    others = [left[0].replace(".a.doh.", prefix) for prefix in (".b.doh.", ".doh.", ".a.doh.x.")]
    for name in [*others, ".a.doh.notes.part"]:
        (tmp_path / name).write_bytes(b"")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".a.doh.notes.part", "a.doh"])


def test_a_living_writer_keeps_its_temporary_file(tmp_path):
    path = tmp_path / "a.doh"
    process = writer(path, "wait")
    assert process.stdout.readline() == "written\n"
    write_atomically(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert len(os.listdir(tmp_path)) == 2
    _, err = process.communicate("\n")
    assert (process.returncode, err) == (0, "")
    assert path.read_bytes() == bytes(5000)
    assert os.listdir(tmp_path) == ["a.doh"]


def test_a_temporary_file_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    import fcntl

    real_flock, removed = fcntl.flock, []

    def removed_first(descriptor, operation):
        for temporary in tmp_path.glob(".a.doh.*.part"):
            if not removed:
                removed.append(temporary)
                temporary.unlink()
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    write_atomically(tmp_path / "a.doh", b"new")
    assert len(removed) == 1
    assert (tmp_path / "a.doh").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.doh"]


def test_where_nothing_can_be_written_is_said_beforehand(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="does not exist; create it"):
        check_output(tmp_path / "none" / "a.doh")
    with pytest.raises(ConfigError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        check_output(tmp_path / "file" / "a.doh")
    with pytest.raises(ConfigError, match="not a regular file"):
        check_output("/dev/null")
    for length in (251, 500):
        # Temporary files have longer names: 255 bytes are the most.
        with pytest.raises(ConfigError, match="bytes too long"):
            check_output(tmp_path / ("a" * (length - 4) + ".doh"))
    check_output(tmp_path / ("a" * 236 + ".doh"))


@pytest.mark.parametrize(
    ("refused", "named"), [("folder", "can't be written to"), ("a.doh", "is read-only")]
)
def test_what_may_not_be_written_is_said_beforehand(tmp_path, monkeypatch, refused, named):
    path = tmp_path / "folder" / "a.doh"
    path.parent.mkdir()
    path.write_bytes(b"old")
    # Root may write anywhere: ask as somebody else would be answered.
    real_access = os.access

    def access(asked, mode):
        return asked.name != refused and real_access(asked, mode)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(ConfigError, match=named):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_is_no_file_is_named_without_opening_it(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "nowhere").symlink_to("none")
    # The names of sockets are short.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        names = ["pipe", "link", "socket", "/dev/null", ".", "file", "nowhere", "none", "a\0b"]
        assert {name: other_kind(name) for name in names} == {
            "pipe": "a named pipe",
            "link": "a named pipe",
            "socket": "a socket",
            "/dev/null": "a device",
            ".": "a directory",
            "file": None,
            "nowhere": None,
            "none": None,
            "a\0b": None,
        }


NAMES = st.lists(st.sampled_from([b"\xff", b"\xfe", b"\\", b"x", b"ff", "ü".encode()])).map(
    b"".join
)


@given(NAMES, NAMES)
def test_names_can_be_written_and_stay_different(one, other):
    given = [os.fsdecode(name) for name in (one, other)]
    written = [utf8_name(name) for name in given]
    assert all(name.encode().decode() == name for name in written)
    if given[0] != written[0] and given[1] != written[1]:
        assert (written[0] == written[1]) == (one == other)


def test_bytes_that_are_no_letters_are_shown():
    assert utf8_name(os.fsdecode(b"a\\b\xff.ply")) == r"a\\b\xff.ply"
    assert utf8_name("a\\bü.ply") == "a\\bü.ply"
