"""Launches of the staged path: more maps or positions than one program holds. Slower, with N x N scratch matrices."""

import torch
from torch import Tensor

from sma_kernels.args import AttentionArgs as Head
from sma_kernels.args import GradOutputs as Cotangents
from sma_kernels.args import Outputs, Saved
from sma_kernels.triton_kernels.launch import (
    AttentionShares,
    FeatureMap,
    contiguous,
    narrow_type,
    precision_of,
)
from sma_kernels.triton_kernels.plan import Sizes, StagedPlan, ceil_div, staged_plan
from sma_kernels.triton_kernels.staged_backward import staged_maps_backward_kernel
from sma_kernels.triton_kernels.staged_correlation import staged_correlation_kernel
from sma_kernels.triton_kernels.staged_correlation_backward import softmax_rows_kernel, staged_gram_backward_kernel
from sma_kernels.triton_kernels.staged_forward import moments_kernel, staged_attention_kernel


def _block_sizes(head: Head, sizes: Sizes, plan: StagedPlan) -> dict:
    return {
        "R": sizes.R,
        "K": sizes.K,
        "D": sizes.D,
        "G": sizes.G,
        "R_PAD": plan.R_PAD,
        "K_PAD": plan.K_PAD,
        "SOFTMAX": head.activation == "softmax",
        "MERGE": sizes.merge,
        **plan.tiles,
        "PRECISION": precision_of(head.grid.dtype),
    }


def _wide(head: Head, *size: int, wanted: bool = True) -> Tensor | None:
    return head.grid.new_empty(size, dtype=torch.float32) if wanted else None


def _moments(
    head: Head,
    features: FeatureMap,
    sizes: Sizes,
    plan: StagedPlan,
    written: tuple,
    cotangents: Cotangents,
    shares: AttentionShares,
    winner: Tensor | None,
) -> None:
    """`written`: gram, products, statistics, row_dot."""
    moments_kernel[(sizes.batch, plan.blocks, plan.blocks if written[0] is not None else 1)](
        *written,
        contiguous(cotangents.attention),
        shares.attention,
        shares.along,
        contiguous(cotangents.maps),
        winner,
        features.tensor if head.features is not None else None,
        contiguous(head.maps),
        contiguous(head.weight),
        contiguous(head.bias),
        features.batch,
        features.stride,
        sizes.L,
        shares.slices,
        shares.alongs,
        F_LAST=features.last,
        F_VEC=features.vec,
        **_block_sizes(head, sizes, plan),
        num_warps=8,
        num_stages=1,
    )


def forward_maps(head: Head, out: Outputs, features: FeatureMap, sizes: Sizes) -> None:
    """Everything but the pooled vectors."""
    plan = staged_plan(sizes)
    batch, total = sizes.batch, sizes.N
    from_features = head.features is not None
    gram = _wide(head, batch, total, total, wanted=head.diversify or head.correlate)
    statistics = _wide(head, batch, 2, total, wanted=from_features and head.activation == "softmax")
    if gram is not None or statistics is not None:
        _moments(head, features, sizes, plan, (gram, None, statistics, None), Cotangents(), AttentionShares(), None)
    if gram is not None:
        staged_correlation_kernel[(batch,)](
            out.diversity,
            out.correlation,
            gram,
            contiguous(head.relation_bias),
            head.temperature_tensor,
            head.temperature,
            head.margin,
            N=total,
            K=sizes.K,
            **plan.matrix,
            num_warps=4,
        )
    if out.attention is None and out.maps is None and out.attention_sum is None:
        return
    groups = plan.blocks if sizes.merge == "none" else plan.region_blocks
    staged_attention_kernel[(batch, groups)](
        out.attention,
        out.maps,
        out.attention_sum,
        out.winner,
        features.tensor if from_features else None,
        contiguous(head.maps),
        contiguous(head.weight),
        contiguous(head.bias),
        statistics,
        out.correlation,
        head.gate_tensor,
        head.gate,
        features.batch,
        features.stride,
        sizes.L,
        F_LAST=features.last,
        F_VEC=features.vec,
        **_block_sizes(head, sizes, plan),
        num_warps=8,
        num_stages=1,
    )


