"""Entry points: the launches of a forward and of a backward. See the table in __init__.py."""

import torch
from torch import Tensor

from sma_kernels.args import (
    AttentionArgs,
    GradInputs,
    GradOutputs,
    Outputs,
    Saved,
    allocate_grad_inputs,
    allocate_outputs,
)
from sma_kernels.triton_kernels.blocked import launch as blocked
from sma_kernels.triton_kernels.blocked.plan import blocked_plan
from sma_kernels.triton_kernels.call import (
    AttentionPartials,
    Call,
    FeatureMap,
    Launcher,
    absent_map,
    constants,
    contiguous,
    device_guard,
    feature_map,
    is_dense,
)
from sma_kernels.triton_kernels.chunks import add_parts_kernel, finish_pooling_kernel
from sma_kernels.triton_kernels.fused import launch as fused
from sma_kernels.triton_kernels.kernel_args import GradSource, MapGrads, ParamGrads, ParamOffsets, ValueGrads
from sma_kernels.triton_kernels.plan import (
    BackwardPlan,
    Launch,
    Sizes,
    backward_plan,
    chunk_count,
    columns_launch,
    forward_plan,
    padded,
    pool_launch,
)
from sma_kernels.triton_kernels.pool import blocked_value_gradient_kernel, pool_kernel, value_gradients_kernel
from sma_kernels.triton_kernels.reduce import reduce_kernel

PARAMETERS = ("weight", "bias", "relation_bias", "temperature", "gate")
DEVICE = Launcher()


def forward(args: AttentionArgs, launcher: Launcher = DEVICE) -> Outputs:
    call, out = Call(args, launcher), allocate_outputs(args)
    sizes = call.sizes
    values = feature_map(args.values) if args.values is not None else absent_map(sizes)
    with device_guard(args.grid):
        if sizes.forward_fits:
            plan = forward_plan(sizes)
            fused.forward_maps(call, out, values, plan)
            pool = plan.pool
        elif sizes.divided and sizes.C:
            _forward_in_chunks(call, out, values, pool_launch(sizes))
            pool = None
        else:
            blocked.forward_maps(call, out)
            pool = pool_launch(sizes) if sizes.C else None
        if pool is not None:
            _pool(call, out, values, pool)
    return out


def _forward_in_chunks(call: Call, out: Outputs, values: FeatureMap, pool: Launch) -> None:
    """Pooled vectors and sums of A from those of chunks of positions."""
    sizes = call.sizes
    chunks = chunk_count(sizes.L, pool.tiles["CHUNK_L"])
    sum_chunks = chunk_count(sizes.L, blocked_plan(sizes).attention_l)
    pooled = call.scratch(sizes.batch, chunks, sizes.A, sizes.C)
    attention_sum = call.scratch(sizes.batch, sum_chunks, sizes.A)
    partial = out._replace(pooled=pooled, attention_sum=attention_sum)
    blocked.forward_maps(call, partial)
    _pool(call, partial, values, pool)
    launch = columns_launch(sizes.batch, chunks, sizes.C)
    call.launcher(
        finish_pooling_kernel,
        (sizes.batch, sizes.A, launch.grid[1]),
        out.pooled,
        out.attention_sum,
        pooled,
        attention_sum,
        sizes.C,
        chunks,
        sum_chunks,
        A=sizes.A,
        SUM_CHUNKS=padded(sum_chunks),
        **launch.tiles,
        num_warps=launch.warps,
    )


def _pool(call: Call, out: Outputs, values: FeatureMap, launch: Launch) -> None:
    call.launcher(
        pool_kernel,
        launch.grid,
        out.pooled,
        out.attention if out.attention is not None else call.inputs.maps,
        out.attention_sum,
        values.dense,
        call.inputs.mask,
        call.sizes.C,
        call.sizes.L,
        X=values.layout,
        POOL=call.pool_tile(launch),
        num_warps=launch.warps,
        num_stages=launch.stages,
    )


def param_offsets(sizes: Sizes, needed: list[bool]) -> ParamOffsets:
    """`needed` in the order of PARAMETERS."""
    lengths = (sizes.N * sizes.D, sizes.N, sizes.N * sizes.N, 1, 1)
    offsets, numel = [], 0
    for length, need in zip(lengths, needed, strict=True):
        offsets.append(numel if need else -1)
        numel += length if need else 0
    return ParamOffsets(*offsets, numel)


class _Target:
    """A gradient and the tensor that a kernel writes for it, which differ if the gradient is not dense."""

    def __init__(self, gradient: Tensor | None, dense: bool):
        self.gradient = gradient
        self.written = (
            gradient if gradient is None or dense else torch.empty_like(gradient, memory_format=torch.contiguous_format)
        )

    def as_map(self, absent: FeatureMap) -> FeatureMap:
        return feature_map(self.written) if self.written is not None else absent

    def finish(self) -> None:
        if self.written is not self.gradient:
            self.gradient.copy_(self.written)


def _targets(gradients: GradInputs) -> dict[str, _Target]:
    return {
        name: _Target(
            gradient,
            gradient is None or (is_dense(gradient) if name in ("values", "features") else gradient.is_contiguous()),
        )
        for name, gradient in gradients._asdict().items()
    }


