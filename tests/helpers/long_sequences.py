"""Sequences much longer than a tile or a block of a sum, such as bags of instances for multiple-instance learning."""

import torch
from torch import Tensor

from tests.helpers import cases
from tests.helpers.cases import Case

BAG = Case(batch=1, regions=1, channels=5, embed=16, values=24, height=1, width=10_007, shared=True, merge="none")
GROUPED = Case(batch=1, regions=2, channels=3, embed=16, values=24, height=1, width=10_007)
# For kernels that are interpreted: seconds each.
INTERPRETED = Case(
    batch=1, regions=1, channels=2, embed=3, values=3, height=1, width=1_003, shared=True, merge="none", masked=True
)
DISTINCT = 4  # positions of a sequence of repeated ones


def padding(case: Case, seed: int = 0) -> Tensor:
    """A mask [B,H,W] of a short bag among longer ones: the last third of the positions is not valid."""
    valid = torch.arange(case.height * case.width) < case.height * case.width * 2 // 3
    return valid.view(1, case.height, case.width).repeat(case.batch, 1, 1)


def repeat(tensor: Tensor) -> Tensor:
    """[.,L] with positive numbers, those of the first positions at all of them."""
    few = tensor[..., :DISTINCT].abs() + 0.2
    return few.repeat(*[1] * (tensor.dim() - 1), -(-tensor.shape[-1] // DISTINCT))[..., : tensor.shape[-1]]


def repeated_inputs(case: Case, dtype: torch.dtype = torch.float64, seed: int = 0, device="cpu"):
    """Inputs with few distinct positions.

    Terms that are alike and positive are rounded in one direction, so that a running sum of 100,000 of them errs a hundred
    times as much as one of random terms.
    """
    tensors = cases.inputs(case, dtype, seed, device)
    for name in ("values", "features"):
        tensors[name].copy_(repeat(tensors[name]))  # in place, to keep the layout
    return tensors


def repeated_cotangents(outputs: tuple[Tensor, ...], seed: int) -> list[Tensor]:
    """The same for the gradients of attention and maps."""
    return [repeat(grad) if grad.dim() > 4 else grad for grad in cases.cotangents(outputs, seed)]
