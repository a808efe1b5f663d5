"""What the launchers would launch for a call, found on tensors without memory: no GPU, no driver, no numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from triton.runtime.jit import JITFunction

from sma_kernels.head import Cotangents, Head, Saved, allocate_outputs, inputs_of
from sma_kernels.triton_kernels import launch, launch_backward, launch_forward, launch_staged

_MODULES = (launch_forward, launch_backward, launch_staged)


@dataclass(frozen=True)
class RecordedLaunch:
    """One launch: the kernel, its grid, its arguments by name, and the compiler's options."""

    kernel: JITFunction
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, int]


class _Recorder:
    def __init__(self, kernel: JITFunction, into: list[RecordedLaunch]):
        self.kernel, self.into = kernel, into

    def __getitem__(self, grid):
        def record(*args, **kwargs):
            options = {name: kwargs.pop(name) for name in ("num_warps", "num_stages") if name in kwargs}
            names = self.kernel.arg_names
            arguments = {**dict(zip(names, args, strict=False)), **kwargs}
            self.into.append(RecordedLaunch(self.kernel, grid, {name: arguments[name] for name in names}, options))

        return record


@contextmanager
def recording(amd: bool = False) -> Iterator[list[RecordedLaunch]]:
    """Launches made inside are listed instead, as an NVIDIA or an AMD device would get them."""
    into: list[RecordedLaunch] = []
    kept = [(launch, "on_amd", launch.on_amd)]
    launch.on_amd = lambda: amd
    for module in _MODULES:
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                kept.append((module, name, value))
                setattr(module, name, _Recorder(value, into))
    try:
        yield into
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


@dataclass(frozen=True)
class Shape:
    """One row of the table of standard shapes."""

    batch: int
    C: int
    side: int
    R: int
    K: int
    D: int = 64


SHAPES = {
    "S1": Shape(64, 512, 7, 12, 4),
    "S2": Shape(64, 2048, 7, 12, 4),
    "S3": Shape(64, 1024, 14, 12, 4),
    "S4": Shape(32, 256, 28, 8, 4),
    "S5": Shape(256, 2048, 14, 12, 8),
}


def attention_head(shape: Shape, dtype: torch.dtype, merge: str, channels_last: bool, activation="softmax") -> Head:
    """A call of `sma_attention` as `SMAAttention` makes it, without memory."""
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def map_of(channels: int) -> torch.Tensor:
        size = (shape.batch, channels, shape.side, shape.side)
        return torch.empty(size, dtype=dtype, device="meta").contiguous(memory_format=layout)

    def parameter(*size: int) -> torch.Tensor:
        return torch.empty(size, device="meta")

    total = shape.R * shape.K
    return Head(
        values=map_of(shape.C),
        features=map_of(shape.K * shape.D),
        weight=parameter(shape.R, shape.K, shape.D),
        bias=parameter(shape.R, shape.K),
        temperature_tensor=parameter(),
        gate_tensor=parameter(),
        relation_bias=parameter(total, total),
        activation=activation,
        merge=merge,
        diversify=True,
        correlate=True,
    )


def forward_launches(head: Head, amd: bool = False) -> list[RecordedLaunch]:
    with recording(amd) as found:
        launch_forward.forward(head)
    return found


def backward_launches(head: Head, amd: bool = False) -> list[RecordedLaunch]:
    """With gradients arriving at pooled vectors and diversity, as in training, and leaving to every input."""
    out = allocate_outputs(head)
    saved = Saved(**{name: getattr(out, name) for name in Saved._fields})
    cotangents = Cotangents(pooled=out.pooled, diversity=out.diversity)
    needs = [tensor is not None for tensor in inputs_of(head)]
    with recording(amd) as found:
        launch_backward.backward(head, saved, cotangents, needs)
    return found
