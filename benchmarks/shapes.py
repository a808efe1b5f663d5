"""The standard shapes of all benchmark tables."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tests.helpers.cases import TENSORS


class Shape(NamedTuple):
    """Sizes of one call: B samples, C values, R regions of K channels with D features each, height x width positions.

    `shared`: all channels share one group of features (G = 1). `merges`: those that are timed, the most common use first."""

    batch: int
    values: int
    height: int
    width: int
    regions: int
    channels: int
    embed: int
    what: str
    shared: bool = False
    merges: tuple[str, ...] = ("max", "none")

    @property
    def groups(self) -> int:
        return 1 if self.shared else self.channels

    @property
    def positions(self) -> int:
        return self.height * self.width

    @property
    def total(self) -> int:
        """N, the maps of all regions."""
        return self.regions * self.channels


_STAGE_3 = Shape(64, 1024, 14, 14, 12, 4, 64, "ResNet-50 stage 3")
SHAPES = {
    "S1": Shape(64, 512, 7, 7, 12, 4, 64, "ResNet-18/34 last stage, BP4D"),
    "S2": Shape(64, 2048, 7, 7, 12, 4, 64, "ResNet-50 last stage, BP4D"),
    "S3": _STAGE_3,
    "S4": Shape(32, 256, 28, 28, 8, 4, 64, "fine maps, DISFA"),
    "S5": Shape(256, 2048, 14, 14, 12, 8, 64, "large; GPU only"),
    "S6": Shape(1, 512, 1, 20_000, 1, 5, 128, "one bag of 20,000 instances", shared=True, merges=("none",)),
    "S7": _STAGE_3._replace(batch=1, what="a single frame, otherwise S3"),
    "S8": Shape(16, 768, 16, 16, 80, 4, 64, "multi-label classification on ViT tokens"),
}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
CPU_SHAPES = ("S1", "S2", "S3", "S4", "S6", "S7", "S8")
CPU_BATCH = 16  # at most
LONG_CALLS = ("S6", "S8")  # tens to hundreds of milliseconds each
# Rows of the committed tables of the GPU kernels; the GPU report times all shapes.
GPU_SHAPES = ("S1", "S2", "S3", "S4", "S5")


def on_cpu(name: str) -> Shape:
    shape = SHAPES[name]
    return shape._replace(batch=min(shape.batch, CPU_BATCH))


def rounds_at(shape: str, wanted: int) -> int:
    """Long calls are timed less often: they vary less."""
    return math.ceil(wanted / 4) if shape in LONG_CALLS else wanted


def row_name(shape: str, merge: str) -> str:
    """Of a row in a table: the shape, with the merge unless it is the shape's most common one."""
    return shape if merge == SHAPES[shape].merges[0] else f"{shape} {merge}"


def merge_rows(shapes: tuple[str, ...]) -> list[tuple[str, str]]:
    """(shape, merge) of every row of these shapes."""
    return [(shape, merge) for shape in shapes for merge in SHAPES[shape].merges]


def feature_map(
    shape: Shape, channels: int, dtype: torch.dtype, layout: torch.memory_format, draw: torch.Generator
) -> Tensor:
    """As after a ReLU, on the device of the generator."""
    size = (shape.batch, channels, shape.height, shape.width)
    drawn = torch.randn(size, generator=draw, device=draw.device)
    return drawn.relu().to(dtype).contiguous(memory_format=layout)


def inputs(
    shape: Shape,
    dtype: torch.dtype,
    layout: torch.memory_format,
    device: torch.device,
    function: str = "sma_attention",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Tensor arguments of `function`, all requiring a gradient, as in a training step of SMA-Net."""
    draw = torch.Generator(device).manual_seed(seed)  # on the device: 10^8 random numbers would take seconds on the CPU
    total, grid = shape.total, (shape.height, shape.width)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=draw, device=device)

    make = {
        "values": lambda: feature_map(shape, shape.values, dtype, layout, draw),
        "features": lambda: feature_map(shape, shape.groups * shape.embed, dtype, layout, draw),
        "maps": lambda: (
            normal(shape.batch, shape.regions, shape.channels, shape.positions)
            .softmax(-1)
            .unflatten(-1, grid)
            .to(dtype)
        ),
        "weight": lambda: normal(shape.regions, shape.channels, shape.embed) * shape.embed**-0.5,
        "bias": lambda: torch.zeros(shape.regions, shape.channels, device=device),
        "temperature": lambda: torch.tensor(0.1, device=device),
        "gate": lambda: torch.tensor(0.5, device=device),
        "relation_bias": lambda: torch.zeros(total, total, device=device),
    }
    return {name: make[name]().requires_grad_() for name in TENSORS[function]}


def lower_bound_bytes(shape: Shape, dtype: torch.dtype, pass_name: str) -> int:
    """Bytes that any implementation of `sma_attention` must move: values and features are read once by the forward, and
    again by the backward, which also writes their gradients."""
    elements = shape.batch * shape.positions * (shape.values + shape.groups * shape.embed)
    return elements * dtype.itemsize * {"forward": 1, "backward": 2, "forward+backward": 3}[pass_name]


def lower_bound_operations(shape: Shape, merge: str) -> int:
    """Additions and multiplications of the matrix products that forward and backward of `sma_attention` require. One
    half of a Gram matrix suffices, and the backward could reuse it."""
    total, positions = shape.total, shape.positions
    pooled = total if merge == "none" else shape.regions
    logits = 3 * 2 * total * shape.embed * positions  # and the gradients of features and weight
    pooling = 3 * 2 * pooled * shape.values * positions  # and the gradients of attention and values
    relations = (1 + 2 + 3 * 2) * total**2 * positions  # Gram, refinement; dS, S^T dm', and the Gram's gradient
    return shape.batch * (logits + pooling + relations)
