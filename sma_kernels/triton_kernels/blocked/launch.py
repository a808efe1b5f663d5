"""Launches of the blocked path, for more maps or positions than one program holds: slower, with N x N scratch matrices."""

from torch import Tensor

from sma_kernels.args import GradOutputs, Outputs, Saved
from sma_kernels.triton_kernels.blocked.backward import blocked_maps_backward_kernel
from sma_kernels.triton_kernels.blocked.correlation import (
    blocked_correlation_kernel,
    blocked_gram_backward_kernel,
    softmax_rows_kernel,
)
from sma_kernels.triton_kernels.blocked.forward import blocked_attention_kernel, moments_kernel
from sma_kernels.triton_kernels.blocked.plan import BlockedPlan, blocked_plan
from sma_kernels.triton_kernels.call import NO_GRADS, Call, FeatureMap, constants, contiguous
from sma_kernels.triton_kernels.chunks import combine_kernel
from sma_kernels.triton_kernels.kernel_args import ForwardOutputs, GradSource, MapGrads, Moments, ParamOffsets, Tile
from sma_kernels.triton_kernels.plan import ceil_div, chunk_count, columns_launch


def _tile(call: Call, plan: BlockedPlan, chunk_l: int) -> Tile:
    return call.tile(plan.R_PAD, plan.K_PAD, PART_D=plan.part_d, CHUNK_L=chunk_l, **plan.tiles)


def _moments(call: Call, plan: BlockedPlan, outputs: Moments, grads: GradSource = NO_GRADS) -> None:
    """In a second launch, if positions are divided, the sums over chunks become those of samples."""
    sizes = call.sizes
    chunks = chunk_count(sizes.L, plan.moments_l)
    written = outputs if not plan.moments_l else _of_chunks(call, outputs, sizes.batch * chunks)
    call.launcher(
        moments_kernel,
        (sizes.batch * chunks, plan.blocks, plan.blocks if outputs.gram is not None else 1),
        written,
        grads,
        call.inputs,
        sizes.L,
        F=call.features.layout,
        TILE=_tile(call, plan, plan.moments_l),
        num_warps=8,
        num_stages=1,
    )
    if written is not outputs:
        columns = sizes.N if outputs.gram is None else sizes.N * sizes.N
        launch = columns_launch(sizes.batch, chunks, columns)
        call.launcher(
            combine_kernel, launch.grid, outputs, written, chunks, N=sizes.N, **launch.tiles, num_warps=launch.warps
        )


def _of_chunks(call: Call, outputs: Moments, count: int) -> Moments:
    """Scratch for the sums over `count` chunks, where `outputs` has tensors."""
    N = call.sizes.N
    shapes = Moments((N, N), (N, N), (3, N), (N,))
    pairs = zip(outputs, shapes, strict=True)
    return Moments(*(call.scratch(count, *shape) if tensor is not None else None for tensor, shape in pairs))


def forward_maps(call: Call, out: Outputs) -> None:
    """Writes all outputs except the pooled vectors."""
    sizes, plan = call.sizes, blocked_plan(call.sizes)
    batch, N = sizes.batch, sizes.N
    gram = call.scratch(batch, N, N) if call.args.diversify or call.args.correlate else None
    statistics = call.scratch(batch, 2, N) if call.softmax_rows else None
    if gram is not None or statistics is not None:
        _moments(call, plan, Moments(gram, None, statistics, None))
    if gram is not None:
        call.launcher(
            blocked_correlation_kernel,
            (batch,),
            ForwardOutputs(None, None, None, out.diversity, out.correlation, None, None),
            gram,
            contiguous(call.args.relation_bias),
            call.temperature,
            call.args.margin,
            N=N,
            K=sizes.K,
            **plan.matrix,
            num_warps=4,
        )
    if out.attention is None and out.maps is None and out.attention_sum is None:
        return
    call.launcher(
        blocked_attention_kernel,
        (batch * chunk_count(sizes.L, plan.attention_l), plan.blocks if sizes.merge == "none" else plan.region_blocks),
        ForwardOutputs(None, out.attention, out.maps, None, None, out.attention_sum, out.winner),
        call.inputs,
        statistics,
        out.correlation,
        call.gate,
        sizes.L,
        F=call.features.layout,
        TILE=_tile(call, plan, plan.attention_l),
        num_warps=8,
        num_stages=1,
    )