def backward_maps(
    head: Head,
    saved: Saved,
    cotangents: Cotangents,
    grad_features: FeatureMap | None,
    grad_maps: Tensor | None,
    partial: Tensor | None,
    shares: AttentionShares,
    offsets: dict[str, int],
    features: FeatureMap,
    sizes: Sizes,
) -> None:
    """Gradients of features or maps, and each sample's share of the parameters' gradients in `partial`."""
    plan = staged_plan(sizes)
    batch, total = sizes.batch, sizes.N
    merged = cotangents.attention is not None or shares.attention is not None
    refined = head.correlate and merged
    scores = refined or cotangents.correlation is not None
    needs_gram = scores or cotangents.diversity is not None
    from_features = head.features is not None
    matrix = (batch, total, total)
    gram, q = _wide(head, *matrix, wanted=needs_gram), _wide(head, *matrix, wanted=needs_gram)
    products = _wide(head, *matrix, wanted=refined)
    statistics = _wide(head, batch, 2, total, wanted=from_features and head.activation == "softmax")
    row_dot = _wide(head, batch, total, wanted=needs_gram or from_features)
    width = 0 if partial is None else partial.shape[1]
    if partial is not None:
        partial.zero_()
    if row_dot is not None:
        written = (gram, products, statistics, row_dot)
        _moments(head, features, sizes, plan, written, cotangents, shares, saved.winner)
    grad_correlation = contiguous(cotangents.correlation)
    along_rows = _wide(head, batch, total, wanted=scores)
    if along_rows is not None:
        softmax_rows_kernel[(batch, ceil_div(total, plan.matrix["BLOCK_I"]))](
            along_rows,
            grad_correlation,
            saved.correlation,
            products,
            head.gate_tensor,
            head.gate,
            N=total,
            **plan.matrix,
            num_warps=4,
        )
    if needs_gram:
        staged_gram_backward_kernel[(batch,)](
            q,
            row_dot,
            partial,
            contiguous(cotangents.diversity),
            grad_correlation,
            saved.correlation,
            along_rows,
            gram,
            products,
            head.temperature_tensor,
            head.gate_tensor,
            head.temperature,
            head.gate,
            head.margin,
            N=total,
            K=sizes.K,
            SCORES=scores,
            AT_RELATION=offsets["AT_RELATION"],
            AT_TEMPERATURE=offsets["AT_TEMPERATURE"],
            AT_GATE=offsets["AT_GATE"],
            TOTAL=width,
            **plan.matrix,
            num_warps=4,
        )

    def walk(blocks: int, sharing: int, step: int, writes_features: bool, writes_rest: bool) -> None:
        gradient = grad_features if grad_features is not None and writes_features else None
        strides = gradient if gradient is not None else features
        staged_maps_backward_kernel[(batch, blocks, max(1, ceil_div(sizes.D, plan.part_d)))](
            gradient.tensor if gradient is not None else None,
            grad_maps,
            partial if writes_rest else None,
            contiguous(cotangents.attention),
            shares.attention,
            shares.along,
            contiguous(cotangents.maps),
            saved.correlation if refined else None,
            saved.winner,
            q,
            row_dot,
            statistics,
            features.tensor if from_features else None,
            contiguous(head.maps),
            contiguous(head.weight),
            contiguous(head.bias),
            head.gate_tensor,
            head.gate,
            strides.batch,
            strides.stride,
            features.batch,
            features.stride,
            sizes.L,
            shares.slices,
            shares.alongs,
            G_LAST=strides.last,
            G_VEC=strides.vec,
            F_LAST=features.last,
            F_VEC=features.vec,
            AT_WEIGHT=offsets["AT_WEIGHT"] if writes_rest else -1,
            AT_BIAS=offsets["AT_BIAS"] if writes_rest else -1,
            TOTAL=width,
            SHARING=sharing,
            BLOCK_STEP=step,
            PART_D=plan.part_d,
            NARROW=narrow_type(head.grid.dtype),
            **_block_sizes(head, sizes, plan),
            num_warps=8,
            num_stages=2,
        )

    sharing = plan.blocks if sizes.G == 1 else plan.region_blocks
    alone = sharing == 1
    if alone or grad_maps is not None or offsets["AT_WEIGHT"] >= 0 or offsets["AT_BIAS"] >= 0:
        walk(plan.blocks, 1, 1, alone, True)
    if grad_features is not None and not alone:
        groups = 1 if sizes.G == 1 else plan.channel_blocks
        walk(groups, sharing, groups, True, False)
