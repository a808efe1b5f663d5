"""Launches of the backward: gradients of the values, of everything else, and the sum over samples."""

import torch
from torch import Tensor

from sma_kernels.args import AttentionArgs as Head
from sma_kernels.args import GradInputs as Gradients
from sma_kernels.args import GradOutputs as Cotangents
from sma_kernels.args import Saved
from sma_kernels.args import allocate_grad_inputs as allocate_gradients
from sma_kernels.triton_kernels import launch_staged
from sma_kernels.triton_kernels.backward import backward_kernel
from sma_kernels.triton_kernels.launch import (
    AttentionShares,
    FeatureMap,
    absent_map,
    contiguous,
    device_guard,
    feature_map,
    is_dense,
    narrow_type,
    precision_of,
    sizes_of,
)
from sma_kernels.triton_kernels.plan import BackwardPlan, Sizes, backward_plan
from sma_kernels.triton_kernels.pool import staged_value_gradient_kernel, value_gradients_kernel
from sma_kernels.triton_kernels.reduce import reduce_kernel

PARAMETERS = ("weight", "bias", "relation_bias", "temperature", "gate")


def share_offsets(sizes: Sizes, wanted: list[bool]) -> tuple[dict[str, int], int]:
    """Where each parameter's gradient starts in a sample's share (-1: not needed), and the length of the share."""
    names = ("AT_WEIGHT", "AT_BIAS", "AT_RELATION", "AT_TEMPERATURE", "AT_GATE")
    lengths = (sizes.N * sizes.D, sizes.N, sizes.N * sizes.N, 1, 1)
    offsets, total = {}, 0
    for name, length, want in zip(names, lengths, wanted, strict=True):
        offsets[name] = total if want else -1
        total += length if want else 0
    return offsets, total


class _Target:
    """A gradient and the tensor that a kernel writes for it, which differ where the gradient is not dense."""

    def __init__(self, gradient: Tensor | None, dense: bool):
        self.gradient = gradient
        self.written = (
            gradient if gradient is None or dense else torch.empty_like(gradient, memory_format=torch.contiguous_format)
        )

    def finish(self) -> None:
        if self.written is not self.gradient:
            self.gradient.copy_(self.written)


def _as_map(target: _Target, absent: FeatureMap) -> FeatureMap:
    return feature_map(target.written) if target.written is not None else absent


def backward(head: Head, saved: Saved, cotangents: Cotangents, needs: list[bool]) -> Gradients:
    gradients = allocate_gradients(head, needs)
    targets = {
        name: _Target(
            gradient,
            gradient is None or (is_dense(gradient) if name in ("values", "features") else gradient.is_contiguous()),
        )
        for name, gradient in gradients._asdict().items()
    }
    sizes = sizes_of(head)
    wanted = [targets[name].written is not None for name in PARAMETERS]
    offsets, total = share_offsets(sizes, wanted)
    plan = backward_plan(sizes, max(1, total))
    goes_on = any(targets[name].written is not None for name in (*PARAMETERS, "features", "maps"))
    with device_guard(head.grid):
        shares = AttentionShares()
        if cotangents.pooled is not None:
            shares = _values(head, saved, cotangents.pooled, targets["values"], plan, sizes, goes_on)
        elif targets["values"].written is not None:
            targets["values"].written.zero_()
        if goes_on:
            partial = head.grid.new_empty(sizes.batch, total, dtype=torch.float32) if total else None
            _maps(head, saved, cotangents, targets, partial, shares, offsets, total, plan, sizes)
            if partial is not None:
                _parameters(targets, partial, offsets, total, plan, sizes)
        for target in targets.values():
            target.finish()
    return gradients


