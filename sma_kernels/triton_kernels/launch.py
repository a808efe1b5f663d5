"""What every launcher needs: layouts, dtypes and precision as the kernels take them."""

import contextlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from sma_kernels.args import AttentionArgs as Head
from sma_kernels.triton_kernels.plan import MAX_ROWS, Sizes

TRITON_VERSION = tuple(int(part) for part in triton.__version__.split(".")[:2])


@dataclass(frozen=True)
class FeatureMap:
    """A dense [B,C,H,W] tensor as the kernels read it: whole samples, rows of L (NCHW) or of C (channels_last)."""

    tensor: Tensor
    batch: int  # stride between samples
    stride: int  # length of a row
    last: bool  # rows of C
    vec: int  # elements of one load of at most 16 bytes that a row, a sample and so every tile start at


def is_dense(tensor: Tensor) -> bool:
    """Read in place: each sample dense NCHW or channels_last, with any stride between samples."""
    sample = tensor[0]
    return sample.is_contiguous() or sample.permute(1, 2, 0).is_contiguous()


def feature_map(tensor: Tensor) -> FeatureMap:
    if not is_dense(tensor):
        tensor = tensor.contiguous()
    channels, positions = tensor.shape[1], tensor.shape[2] * tensor.shape[3]
    last = positions == 1 or not tensor[0].is_contiguous()
    row = channels if last else positions
    batch = tensor.stride(0) if tensor.shape[0] > 1 else channels * positions
    return FeatureMap(tensor, batch, row, last, math.gcd(16 // tensor.element_size(), row, batch))


def absent_map(positions: int, itemsize: int) -> FeatureMap:
    """Strides that a kernel takes for a map which is not there; they still tell how the positions divide."""
    return FeatureMap(torch.empty(0), 0, positions, False, math.gcd(16 // itemsize, positions))


def sizes_of(head: Head) -> Sizes:
    grid = head.grid
    width = head.weight.shape[2] if head.weight is not None else 0
    return Sizes(
        batch=grid.shape[0],
        C=head.values.shape[1] if head.values is not None else 0,
        L=grid.shape[-2] * grid.shape[-1],
        R=head.regions,
        K=head.channels,
        D=width,
        G=grid.shape[1] // width if width else 1,
        itemsize=grid.element_size(),
        merge=head.merge if head.values is not None else "none",
        split=precision_of(grid.dtype) == "tf32x3",
        amd=on_amd(),
        max_rows=max_forward_rows(grid.device),
    )


def max_forward_rows(device: torch.device) -> int:
    """A forward of 128 rows takes 128 KB of shared memory on 8.x with Triton 3.6, and 96 KB with 3.8; of these devices, 8.6
    and 8.9 have 99 KB."""
    if TRITON_VERSION >= (3, 8) or device.type != "cuda" or on_amd():
        return MAX_ROWS
    return MAX_ROWS // 2 if torch.cuda.get_device_capability(device) in ((8, 6), (8, 9)) else MAX_ROWS


def on_amd() -> bool:
    return torch.version.hip is not None


def device_guard(tensor: Tensor):
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def precision_of(dtype: torch.dtype) -> str:
    """Precision of products of float32 operands. Three TF32 products carry float32 through tensor cores; AMD's matrix
    cores take float32 as it is. Float16 keeps float32 operands inside: its range loses small maps."""
    if on_amd():
        return "ieee"
    tf32 = dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return "tf32" if tf32 or dtype == torch.bfloat16 else "tf32x3"


def narrow_type(dtype: torch.dtype) -> tl.dtype:
    """Operands of products with maps or their gradients: bfloat16 keeps their range, float16 would not."""
    return tl.bfloat16 if dtype == torch.bfloat16 else tl.float32


def contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


class AttentionShares(NamedTuple):
    """What the backward of the pooling leaves of the gradient of A; see pool.value_gradients_kernel."""

    attention: Tensor | None = None  # float32 [B,slices,A,L]
    along: Tensor | None = None  # float32 [B,alongs,A]
    slices: int = 1
    alongs: int = 1