def backward_maps(
    call: Call,
    saved: Saved,
    grad_outputs: GradOutputs,
    grads: GradSource,
    outputs: MapGrads,
    df: FeatureMap,
    offsets: ParamOffsets,
) -> None:
    """Gradients of features, laid out as `df`, or maps, and the partial sums of each chunk's parameter gradients."""
    sizes, plan = call.sizes, blocked_plan(call.sizes)
    batch, N = sizes.batch, sizes.N
    refined = call.args.correlate and (grads.attention is not None or grads.partial_attention is not None)
    scores = refined or grad_outputs.correlation is not None
    needs_gram = scores or grad_outputs.diversity is not None
    statistics = call.scratch(batch, 2, N) if call.softmax_rows else None
    delta = call.scratch(batch, N) if needs_gram or call.args.features is not None else None
    gram = call.scratch(batch, N, N) if needs_gram else None
    products = call.scratch(batch, N, N) if refined else None
    if outputs.partial is not None:
        outputs.partial.zero_()
    if delta is not None:
        _moments(call, plan, Moments(gram, products, statistics, delta), grads)
    q = None
    if needs_gram:
        q = _gram_backward(call, plan, saved, grad_outputs, outputs.partial, gram, products, delta, offsets, scores)
    correlation = saved.correlation if refined else None
    _write_gradients(call, plan, grads, (correlation, q, delta, statistics), outputs, df, offsets)


def _gram_backward(
    call: Call,
    plan: BlockedPlan,
    saved: Saved,
    grad_outputs: GradOutputs,
    partial: Tensor | None,
    gram: Tensor,
    products: Tensor | None,
    delta: Tensor,
    offsets: ParamOffsets,
    scores: bool,
) -> Tensor:
    """Q with dm = Q m; completes `delta`, and writes the gradients of relation bias, temperature and gate."""
    batch, N = call.sizes.batch, call.sizes.N
    grad_correlation = contiguous(grad_outputs.correlation)
    score_delta = call.scratch(batch, N) if scores else None
    if score_delta is not None:
        call.launcher(
            softmax_rows_kernel,
            (batch, ceil_div(N, plan.matrix["BLOCK_I"])),
            score_delta,
            grad_correlation,
            saved.correlation,
            products,
            call.gate,
            N=N,
            **plan.matrix,
            num_warps=4,
        )
    q = call.scratch(batch, N, N)
    call.launcher(
        blocked_gram_backward_kernel,
        (batch,),
        q,
        delta,
        partial,
        contiguous(grad_outputs.diversity),
        grad_correlation,
        saved.correlation,
        score_delta,
        gram,
        products,
        call.temperature,
        call.gate,
        call.args.margin,
        N=N,
        K=call.sizes.K,
        SCORES=scores,
        OFFSETS=constants(offsets),
        **plan.matrix,
        num_warps=4,
    )
    return q


def _write_gradients(
    call: Call,
    plan: BlockedPlan,
    grads: GradSource,
    matrices: tuple[Tensor | None, ...],
    outputs: MapGrads,
    df: FeatureMap,
    offsets: ParamOffsets,
) -> None:
    """One launch, or two if several blocks of maps share the features whose gradient is written. `matrices`: S, Q, delta and
    the row statistics."""
    sizes = call.sizes

    def launch(
        chunk_l: int, blocks: int, program_blocks: int, step: int, written: MapGrads, needed: ParamOffsets
    ) -> None:
        call.launcher(
            blocked_maps_backward_kernel,
            (sizes.batch * chunk_count(sizes.L, chunk_l), blocks, max(1, ceil_div(sizes.D, plan.part_d))),
            written,
            grads,
            *matrices,
            call.inputs,
            call.gate,
            sizes.L,
            DF=df.layout if written.features is not None else call.features.layout,
            F=call.features.layout,
            TILE=_tile(call, plan, chunk_l),
            OFFSETS=constants(needed),
            PROGRAM_BLOCKS=program_blocks,
            BLOCK_STEP=step,
            num_warps=8,
            num_stages=2,
        )

    sharing = plan.blocks if sizes.G == 1 else plan.region_blocks
    alone = sharing == 1
    strides = dict(batch_stride=call.features.batch_stride, row_stride=call.features.row_stride)
    if alone or outputs.maps is not None or offsets.WEIGHT >= 0 or offsets.BIAS >= 0:
        writes_features = alone and outputs.features is not None
        written = outputs if writes_features else outputs._replace(features=None, **strides)
        launch(plan.gradients_l, plan.blocks, 1, 1, written, offsets)
    if outputs.features is not None and not alone:
        groups = 1 if sizes.G == 1 else plan.channel_blocks
        needed = offsets._replace(WEIGHT=-1, BIAS=-1)
        launch(plan.features_l, groups, sharing, groups, outputs._replace(partial=None), needed)
