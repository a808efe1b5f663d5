"""A peer's forward, backward, or both, as calls that can be timed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines import Peer, Tensors


@dataclass(frozen=True)
class Timed:
    """`run` takes what `prepare` made, which is not timed, and returns the results."""

    run: Callable[[Any], list[Tensor]]
    prepare: Callable[[], Any] = lambda: None

    def __call__(self) -> list[Tensor]:
        return self.run(self.prepare())


def _gradients(outputs: tuple[Tensor, ...], tensors: Tensors, cotangents: list[Tensor]) -> list[Tensor]:
    """As `torch.autograd.grad`, whose checks in Python a training step makes once, of the loss, not for every head."""
    engine = torch.autograd.Variable._execution_engine
    found = engine.run_backward(
        outputs, tuple(cotangents), False, False, tuple(tensors.values()), allow_unreachable=True, accumulate_grad=False
    )
    return [gradient for gradient in found if gradient is not None]


def forward(peer: Peer, tensors: Tensors) -> Timed:
    def run(_) -> list[Tensor]:
        with torch.no_grad():
            return list(peer(tensors))

    return Timed(run)


def backward(peer: Peer, tensors: Tensors) -> Timed:
    cotangents = [torch.randn_like(out) for out in peer(tensors)]
    return Timed(lambda outputs: _gradients(outputs, tensors, cotangents), lambda: peer(tensors))


def forward_backward(peer: Peer, tensors: Tensors) -> Timed:
    cotangents = [torch.randn_like(out) for out in peer(tensors)]

    def run(_) -> list[Tensor]:
        outputs = peer(tensors)
        return [*outputs, *_gradients(outputs, tensors, cotangents)]

    return Timed(run)


DIRECTIONS = {"forward": forward, "backward": backward, "forward+backward": forward_backward}
