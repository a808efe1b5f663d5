"""Launches of the forward: one, or maps and pool."""

from sma_kernels.args import AttentionArgs as Head
from sma_kernels.args import Outputs, allocate_outputs
from sma_kernels.triton_kernels import launch_staged
from sma_kernels.triton_kernels.forward import forward_kernel
from sma_kernels.triton_kernels.launch import (
    FeatureMap,
    absent_map,
    contiguous,
    device_guard,
    feature_map,
    narrow_type,
    precision_of,
    sizes_of,
)
from sma_kernels.triton_kernels.plan import ForwardPlan, Launch, Sizes, forward_plan, pool_launch
from sma_kernels.triton_kernels.pool import pool_kernel


def forward(head: Head) -> Outputs:
    sizes, out = sizes_of(head), allocate_outputs(head)
    absent = absent_map(sizes.L, sizes.itemsize)
    values = feature_map(head.values) if head.values is not None else absent
    features = feature_map(head.features) if head.features is not None else absent
    with device_guard(head.grid):
        if sizes.forward_fits:
            plan = forward_plan(sizes)
            _maps(head, out, values, features, sizes, plan)
            pool = plan.pool
        else:
            launch_staged.forward_maps(head, out, features, sizes)
            pool = pool_launch(sizes) if sizes.C else None
        if pool is not None:
            _pool(head, out, values, sizes, pool)
    return out


def _maps(head: Head, out: Outputs, values: FeatureMap, features: FeatureMap, sizes: Sizes, plan: ForwardPlan) -> None:
    forward_kernel[plan.maps.grid](
        out.pooled if plan.pools else None,
        out.attention,
        out.maps,
        out.diversity,
        out.correlation,
        out.attention_sum,
        out.winner,
        values.tensor if plan.pools else None,
        features.tensor if head.features is not None else None,
        contiguous(head.maps),
        contiguous(head.weight),
        contiguous(head.bias),
        contiguous(head.relation_bias),
        head.temperature_tensor,
        head.gate_tensor,
        head.temperature,
        head.gate,
        head.margin,
        values.batch,
        values.stride,
        features.batch,
        features.stride,
        sizes.C,
        sizes.L,
        X_LAST=values.last,
        X_VEC=values.vec,
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
        SINGLE=plan.single,
        **plan.maps.tiles,
        NARROW=narrow_type(head.grid.dtype),
        PRECISION=precision_of(head.grid.dtype),
        num_warps=plan.maps.warps,
        num_stages=plan.maps.stages,
    )


def _pool(head: Head, out: Outputs, values: FeatureMap, sizes: Sizes, launch: Launch) -> None:
    pool_kernel[launch.grid](
        out.pooled,
        out.attention if out.attention is not None else contiguous(head.maps),
        out.attention_sum,
        values.tensor,
        values.batch,
        values.stride,
        sizes.C,
        sizes.L,
        X_LAST=values.last,
        X_VEC=values.vec,
        A=sizes.A,
        **launch.tiles,
        NARROW=narrow_type(head.grid.dtype),
        PRECISION=precision_of(head.grid.dtype),
        num_warps=launch.warps,
        num_stages=launch.stages,
    )
