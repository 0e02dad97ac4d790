import os

import pytest

from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically


def test_written_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "a.doh"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.doh"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.doh"
    path.write_bytes(b"old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_said_beforehand(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="can't be written"):
        check_output(tmp_path / "a.doh")
