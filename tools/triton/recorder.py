"""Records the launches of a call without running them: on meta tensors, without a GPU or a driver."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import triton.language as tl

from benchmarks.shapes import Shape
from sma_kernels.args import GRAD_OF, AttentionArgs, GradOutputs, Saved, allocate_outputs
from sma_kernels.triton_kernels import launch
from sma_kernels.triton_kernels.call import Launcher


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        for name, member in zip(value._fields, value, strict=True):
            yield from _flat(f"{prefix}.{name}", member)
    else:
        yield prefix, value.value if isinstance(value, tl.constexpr) else value


@dataclass(frozen=True)
class RecordedLaunch:
    """One launch: the kernel, its grid, its arguments by parameter, and the compiler's options."""

    kernel: Callable
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, int]

    def flat(self) -> dict[str, Any]:
        """Members of records by their path, as in "inputs.features"; other arguments by their name."""
        return {path: leaf for name, value in self.arguments.items() for path, leaf in _flat(name, value)}

    def sizes(self) -> dict[str, Any]:
        """Compile-time arguments by their own names: tiles, and settings such as SINGLE."""
        return {
            path.rpartition(".")[2]: leaf for path, leaf in self.flat().items() if path.rpartition(".")[2].isupper()
        }


@dataclass
class Recorder(Launcher):
    """Lists the launches for an NVIDIA or an AMD device."""

    amd: bool = False
    launches: list[RecordedLaunch] = field(default_factory=list)

    def __call__(self, kernel, grid, *arguments, **options):
        compiler = {name: options.pop(name) for name in ("num_warps", "num_stages") if name in options}
        names = kernel.arg_names
        by_name = {**dict(zip(names, arguments, strict=False)), **options}
        self.launches.append(RecordedLaunch(kernel, grid, {name: by_name[name] for name in names}, compiler))


def attention_head(
    shape: Shape, dtype: torch.dtype, merge: str, channels_last: bool, activation="softmax"
) -> AttentionArgs:
    """A call of `sma_attention` as by `SMAAttention`, on meta tensors."""
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def map_of(channels: int) -> torch.Tensor:
        size = (shape.batch, channels, shape.height, shape.width)
        return torch.empty(size, dtype=dtype, device="meta").contiguous(memory_format=layout)

    def parameter(*size: int) -> torch.Tensor:
        return torch.empty(size, device="meta")

    return AttentionArgs(
        values=map_of(shape.values),
        features=map_of(shape.groups * shape.embed),
        weight=parameter(shape.regions, shape.channels, shape.embed),
        bias=parameter(shape.regions, shape.channels),
        temperature_tensor=parameter(),
        gate_tensor=parameter(),
        relation_bias=parameter(shape.total, shape.total),
        activation=activation,
        merge=merge,
        diversify=True,
        correlate=True,
    )


def forward_launches(args: AttentionArgs, amd: bool = False) -> list[RecordedLaunch]:
    recorder = Recorder(amd)
    launch.forward(args, recorder)
    return recorder.launches


def backward_launches(args: AttentionArgs, amd: bool = False) -> list[RecordedLaunch]:
    """Launches of a backward for every input, with gradients of pooled vectors and diversity, as in training."""
    out = allocate_outputs(args)
    saved = Saved(**{name: getattr(out, name) for name in Saved._fields})
    grad_outputs = GradOutputs(pooled=out.pooled, diversity=out.diversity)
    needs = [getattr(args, name) is not None for name in GRAD_OF]
    recorder = Recorder(amd)
    launch.backward(args, saved, grad_outputs, needs, recorder)
    return recorder.launches
