"""Saves and restores RNG state so that a resumed run draws the same numbers.

Order and augmentation do not depend on it, being functions of (seed, epoch, index); dropout does.
"""

import random
from typing import Any

import numpy as np
import torch

RNG_STATE = "random_states"  # the entry of a checkpoint


def rng_state() -> dict[str, Any]:
    """RNG states of torch, CUDA, numpy and Python, as tensors and plain values."""
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
        "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_rng_state(states: dict[str, Any]) -> None:
    """Restore the states that `rng_state` returned; those of GPUs only if their number is the same."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