def _values(
    head: Head,
    saved: Saved,
    grad_pooled: Tensor,
    target: _Target,
    plan: BackwardPlan,
    sizes: Sizes,
    goes_on: bool,
) -> AttentionShares:
    """Writes the gradient of the values; returns each slice's share of the gradient of A, if anything needs it."""
    values = feature_map(head.values)
    gradient = _as_map(target, values)
    shares = AttentionShares()
    if goes_on:
        alongs = plan.slices * plan.values.grid[2]
        shares = AttentionShares(
            head.grid.new_empty(sizes.batch, plan.slices, sizes.A, sizes.L, dtype=torch.float32),
            head.grid.new_empty(sizes.batch, alongs, sizes.A, dtype=torch.float32),
            plan.slices,
            alongs,
        )
    elif target.written is None:
        return shares
    attention = saved.attention if saved.attention is not None else contiguous(head.maps)
    grad_pooled = grad_pooled.contiguous()
    shared = {
        "A": sizes.A,
        "NARROW": narrow_type(head.grid.dtype),
        "PRECISION": precision_of(head.grid.dtype),
    }
    in_one = plan.values_staged is None
    if in_one or shares.attention is not None:
        value_gradients_kernel[plan.values.grid](
            target.written if in_one else None,
            shares.attention,
            shares.along,
            grad_pooled,
            attention,
            saved.attention_sum,
            values.tensor,
            gradient.batch,
            gradient.stride,
            values.batch,
            values.stride,
            sizes.C,
            sizes.L,
            plan.slices,
            G_LAST=gradient.last,
            G_VEC=gradient.vec,
            X_LAST=values.last,
            X_VEC=values.vec,
            **plan.values.tiles,
            **shared,
            num_warps=plan.values.warps,
            num_stages=plan.values.stages,
        )
    if not in_one and target.written is not None:
        staged_value_gradient_kernel[plan.values_staged.grid](
            target.written,
            grad_pooled,
            attention,
            saved.attention_sum,
            gradient.batch,
            gradient.stride,
            sizes.C,
            sizes.L,
            G_LAST=gradient.last,
            G_VEC=gradient.vec,
            **plan.values_staged.tiles,
            **shared,
            num_warps=plan.values_staged.warps,
            num_stages=plan.values_staged.stages,
        )
    return shares


def _maps(
    head: Head,
    saved: Saved,
    cotangents: Cotangents,
    targets: dict[str, _Target],
    partial: Tensor | None,
    shares: AttentionShares,
    offsets: dict[str, int],
    total: int,
    plan: BackwardPlan,
    sizes: Sizes,
) -> None:
    """Writes the gradients of features or maps, and each sample's share of the parameters' gradients."""
    absent = absent_map(sizes.L, sizes.itemsize)
    features = feature_map(head.features) if head.features is not None else absent
    gradient = _as_map(targets["features"], absent)
    if not sizes.backward_fits:
        launch_staged.backward_maps(
            head,
            saved,
            cotangents,
            gradient if gradient is not absent else None,
            targets["maps"].written,
            partial,
            shares,
            offsets,
            features,
            sizes,
        )
        return
    backward_kernel[plan.maps.grid](
        targets["features"].written,
        targets["maps"].written,
        partial,
        contiguous(cotangents.attention),
        shares.attention,
        shares.along,
        contiguous(cotangents.maps),
        contiguous(cotangents.diversity),
        contiguous(cotangents.correlation),
        saved.correlation,
        saved.winner,
        features.tensor if head.features is not None else None,
        contiguous(head.maps),
        contiguous(head.weight),
        contiguous(head.bias),
        head.temperature_tensor,
        head.gate_tensor,
        head.temperature,
        head.gate,
        head.margin,
        gradient.batch,
        gradient.stride,
        features.batch,
        features.stride,
        sizes.L,
        shares.slices,
        shares.alongs,
        G_LAST=gradient.last,
        G_VEC=gradient.vec,
        F_LAST=features.last,
        F_VEC=features.vec,
        R=sizes.R,
        K=sizes.K,
        D=sizes.D,
        G=sizes.G,
        R_PAD=sizes.R_PAD,
        K_PAD=sizes.K_PAD,
        SOFTMAX=head.activation == "softmax",
        MERGE=sizes.merge,
        CORRELATE=head.correlate,
        **offsets,
        TOTAL=total,
        **plan.maps.tiles,
        NARROW=narrow_type(head.grid.dtype),
        PRECISION=precision_of(head.grid.dtype),
        num_warps=plan.maps.warps,
        num_stages=plan.maps.stages,
    )


def _parameters(
    targets: dict[str, _Target],
    partial: Tensor,
    offsets: dict[str, int],
    total: int,
    plan: BackwardPlan,
    sizes: Sizes,
) -> None:
    reduce_kernel[plan.parameters.grid](
        *(targets[name].written for name in PARAMETERS),
        partial,
        sizes.batch,
        N=sizes.N,
        D=sizes.D,
        **offsets,
        TOTAL=total,
        **plan.parameters.tiles,
        num_warps=plan.parameters.warps,
    )
