"""The standard shapes of every speed and memory table."""

from typing import NamedTuple

import torch
from torch import Tensor


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
CPU_BATCH = 16


def on_cpu(name: str) -> Shape:
    return SHAPES[name]._replace(batch=CPU_BATCH)


def inputs(shape: Shape, dtype: torch.dtype, layout: torch.memory_format, device="cpu") -> dict[str, Tensor]:
    """Tensor arguments of `sma_attention`, all requiring a gradient, as a training step of SMA-Net has them."""
    draw = torch.Generator().manual_seed(0)
    total, grid = shape.regions * shape.channels, (shape.side, shape.side)

    def normal(*size):
        return torch.randn(*size, generator=draw)

    tensors = {
        "values": normal(shape.batch, shape.values, *grid).to(dtype).contiguous(memory_format=layout),
        "features": normal(shape.batch, shape.channels * shape.embed, *grid)
        .relu()
        .to(dtype)
        .contiguous(memory_format=layout),
        "weight": normal(shape.regions, shape.channels, shape.embed) * shape.embed**-0.5,
        "bias": torch.zeros(shape.regions, shape.channels),
        "temperature": torch.tensor(0.1),
        "gate": torch.tensor(0.5),
        "relation_bias": torch.zeros(total, total),
    }
    return {name: tensor.to(device).requires_grad_() for name, tensor in tensors.items()}


def floor_bytes(shape: Shape, dtype: torch.dtype, backward: bool) -> int:
    """Bytes that any implementation must move: values and features read once forward; read again and their gradients
    written backward."""
    elements = shape.batch * shape.side**2 * (shape.values + shape.channels * shape.embed)
    return elements * dtype.itemsize * (3 if backward else 1)
