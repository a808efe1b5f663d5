"""The standard shapes of all benchmark tables."""

from typing import NamedTuple

import torch
from torch import Tensor

from tests.helpers.cases import TENSORS


class Shape(NamedTuple):
    """Sizes of one call: B samples, C values, R regions of K channels with D features each, side x side positions."""

    batch: int
    values: int
    side: int
    regions: int
    channels: int
    embed: int
    what: str


SHAPES = {
    "S1": Shape(64, 512, 7, 12, 4, 64, "ResNet-18/34 last stage, BP4D"),
    "S2": Shape(64, 2048, 7, 12, 4, 64, "ResNet-50 last stage, BP4D"),
    "S3": Shape(64, 1024, 14, 12, 4, 64, "ResNet-50 stage 3"),
    "S4": Shape(32, 256, 28, 8, 4, 64, "fine maps, DISFA"),
    "S5": Shape(256, 2048, 14, 12, 8, 64, "large; GPU only"),
}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
CPU_SHAPES = ("S1", "S2", "S3", "S4")
CPU_BATCH = 16


def on_cpu(name: str) -> Shape:
    return SHAPES[name]._replace(batch=CPU_BATCH)


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
    total, grid = shape.regions * shape.channels, (shape.side, shape.side)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=draw, device=device)

    def feature_map(channels: int) -> Tensor:
        return normal(shape.batch, channels, *grid).relu().to(dtype).contiguous(memory_format=layout)

    make = {
        "values": lambda: feature_map(shape.values),
        "features": lambda: feature_map(shape.channels * shape.embed),
        "maps": lambda: (
            normal(shape.batch, shape.regions, shape.channels, shape.side**2).softmax(-1).unflatten(-1, grid).to(dtype)
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
    elements = shape.batch * shape.side**2 * (shape.values + shape.channels * shape.embed)
    return elements * dtype.itemsize * {"forward": 1, "backward": 2, "forward+backward": 3}[pass_name]


def lower_bound_operations(shape: Shape) -> int:
    """Additions and multiplications of the matrix products that forward and backward of `sma_attention` require. One
    half of a Gram matrix suffices, and the backward could reuse it."""
    total, positions = shape.regions * shape.channels, shape.side**2
    logits = 3 * 2 * total * shape.embed * positions  # and the gradients of features and weight
    pooling = 3 * 2 * shape.regions * shape.values * positions  # and the gradients of attention and values
    relations = (1 + 2 + 3 * 2) * total**2 * positions  # Gram, refinement; dS, S^T dm', and the Gram's gradient
    return shape.batch * (logits + pooling + relations)
