"""What the launches of one call share: layouts, sizes, dtypes and precision, and the records passed to kernels."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from sma_kernels.args import AttentionArgs
from sma_kernels.triton_kernels.kernel_args import (
    DenseMap,
    GradSource,
    Layout,
    MapInputs,
    ParamOffsets,
    PoolTile,
    Scalar,
    Tile,
)
from sma_kernels.triton_kernels.plan import MAX_ROWS, Launch, Sizes, known_sizes

TRITON_VERSION = tuple(int(part) for part in triton.__version__.split(".")[:2])


class Launcher:
    """Starts kernels on the current device; tools/triton/recorder.py has one that lists the launches instead."""

    amd = torch.version.hip is not None

    def __call__(self, kernel: Callable, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        kernel[grid](*arguments, **options)


class FeatureMap(NamedTuple):
    """A dense [B,C,H,W] tensor as the kernels read it: whole samples, rows of L (NCHW) or of C (channels_last)."""

    tensor: Tensor | None
    batch_stride: int
    row_stride: int  # length of a row
    last: bool  # rows of C
    vec: int  # elements of the widest aligned load, at most 16 bytes

    @property
    def dense(self) -> DenseMap:
        return DenseMap(self.tensor, self.batch_stride, self.row_stride)

    @property
    def layout(self) -> Layout:
        return constants(Layout(self.last, self.vec))


def is_dense(tensor: Tensor) -> bool:
    """Whether kernels can read it in place: samples dense in NCHW or channels_last, with any stride between them."""
    return _strides(tensor.shape, tensor.stride()) is not None


def feature_map(tensor: Tensor) -> FeatureMap:
    strides = _strides(tensor.shape, tensor.stride())
    if strides is None:
        tensor = tensor.contiguous()
        strides = _strides(tensor.shape, tensor.stride())
        assert strides is not None
    batch_stride, row, last = strides
    return FeatureMap(tensor, batch_stride, row, last, math.gcd(16 // tensor.element_size(), row, batch_stride))


@lru_cache
def _strides(shape: torch.Size, strides: tuple[int, ...]) -> tuple[int, int, bool] | None:
    """The batch stride, the length of a row, and whether rows run over channels; None if the samples are not dense."""
    (batch, channels, height, width), (batch_stride, channel, row, column) = shape, strides
    nchw = _packed((channels, height, width), (channel, row, column))
    if not (nchw or _packed((height, width, channels), (row, column, channel))):
        return None
    last = height * width == 1 or not nchw
    row = channels if last else height * width
    return (batch_stride if batch > 1 else channels * height * width), row, last


def _packed(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements follow one another without gaps. Strides of axes of size 1 are arbitrary."""
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return all(size == 1 or stride == step for size, stride, step in zip(shape, strides, steps, strict=True))


