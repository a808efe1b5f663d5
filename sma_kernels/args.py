"""The record of one call: the public functions build it once, and every layer down to the backends passes it on.

The five public operators are the same pipeline with some stages left out:
maps (from features, or as input) -> cosine Gram -> diversity, correlation -> refine -> merge -> pool.
A stage runs when its inputs are present: `features` or `maps`, `diversify`, `correlate`, `values`.
"""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor


def accum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which sums are accumulated for inputs of `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def split_scalar(scalar: float | Tensor) -> tuple[float, Tensor | None]:
    """The record's pair of fields for an argument that is a float or a 0-d tensor."""
    return (0.0, scalar) if isinstance(scalar, Tensor) else (scalar, None)


@dataclass(slots=True)
class AttentionArgs:
    """Inputs and settings, in the order of the private operators' schema. Exactly one of `features` and `maps` is
    present; absent tensors are None."""

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
    mask: Tensor | None = None  # [B,H,W], bool
    activation: str = "softmax"
    merge: str = "none"
    margin: float = 0.5
    diversify: bool = False
    correlate: bool = False

    @property
    def grid(self) -> Tensor:
        """The input that defines batch, height, width, dtype and device."""
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
    def temperature_value(self) -> float | Tensor:
        return self.temperature if self.temperature_tensor is None else self.temperature_tensor

    @property
    def gate_value(self) -> float | Tensor:
        return self.gate if self.gate_tensor is None else self.gate_tensor

    @property
    def writes_attention(self) -> bool:
        """Whether the attention A is a separate output; otherwise it is the input maps, unchanged."""
        return self.correlate or (self.values is not None and self.merge != "none")


class Outputs(NamedTuple):
    """Results of a forward; None if the stage is absent. Only the backward reads the last two."""

    pooled: Tensor | None  # [B,R,C], or [B,R,K,C] with merge "none"
    attention: Tensor | None  # [B,R,H,W] or [B,R,K,H,W]
    maps: Tensor | None  # [B,R,K,H,W], before refinement
    diversity: Tensor | None  # [B], accumulation dtype
    correlation: Tensor | None  # [B,N,N], accumulation dtype
    attention_sum: Tensor | None  # [B,R] or [B,R,K], accumulation dtype, before the floor
    winner: Tensor | None  # [B,R,H,W] uint8: the channel of the maximum


class Saved(NamedTuple):
    """Forward results that a backward reads."""

    attention: Tensor | None = None
    maps: Tensor | None = None
    correlation: Tensor | None = None
    attention_sum: Tensor | None = None
    winner: Tensor | None = None


class GradOutputs(NamedTuple):
    """Gradients with respect to the public outputs; those that are None are skipped."""

    pooled: Tensor | None = None
    attention: Tensor | None = None
    maps: Tensor | None = None
    diversity: Tensor | None = None
    correlation: Tensor | None = None


class GradInputs(NamedTuple):
    """Gradients with respect to the tensor inputs; None if not needed."""

    values: Tensor | None = None
    features: Tensor | None = None
    maps: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    temperature: Tensor | None = None
    gate: Tensor | None = None
    relation_bias: Tensor | None = None


TENSOR_FIELDS = tuple(field.name for field in fields(AttentionArgs) if field.type == Tensor | None)
GRAD_OF = dict(zip(TENSOR_FIELDS, GradInputs._fields, strict=False))  # the mask, which is last, has no gradient
flatten = attrgetter(*(field.name for field in fields(AttentionArgs)))  # the flat arguments of a private operator
tensors_of = attrgetter(*TENSOR_FIELDS)


def inputs_by_name(args: AttentionArgs) -> dict[str, Tensor | None]:
    """The tensor inputs by the names of the public arguments."""
    return {GRAD_OF.get(field, field): getattr(args, field) for field in TENSOR_FIELDS}


def allocate_outputs(args: AttentionArgs) -> Outputs:
    """Uninitialized outputs of a forward; the fakes of the operators return them, too."""
    grid, regions, channels = args.grid, args.regions, args.channels
    batch, height, width = grid.shape[0], grid.shape[-2], grid.shape[-1]
    accum = accum_dtype(grid.dtype)
    merged = (regions, channels) if args.merge == "none" else (regions,)
    pools, correlates, total = args.values is not None, args.correlate, regions * channels
    takes_max = pools and args.merge == "max"
    return Outputs(
        grid.new_empty(batch, *merged, args.values.shape[1]) if args.values is not None else None,
        grid.new_empty(batch, *merged, height, width) if args.writes_attention else None,
        grid.new_empty(batch, regions, channels, height, width) if args.features is not None else None,
        grid.new_empty(batch, dtype=accum) if args.diversify else None,
        grid.new_empty(batch, total, total, dtype=accum) if correlates else None,
        grid.new_empty(batch, *merged, dtype=accum) if pools else None,
        grid.new_empty(batch, regions, height, width, dtype=torch.uint8) if takes_max else None,
    )


def allocate_grad_inputs(args: AttentionArgs, needs: list[bool]) -> GradInputs:
    """Uninitialized gradients, in each input's dtype and with the strides of `torch.empty_like` of it."""
    inputs = (getattr(args, field) for field in GRAD_OF)
    pairs = zip(inputs, needs, strict=True)
    return GradInputs(*(torch.empty_like(t) if t is not None and need else None for t, need in pairs))
