"""One call of the attention head, as every backend receives it.

The five public operators are the same pipeline with some stages left out:
maps (from features, or given) -> cosine Gram -> diversity, correlation -> refine -> merge -> pool.
A stage runs when its inputs are there: `features` or `maps`, `diversify`, `correlate`, `values`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sma_kernels.reference import wide_dtype


@dataclass(slots=True)
class Head:
    """Inputs and settings. Exactly one of `features` and `maps` is there; absent tensors are None."""

    values: Tensor | None = None  # [B,C,H,W]
    features: Tensor | None = None  # [B,G*D,H,W]
    maps: Tensor | None = None  # [B,R,K,H,W]
    weight: Tensor | None = None  # [R,K,D]
    bias: Tensor | None = None  # [R,K]
    temperature: float = 1.0
    temperature_tensor: Tensor | None = None  # [], used instead of `temperature`
    gate: float = 0.0
    gate_tensor: Tensor | None = None  # [], used instead of `gate`
    relation_bias: Tensor | None = None  # [N,N]
    activation: str = "softmax"
    merge: str = "none"
    margin: float = 0.5
    diversify: bool = False
    correlate: bool = False

    @property
    def grid(self) -> Tensor:
        """The input that tells batch, height, width, dtype and device."""
        tensor = self.features if self.features is not None else self.maps
        assert tensor is not None
        return tensor

    @property
    def regions(self) -> int:
        return self.weight.shape[0] if self.weight is not None else self.grid.shape[1]

    @property
    def channels(self) -> int:
        return self.weight.shape[1] if self.weight is not None else self.grid.shape[2]

    @property
    def writes_attention(self) -> bool:
        """A is an output of its own unless it is the given maps, untouched."""
        return self.correlate or (self.values is not None and self.merge != "none")


class Outputs(NamedTuple):
    """What a forward writes; the last two are kept for the backward. None where the stage is absent."""

    pooled: Tensor | None  # [B,R,C], or [B,R,K,C] with merge "none"
    attention: Tensor | None  # [B,R,H,W] or [B,R,K,H,W]
    maps: Tensor | None  # [B,R,K,H,W], before refinement
    diversity: Tensor | None  # [B], wide dtype
    correlation: Tensor | None  # [B,N,N], wide dtype
    attention_sum: Tensor | None  # [B,R] or [B,R,K], wide dtype, before the floor
    winner: Tensor | None  # [B,R,H,W] uint8: the channel that the max took


class Saved(NamedTuple):
    """Forward results that a backward reads."""

    attention: Tensor | None = None
    maps: Tensor | None = None
    correlation: Tensor | None = None
    attention_sum: Tensor | None = None
    winner: Tensor | None = None


class Cotangents(NamedTuple):
    """Gradients that arrive, one per public output; None costs nothing."""

    pooled: Tensor | None = None
    attention: Tensor | None = None
    maps: Tensor | None = None
    diversity: Tensor | None = None
    correlation: Tensor | None = None


class Gradients(NamedTuple):
    """Gradients that leave, one per tensor input; None where it is not needed."""

    values: Tensor | None = None
    features: Tensor | None = None
    maps: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    temperature: Tensor | None = None
    gate: Tensor | None = None
    relation_bias: Tensor | None = None


def allocate_outputs(head: Head) -> Outputs:
    """Uninitialised outputs of a forward (also the meaning of its fake)."""
    grid, regions, channels = head.grid, head.regions, head.channels
    batch, height, width = grid.shape[0], grid.shape[-2], grid.shape[-1]
    wide = wide_dtype(grid.dtype)
    merged = (regions, channels) if head.merge == "none" else (regions,)
    pools, correlates, total = head.values is not None, head.correlate, regions * channels
    winner_wanted = pools and head.merge == "max"
    return Outputs(
        grid.new_empty(batch, *merged, head.values.shape[1]) if head.values is not None else None,
        grid.new_empty(batch, *merged, height, width) if head.writes_attention else None,
        grid.new_empty(batch, regions, channels, height, width) if head.features is not None else None,
        grid.new_empty(batch, dtype=wide) if head.diversify else None,
        grid.new_empty(batch, total, total, dtype=wide) if correlates else None,
        grid.new_empty(batch, *merged, dtype=wide) if pools else None,
        grid.new_empty(batch, regions, height, width, dtype=torch.uint8) if winner_wanted else None,
    )


def inputs_of(head: Head) -> Gradients:
    """The tensor inputs in the order of `Gradients`."""
    return Gradients(
        head.values,
        head.features,
        head.maps,
        head.weight,
        head.bias,
        head.temperature_tensor,
        head.gate_tensor,
        head.relation_bias,
    )


def allocate_gradients(head: Head, needs: list[bool]) -> Gradients:
    """Uninitialised gradients, in each input's dtype and with the strides of `torch.empty_like` of it."""
    pairs = zip(inputs_of(head), needs, strict=True)
    return Gradients(*(torch.empty_like(t) if t is not None and need else None for t, need in pairs))
