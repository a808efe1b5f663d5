"""Launches of the fused path, one each for the forward and the backward of the maps."""

from sma_kernels.args import GradOutputs, Outputs, Saved
from sma_kernels.triton_kernels.call import Call, FeatureMap, constants, contiguous
from sma_kernels.triton_kernels.fused.backward import backward_kernel
from sma_kernels.triton_kernels.fused.forward import forward_kernel
from sma_kernels.triton_kernels.kernel_args import ForwardOutputs, GradSource, MapGrads, ParamOffsets
from sma_kernels.triton_kernels.plan import ForwardPlan, Launch


def forward_maps(call: Call, out: Outputs, values: FeatureMap, plan: ForwardPlan) -> None:
    """Writes all outputs except the pooled vectors, which it writes only if the plan pools."""
    tiles = plan.maps.tiles
    call.launcher(
        forward_kernel,
        plan.maps.grid,
        ForwardOutputs(*(out if plan.pools else out._replace(pooled=None))),
        values.dense if plan.pools else values.dense._replace(data=None),
        call.inputs,
        contiguous(call.args.relation_bias),
        call.temperature,
        call.gate,
        call.args.margin,
        call.sizes.C,
        call.sizes.L,
        X=values.layout,
        F=call.features.layout,
        TILE=call.tile(call.sizes.R_PAD, call.sizes.K_PAD, tiles["BLOCK_L"], tiles["BLOCK_D"]),
        SINGLE=plan.single,
        SLICE_C=tiles["SLICE_C"],
        BLOCK_C=tiles["BLOCK_C"],
        num_warps=plan.maps.warps,
        num_stages=plan.maps.stages,
    )


def backward_maps(
    call: Call,
    saved: Saved,
    grad_outputs: GradOutputs,
    grads: GradSource,
    outputs: MapGrads,
    df: FeatureMap,
    offsets: ParamOffsets,
    launch: Launch,
) -> None:
    """Gradients of features, laid out as `df`, or maps, and the partial sums of each sample's parameter gradients."""
    call.launcher(
        backward_kernel,
        launch.grid,
        outputs,
        grads,
        contiguous(grad_outputs.diversity),
        contiguous(grad_outputs.correlation),
        saved.correlation,
        call.inputs,
        call.temperature,
        call.gate,
        call.args.margin,
        call.sizes.L,
        DF=df.layout,
        F=call.features.layout,
        TILE=call.tile(call.sizes.R_PAD, call.sizes.K_PAD, **launch.tiles),
        OFFSETS=constants(offsets),
        CORRELATE=call.args.correlate,
        num_warps=launch.warps,
        num_stages=launch.stages,
    )
