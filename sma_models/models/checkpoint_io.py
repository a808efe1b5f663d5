"""Atomic checkpoint writes and safe (weights-only) reads."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn


def previous_of(path: str | Path) -> Path:
    """The path at which `atomic_save` keeps the checkpoint that `path` replaced."""
    return Path(f"{path}.previous")


def atomic_save(content: dict[str, Any], path: str | Path) -> None:
    """Write `content` to `path` atomically; a file already there is kept as `previous_of(path)`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a move is atomic only within one file system.
    unfinished = Path(f"{path}.unfinished")
    with unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        os.replace(path, previous_of(path))
    os.replace(unfinished, path)


def safe_load(path: str | Path) -> Any:
    """The content of a checkpoint on the CPU. FileNotFoundError, or ValueError if it is damaged or contains anything but
    tensors and plain values."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        damaged = _damaged_part(path)
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its message recommends running the code in the file
        raise ValueError(
            f"checkpoint {path} is damaged, or contains objects other than tensors and plain values, which are not loaded"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"checkpoint {path} is damaged: expected a complete file written by torch.save; {error}"
        ) from error
    raise ValueError(f"checkpoint {path} is damaged: the checksum of {damaged} is wrong")


def _damaged_part(path: str | Path) -> str | None:
    """The first entry with a wrong checksum, which torch.load does not verify; None if the file has no checksums."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as entries:
        return entries.testzip()


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint I/O through `atomic_save` and `safe_load`; falls back to the previous checkpoint if one is
    damaged."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        atomic_save(checkpoint, path)

    def load_checkpoint(
        self, path: Any, map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises as `safe_load` if there is no previous checkpoint. Always reads to the CPU, and only tensors and plain
        values, regardless of the arguments."""
        try:
            return safe_load(path)
        except (FileNotFoundError, ValueError) as error:
            previous = previous_of(path)
            if not previous.is_file():
                raise
            rank_zero_warn(f"{error}; resuming from the previous one, {previous}")
            return safe_load(previous)
