"""Launches of the forward: one, or maps and pool."""

from sma_kernels.head import Head, Outputs, allocate_outputs
from sma_kernels.triton_kernels.forward import forward_kernel
from sma_kernels.triton_kernels.launch import (
    absent_map,
    contiguous,
    device_guard,
    feature_map,
    narrow_type,
    precision_of,
    sizes_of,
)
from sma_kernels.triton_kernels.plan import forward_plan
from sma_kernels.triton_kernels.pool import pool_kernel


def forward(head: Head) -> Outputs:
    sizes, out = sizes_of(head), allocate_outputs(head)
    plan, dtype = forward_plan(sizes), head.grid.dtype
    absent = absent_map(sizes.L, sizes.itemsize)
    values = feature_map(head.values) if head.values is not None else absent
    features = feature_map(head.features) if head.features is not None else absent
    shared = {"NARROW": narrow_type(dtype), "PRECISION": precision_of(dtype)}
    with device_guard(head.grid):
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
            **shared,
            num_warps=plan.maps.warps,
            num_stages=plan.maps.stages,
        )
        if plan.pool is not None:
            pool_kernel[plan.pool.grid](
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
                **plan.pool.tiles,
                **shared,
                num_warps=plan.pool.warps,
                num_stages=plan.pool.stages,
            )
    return out