def backward(
    args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool], launcher: Launcher = DEVICE
) -> GradInputs:
    call, gradients = Call(args, launcher), allocate_grad_inputs(args, needs)
    targets = _targets(gradients)
    sizes = call.sizes
    parameters = ParamGrads(*(targets[name].written for name in PARAMETERS))
    offsets = param_offsets(sizes, [written is not None for written in parameters])
    plan = backward_plan(sizes, max(1, offsets.NUMEL))
    needs_maps = any(targets[name].written is not None for name in (*PARAMETERS, "features", "maps"))
    with device_guard(args.grid):
        partials = AttentionPartials()
        if grad_outputs.pooled is not None:
            partials = _values(call, saved, grad_outputs.pooled, targets["values"], plan, needs_maps)
        elif targets["values"].written is not None:
            targets["values"].written.zero_()
        if needs_maps:
            chunks = 1 if sizes.backward_fits else chunk_count(sizes.L, blocked_plan(sizes).gradients_l)
            partial = call.scratch(sizes.batch * chunks, offsets.NUMEL) if offsets.NUMEL else None
            _maps(call, saved, grad_outputs, targets, partial, partials, offsets, plan)
            if partial is not None:
                _parameters(call, parameters, partial, offsets, plan.parameters)
        for target in targets.values():
            target.finish()
    return gradients


def _values(
    call: Call, saved: Saved, grad_pooled: Tensor, target: _Target, plan: BackwardPlan, needs_maps: bool
) -> AttentionPartials:
    """Writes the gradient of the values; returns each slice's partial gradient of A, if anything needs it."""
    args, sizes = call.args, call.sizes
    values = feature_map(args.values)
    dx = target.as_map(values)
    partials = AttentionPartials()
    if needs_maps:
        count = plan.slices * plan.values.grid[2]
        partials = AttentionPartials(
            call.scratch(sizes.batch, plan.slices, sizes.A, sizes.L),
            call.scratch(sizes.batch, count, sizes.A),
            plan.slices,
            count,
        )
    elif target.written is None:
        return partials
    attention = saved.attention if saved.attention is not None else call.inputs.maps
    pooling = (grad_pooled.contiguous(), attention, saved.attention_sum)
    in_blocks = plan.values_blocked
    if in_blocks is None or partials.attention is not None:
        written = target.written if in_blocks is None else None
        call.launcher(
            value_gradients_kernel,
            plan.values.grid,
            ValueGrads(written, partials.attention, partials.delta, dx.batch_stride, dx.row_stride),
            *pooling,
            values.dense,
            call.inputs.mask,
            sizes.C,
            sizes.L,
            plan.slices,
            X=values.layout,
            DX=dx.layout,
            POOL=call.pool_tile(plan.values),
            num_warps=plan.values.warps,
            num_stages=plan.values.stages,
        )
    if sizes.divided and partials.delta is not None:
        partials = _add_deltas(call, partials)
    if in_blocks is not None and target.written is not None:
        call.launcher(
            blocked_value_gradient_kernel,
            in_blocks.grid,
            dx.dense,
            *pooling,
            call.inputs.mask,
            sizes.C,
            sizes.L,
            DX=dx.layout,
            POOL=call.pool_tile(in_blocks),
            num_warps=in_blocks.warps,
            num_stages=in_blocks.stages,
        )
    return partials


def _add_deltas(call: Call, partials: AttentionPartials) -> AttentionPartials:
    """Of many chunks: every tile of maps reads their sum."""
    sizes = call.sizes
    delta = call.scratch(sizes.batch, 1, sizes.A)
    launch = columns_launch(sizes.batch, partials.partials, sizes.A)
    call.launcher(
        add_parts_kernel,
        launch.grid,
        delta,
        partials.delta,
        partials.partials,
        COLUMNS=sizes.A,
        **launch.tiles,
        num_warps=launch.warps,
    )
    return partials._replace(delta=delta, partials=1)


def _maps(
    call: Call,
    saved: Saved,
    grad_outputs: GradOutputs,
    targets: dict[str, _Target],
    partial: Tensor | None,
    partials: AttentionPartials,
    offsets: ParamOffsets,
    plan: BackwardPlan,
) -> None:
    """Writes the gradients of features or maps, and the partial sums of the parameter gradients of each sample or chunk."""
    df = targets["features"].as_map(absent_map(call.sizes))
    written = targets["features"].written, targets["maps"].written
    outputs = MapGrads(*written, partial, df.batch_stride, df.row_stride)
    grads = GradSource(
        contiguous(grad_outputs.attention),
        partials.attention,
        partials.delta,
        contiguous(grad_outputs.maps),
        saved.winner,
        partials.slices,
        partials.partials,
    )
    if call.sizes.backward_fits:
        fused.backward_maps(call, saved, grad_outputs, grads, outputs, df, offsets, plan.maps)
    else:
        blocked.backward_maps(call, saved, grad_outputs, grads, outputs, df, offsets)


def _parameters(call: Call, outputs: ParamGrads, partial: Tensor, offsets: ParamOffsets, launch: Launch) -> None:
    call.launcher(
        reduce_kernel,
        launch.grid,
        outputs,
        partial,
        partial.shape[0],
        N=call.sizes.N,
        D=call.sizes.D,
        OFFSETS=constants(offsets),
        **launch.tiles,
        num_warps=launch.warps,
    )
