"""Forward, backward, or both, of an implementation, as calls for timing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines import Implementation, Tensors


@dataclass(frozen=True)
class Timed:
    """`run` takes the result of `prepare`, which is not timed, and returns the results."""

    run: Callable[[Any], list[Tensor]]
    prepare: Callable[[], Any] = lambda: None

    def __call__(self) -> list[Tensor]:
        return self.run(self.prepare())


def _gradients(outputs: tuple[Tensor, ...], tensors: Tensors, cotangents: list[Tensor]) -> list[Tensor]:
    """As `torch.autograd.grad`, without its checks in Python: a training step runs them once, not per head."""
    engine = torch.autograd.Variable._execution_engine
    gradients = engine.run_backward(
        outputs, tuple(cotangents), False, False, tuple(tensors.values()), allow_unreachable=True, accumulate_grad=False
    )
    return [gradient for gradient in gradients if gradient is not None]


def forward(implementation: Implementation, tensors: Tensors) -> Timed:
    def run(_) -> list[Tensor]:
        with torch.no_grad():
            return list(implementation(tensors))

    return Timed(run)


def backward(implementation: Implementation, tensors: Tensors) -> Timed:
    cotangents = [torch.randn_like(out) for out in implementation(tensors)]
    return Timed(lambda outputs: _gradients(outputs, tensors, cotangents), lambda: implementation(tensors))


def forward_backward(implementation: Implementation, tensors: Tensors) -> Timed:
    cotangents = [torch.randn_like(out) for out in implementation(tensors)]

    def run(_) -> list[Tensor]:
        outputs = implementation(tensors)
        return [*outputs, *_gradients(outputs, tensors, cotangents)]

    return Timed(run)


PASSES = {"forward": forward, "backward": backward, "forward+backward": forward_backward}
