"""Checkpoints are written atomically, read without executing code, and replaced by the previous one if damaged."""

import os

import pytest
import torch

from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.checkpoint_io import AtomicCheckpointIO, atomic_save, previous_of, safe_load
from tests.helpers.checkpoints import write_checkpoint

pytestmark = pytest.mark.mode("damaged and untrusted checkpoints")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = os.urandom(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)


DAMAGE = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "garbled": garble,
    "text": lambda path: path.write_text("weights"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoint_is_named(damage, tmp_path):
    path = tmp_path / "model.ckpt"
    write_checkpoint(path)
    DAMAGE[damage](path)
    with pytest.raises(ValueError, match=r"checkpoint .*model\.ckpt is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_previous_checkpoint_is_used_instead_of_a_damaged_one(damage, tmp_path):
    path = tmp_path / "last.ckpt"
    io = AtomicCheckpointIO()
    for number in (1, 2):
        io.save_checkpoint({"number": number, "weights": torch.zeros(1000)}, path)
    assert io.load_checkpoint(path)["number"] == 2
    DAMAGE[damage](path)
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged(.|\n)*resuming from the previous one"):
        assert io.load_checkpoint(path)["number"] == 1
    DAMAGE[damage](previous_of(path))
    with pytest.raises(ValueError, match="is damaged"), pytest.warns(UserWarning):
        io.load_checkpoint(path)


@pytest.mark.parametrize("point", range(3))
def test_a_checkpoint_is_there_wherever_writing_ends(point, tmp_path, monkeypatch):
    """Before, between and after the two renames: the new checkpoint or the previous one can be read."""
    path, io = tmp_path / "last.ckpt", AtomicCheckpointIO()
    atomic_save({"number": 1}, path)
    moves = []
    replace = os.replace

    def stop(*files):
        if len(moves) == point:
            raise KeyboardInterrupt
        moves.append(replace(*files))

    monkeypatch.setattr(os, "replace", stop)
    if point < 2:
        with pytest.raises(KeyboardInterrupt):
            atomic_save({"number": 2}, path)
    else:
        atomic_save({"number": 2}, path)
    assert io.load_checkpoint(path)["number"] == (2 if point == 2 else 1)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_of_a_checkpoint_is_run(tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": Malicious(tmp_path / "ran")}, path)
    for read in (safe_load, load_checkpoint, lambda p: AtomicCheckpointIO().load_checkpoint(p, weights_only=False)):
        with pytest.raises(ValueError, match="contains objects other than tensors and plain values"):
            read(path)
    assert not (tmp_path / "ran").exists()


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*none\.ckpt"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "none.ckpt")
