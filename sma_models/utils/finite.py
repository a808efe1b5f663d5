"""Rejects NaN and infinity: a comparison with NaN is False, and would pass for a prediction."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def require_finite(what: str, values: Tensor | NDArray[np.floating]) -> None:
    """Raises ValueError, starting with `what`, if a value is NaN or infinite."""
    finite = torch.isfinite(torch.as_tensor(values))
    if not finite.all():
        count = int((~finite).sum())
        raise ValueError(f"{what} must be finite; got {count} of {finite.numel()} values that are NaN or infinite")


def require_finite_weights(what: str, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Raises ValueError, starting with `what`, that names the first tensor with NaN or infinite values."""
    for name, tensor in tensors:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{what} has weights that are NaN or infinite, in {name}: expected finite ones")