def absent_map(sizes: Sizes) -> FeatureMap:
    """Strides for an absent map; kernels still derive the alignment of positions from them."""
    return FeatureMap(None, 0, sizes.L, False, math.gcd(16 // sizes.itemsize, sizes.L))


def max_forward_rows(device: torch.device, amd: bool) -> int:
    """A forward of 128 rows needs 128 KB of shared memory on 8.x with Triton 3.6, and 96 KB with 3.8; devices 8.6 and 8.9
    have only 99 KB."""
    if TRITON_VERSION >= (3, 8) or device.type != "cuda" or amd:
        return MAX_ROWS
    return MAX_ROWS // 2 if torch.cuda.get_device_capability(device) in ((8, 6), (8, 9)) else MAX_ROWS


def sizes_of(args: AttentionArgs, amd: bool) -> Sizes:
    grid = args.grid
    width = args.weight.shape[2] if args.weight is not None else 0
    return known_sizes(
        batch=grid.shape[0],
        C=args.values.shape[1] if args.values is not None else 0,
        L=grid.shape[-2] * grid.shape[-1],
        R=args.regions,
        K=args.channels,
        D=width,
        G=grid.shape[1] // width if width else 1,
        itemsize=grid.element_size(),
        merge=args.merge if args.values is not None else "none",
        split=precision_of(grid.dtype, amd) == "tf32x3",
        amd=amd,
        max_rows=max_forward_rows(grid.device, amd),
    )


def device_guard(tensor: Tensor):
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def precision_of(dtype: torch.dtype, amd: bool) -> str:
    """Precision of products of float32 operands. Three TF32 products keep float32 accuracy on tensor cores; AMD's matrix
    cores support float32 directly. Calls in float16 use float32 operands, too, since small maps would underflow."""
    if amd:
        return "ieee"
    tf32 = dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return "tf32" if tf32 or dtype == torch.bfloat16 else "tf32x3"


def dot_dtype(dtype: torch.dtype) -> tl.dtype:
    """Operand type of products with maps or their gradients: bfloat16 covers their range, float16 does not."""
    return tl.bfloat16 if dtype == torch.bfloat16 else tl.float32


def contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


class AttentionPartials(NamedTuple):
    """Partial gradients of A from the backward of the pooling; see pool.value_gradients_kernel."""

    attention: Tensor | None = None  # float32 [B,slices,A,L]
    delta: Tensor | None = None  # float32 [B,partials,A]
    slices: int = 1
    partials: int = 1


# typed=True, because records of different types with the same numbers are equal as tuples.
@lru_cache(maxsize=None, typed=True)
def constants(record: Tile | PoolTile | Layout | ParamOffsets) -> Any:
    """The record as an argument of a kernel. With Triton before 3.8, members must be tl.constexpr so that kernels can pass
    them to functions or use them in a shape; the interpreter and newer versions get plain numbers."""
    plain = TRITON_VERSION >= (3, 8) or triton.knobs.runtime.interpret
    return record if plain else type(record)(*map(tl.constexpr, record))


NO_GRADS = GradSource(None, None, None, None, None, 1, 1)


@dataclass(frozen=True)
class Call:
    """One call on the host, and the records of kernel arguments that follow from its inputs."""

    args: AttentionArgs
    launcher: Launcher

    @cached_property
    def sizes(self) -> Sizes:
        return sizes_of(self.args, self.launcher.amd)

    @cached_property
    def features(self) -> FeatureMap:
        return feature_map(self.args.features) if self.args.features is not None else absent_map(self.sizes)

    @cached_property
    def inputs(self) -> MapInputs:
        args, features = self.args, self.features
        tensors = map(contiguous, (args.maps, args.weight, args.bias, args.mask))
        return MapInputs(features.tensor, *tensors, features.batch_stride, features.row_stride)

    @property
    def softmax_rows(self) -> bool:
        """Whether softmax statistics per row are needed, since the maps are computed by a softmax."""
        return self.args.features is not None and self.args.activation == "softmax"

    @property
    def temperature(self) -> Scalar:
        return Scalar(self.args.temperature_tensor, self.args.temperature)

    @property
    def gate(self) -> Scalar:
        return Scalar(self.args.gate_tensor, self.args.gate)

    @property
    def precision(self) -> str:
        return precision_of(self.args.grid.dtype, self.launcher.amd)

    def scratch(self, *size: int) -> Tensor:
        return self.args.grid.new_empty(size, dtype=torch.float32)

    def tile(self, R_PAD: int, K_PAD: int, BLOCK_L: int, BLOCK_D: int, PART_D: int = 0, CHUNK_L: int = 0) -> Tile:
        sizes = self.sizes
        tile = Tile(
            R=sizes.R,
            K=sizes.K,
            N=sizes.N,
            A=sizes.A,
            D=sizes.D,
            G=sizes.G,
            R_PAD=R_PAD,
            K_PAD=K_PAD,
            ROWS=K_PAD * R_PAD,
            BLOCK_L=BLOCK_L,
            CHUNK_L=CHUNK_L,
            BLOCK_D=BLOCK_D,
            PART_D=PART_D,
            SOFTMAX=self.args.activation == "softmax",
            MERGE=sizes.merge,
            DOT_DTYPE=dot_dtype(self.args.grid.dtype),
            PRECISION=self.precision,
        )
        return constants(tile)

    def pool_tile(self, launch: Launch) -> PoolTile:
        sizes = {name: launch.tiles.get(name, 0) for name in PoolTile._fields}
        dtype = dot_dtype(self.args.grid.dtype)
        return constants(PoolTile(**{**sizes, "A": self.sizes.A, "DOT_DTYPE": dtype, "PRECISION": self.precision}))
