import fcntl
import tempfile
import threading
from types import SimpleNamespace

import pytest
import torch

from doh3d.dataset.worker import DeviceTurn

CUDA = torch.device("cuda")


def test_a_gpu_is_had_by_one_process_after_the_other(monkeypatch, tmp_path):
    told = []
    card = SimpleNamespace(uuid="card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: told.append("memory given back"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def second():
        with DeviceTurn(CUDA)():
            told.append("second")

    thread = threading.Thread(target=second)
    with DeviceTurn(CUDA)():
        thread.start()
        (lock,) = tmp_path.glob("doh3d-*-card.lock")
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        told.append("first")
    thread.join()
    assert told == ["first", "memory given back", "second", "memory given back"]


def test_a_cpu_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    turn = DeviceTurn(torch.device("cpu"))
    with turn(), turn():
        assert turn.waited == 0
    assert not list(tmp_path.iterdir())
