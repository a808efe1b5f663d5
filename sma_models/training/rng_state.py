"""Where the generators of random numbers stand, for checkpoints: what a run draws after it was resumed is what it would
have drawn.

Order and augmentation need none of it, they are functions of (seed, epoch, index); dropout and its like do.
"""

import random
from typing import Any

import numpy as np
import torch

RANDOM = "random_states"


def random_states() -> dict[str, Any]:
    """States of the generators of torch, numpy and Python, as tensors and plain values."""
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
        "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Set the generators to what `random_states` returned; those of cards only where as many are there."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
