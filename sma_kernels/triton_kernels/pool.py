"""Attention-weighted pooling and its backward: the only kernels that stream the values.

pool_kernel reads A where the maps took a launch of their own; value_gradients_kernel reads the values once, writes
their gradient, and leaves each slice's share of the gradient of A.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import feature_strides

SUM_FLOOR = tl.constexpr(1e-6)


@triton.jit
def floored(total):
    """max(total, floor), NaN kept."""
    return tl.maximum(total, SUM_FLOOR, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def values_tile(values, x_c, x_l, c, pos, C, L):
    """[positions, channels] of one sample's values [C,L]."""
    return tl.load(
        values + pos[:, None] * x_l + c[None, :] * x_c, mask=(pos < L)[:, None] & (c < C)[None, :], other=0.0
    )


@triton.jit
def pool_tile(a, x, acc, NARROW: tl.constexpr, PRECISION: tl.constexpr):
    """acc + A x for a [rows, positions] and x [positions, channels]."""
    return tl.dot(a.to(NARROW), x.to(NARROW), acc, input_precision=PRECISION)


@triton.jit
def pool_kernel(
    pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    values,  # T [B,C,L]
    x_batch,
    x_stride,
    C,
    L,
    X_LAST: tl.constexpr,
    X_VEC: tl.constexpr,
    A: tl.constexpr,
    A_PAD: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """pooled[b, a0:a0+A_PAD, c0:c0+BLOCK_C] for program (b, c0 / BLOCK_C, a0 / A_PAD)."""
    sample = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    a = tl.program_id(2) * A_PAD + tl.arange(0, A_PAD)
    x_c, x_l = feature_strides(x_stride, X_LAST, X_VEC)
    L = L // X_VEC * X_VEC if not X_LAST else L
    C = C // X_VEC * X_VEC if X_LAST else C
    values += sample * (x_batch // X_VEC * X_VEC)
    acc = tl.zeros([A_PAD, BLOCK_C], tl.float32)
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        x = values_tile(values, x_c, x_l, c, pos, C, L)
        m = tl.load(
            attention + (sample * A + a[:, None]) * L + pos[None, :],
            mask=(a < A)[:, None] & (pos < L)[None, :],
            other=0.0,
        )
        acc = pool_tile(m, x, acc, NARROW, PRECISION)
    total = tl.load(attention_sum + sample * A + a, mask=a < A, other=1.0)
    tl.store(
        pooled + (sample * A + a[:, None]) * C + c[None, :],
        acc / floored(total)[:, None],
        mask=(a < A)[:, None] & (c < C)[None, :],
    )


@triton.jit
def value_gradients_kernel(
    grad_values,  # T [B,C,L], or None
    partial_attention,  # float32 [B,slices,A,L], or None
    partial_along,  # float32 [B,slices*chunks,A], written with partial_attention
    grad_pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    values,  # T [B,C,L]
    g_batch,
    g_stride,
    x_batch,
    x_stride,
    C,
    L,
    slices,
    G_LAST: tl.constexpr,
    G_VEC: tl.constexpr,
    X_LAST: tl.constexpr,
    X_VEC: tl.constexpr,
    A: tl.constexpr,
    A_PAD: tl.constexpr,
    SLICE_C: tl.constexpr,
    CHUNK_L: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """For program (b, block of A x slice of C, chunk of positions): dX = A^T df / max(sum A, floor), for which all of A
    must be in one block, and this slice's share of dA = (df X - [sum A > floor] sum_c df f) / max(sum A, floor).

    sum_c df f is sum_l A (df X) / max(sum A, floor), so it needs no pooled vectors; it is complete only over all slices
    and chunks, and leaves in partial_along for whoever adds the shares.
    """
    sample = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1) % slices
    a = tl.program_id(1) // slices * A_PAD + tl.arange(0, A_PAD)
    x_c, x_l = feature_strides(x_stride, X_LAST, X_VEC)
    g_c, g_l = feature_strides(g_stride, G_LAST, G_VEC)
    L = L // X_VEC * X_VEC if not X_LAST else L
    C = C // X_VEC * X_VEC if X_LAST else C
    values += sample * (x_batch // X_VEC * X_VEC)
    if grad_values is not None:
        grad_values += sample * (g_batch // G_VEC * G_VEC)
    rows = (sample * A + a[:, None]) * C
    total = tl.load(attention_sum + sample * A + a, mask=a < A, other=1.0)
    inverse = 1.0 / floored(total)
    first = part * SLICE_C
    along = tl.zeros([A_PAD], tl.float32)
    l_first = tl.program_id(2) * CHUNK_L
    for l0 in range(l_first, min(l_first + CHUNK_L, L), BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        inside_a = (a < A)[:, None] & (pos < L)[None, :]
        m = tl.load(attention + (sample * A + a[:, None]) * L + pos[None, :], mask=inside_a, other=0.0)
        scaled = (m.to(tl.float32) * inverse[:, None]).to(NARROW)
        da = tl.zeros([A_PAD, BLOCK_L], tl.float32)
        for c0 in range(0, SLICE_C, BLOCK_C):
            c = first + c0 + tl.arange(0, BLOCK_C)
            df = tl.load(grad_pooled + rows + c[None, :], mask=(a < A)[:, None] & (c < C)[None, :], other=0.0)
            if partial_attention is not None:
                x = values_tile(values, x_c, x_l, c, pos, C, L)
                da = tl.dot(df, tl.trans(x), da, input_precision=PRECISION)
            if grad_values is not None:
                dx = tl.dot(tl.trans(scaled), df.to(NARROW), input_precision=PRECISION)
                tl.store(
                    grad_values + pos[:, None] * g_l + c[None, :] * g_c,
                    dx,
                    mask=(pos < L)[:, None] & (c < C)[None, :],
                )
        if partial_attention is not None:
            da = tl.where(inside_a, da * inverse[:, None], 0.0)
            along += tl.sum(da * m.to(tl.float32), 1)
            out = partial_attention + ((sample * slices + part) * A + a[:, None]) * L + pos[None, :]
            tl.store(out, da, mask=inside_a)
    if partial_attention is not None:
        along = tl.where(total > SUM_FLOOR, along * inverse, 0.0)
        row = (sample * slices + part) * tl.num_programs(2) + tl.program_id(2)
        tl.store(partial_along + row * A + a, along, mask=a < A)


@triton.jit
def staged_value_gradient_kernel(
    grad_values,  # T [B,C,L]
    grad_pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    g_batch,
    g_stride,
    C,
    L,
    G_LAST: tl.constexpr,
    G_VEC: tl.constexpr,
    A: tl.constexpr,
    BLOCK_A: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """dX of program (b, block of C, block of positions), for more rows of A than one tile holds."""
    sample = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    pos = tl.program_id(2) * BLOCK_L + tl.arange(0, BLOCK_L)
    g_c, g_l = feature_strides(g_stride, G_LAST, G_VEC)
    dx = tl.zeros([BLOCK_L, BLOCK_C], tl.float32)
    for a0 in range(0, A, BLOCK_A):
        a = a0 + tl.arange(0, BLOCK_A)
        row = sample * A + a
        m = tl.load(attention + row[None, :] * L + pos[:, None], mask=(a < A)[None, :] & (pos < L)[:, None], other=0.0)
        df = tl.load(grad_pooled + row[:, None] * C + c[None, :], mask=(a < A)[:, None] & (c < C)[None, :], other=0.0)
        total = tl.load(attention_sum + row, mask=a < A, other=1.0)
        scaled = m.to(tl.float32) / floored(total)[None, :]
        dx = tl.dot(scaled.to(NARROW), df.to(NARROW), dx, input_precision=PRECISION)
    tl.store(
        grad_values + sample * (g_batch // G_VEC * G_VEC) + pos[:, None].to(tl.int64) * g_l + c[None, :] * g_c,
        dx,
        mask=(pos < L)[:, None] & (c < C)[None, :],
    )
