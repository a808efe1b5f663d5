"""Attention-weighted pooling and its backward: the only kernels that stream the values.

pool_kernel pools under a stored A, after a launch for the maps that does not pool; value_gradients_kernel reads the values
once, writes their gradient, and stores each slice's partial gradient of A.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import advance, divided, program_chunk, strides_of
from sma_kernels.triton_kernels.mask import valid_only

SUM_FLOOR = tl.constexpr(1e-6)


@triton.jit
def clamp_sum(total):
    """max(total, floor), NaN kept."""
    return tl.maximum(total, SUM_FLOOR, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def values_tile(values, x_c, x_l, c, pos, C, L):
    """[positions, channels] of the values [C,L] of one sample."""
    return tl.load(
        values + pos[:, None] * x_l + c[None, :] * x_c, mask=(pos < L)[:, None] & (c < C)[None, :], other=0.0
    )


@triton.jit
def pool_tile(a, x, acc, DOT_DTYPE: tl.constexpr, PRECISION: tl.constexpr):
    """acc + A x for a [rows, positions] and x [positions, channels]."""
    return tl.dot(a.to(DOT_DTYPE), x.to(DOT_DTYPE), acc, input_precision=PRECISION)


@triton.jit
def store_pooled(pooled, acc, total, row, inside, c, C):
    """Stores acc / max(total, floor) in rows `row` and channels c of T [A,C] of one sample."""
    tl.store(
        pooled + row[:, None] * C + c[None, :],
        acc / clamp_sum(total)[:, None],
        mask=inside[:, None] & (c < C)[None, :],
    )


@triton.jit
def pool_kernel(
    pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    values,  # DenseMap [B,C,L]
    mask,  # bool [B,L] or None
    C,
    L,
    X: tl.constexpr,  # Layout of the values
    POOL: tl.constexpr,  # PoolTile
):
    """pooled[b, a0:a0+A_PAD, c0:c0+BLOCK_C] for program (b, c0 / BLOCK_C, a0 / A_PAD).

    With divided positions, the sums of a chunk of b instead: pooled is float32 [B,chunks,A,C], and attention_sum not read."""
    A_PAD: tl.constexpr = POOL.A_PAD
    BLOCK_C: tl.constexpr = POOL.BLOCK_C
    A: tl.constexpr = POOL.A
    chunk = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    a = tl.program_id(2) * A_PAD + tl.arange(0, A_PAD)
    x_c, x_l = strides_of(values.row_stride, X)
    L = divided(L, X.VEC) if not X.LAST else L
    C = divided(C, X.VEC) if X.LAST else C
    sample, l_first, l_end = program_chunk(L, POOL.CHUNK_L)
    x_data = values.data + sample * divided(values.batch_stride, X.VEC)
    mask = advance(mask, sample * L)
    acc = tl.zeros([A_PAD, BLOCK_C], tl.float32)
    for l0 in range(l_first, l_end, POOL.BLOCK_L):
        pos = l0 + tl.arange(0, POOL.BLOCK_L)
        x = valid_only(values_tile(x_data, x_c, x_l, c, pos, C, L), mask, pos[:, None], L)
        m = tl.load(
            attention + (sample * A + a[:, None]) * L + pos[None, :],
            mask=(a < A)[:, None] & (pos < L)[None, :],
            other=0.0,
        )
        acc = pool_tile(m, x, acc, POOL.DOT_DTYPE, POOL.PRECISION)
    if POOL.CHUNK_L == 0:
        total = tl.load(attention_sum + sample * A + a, mask=a < A, other=1.0)
    else:
        total = tl.full([A_PAD], 1.0, tl.float32)
    tl.store(
        pooled + (chunk * A + a[:, None]) * C + c[None, :],
        acc / clamp_sum(total)[:, None],
        mask=(a < A)[:, None] & (c < C)[None, :],
    )


@triton.jit
def value_gradients_kernel(
    outputs,  # ValueGrads
    grad_pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    values,  # DenseMap [B,C,L]
    mask,  # bool [B,L] or None
    C,
    L,
    slices,
    X: tl.constexpr,  # Layout of the values
    DX: tl.constexpr,  # of their gradient
    POOL: tl.constexpr,  # PoolTile
):
    """For program (b, block of A x slice of C, chunk of positions): dX = A^T df / max(sum A, floor), for which all of A
    must be in one block, and this slice's part of dA = (df X - [sum A > floor] sum_c df f) / max(sum A, floor).

    sum_c df f is delta = sum_l A (df X) / max(sum A, floor), so it needs no pooled vectors; it is complete only over all
    slices and chunks, and is stored in partial_delta for the kernel that adds the parts.
    """
    A_PAD: tl.constexpr = POOL.A_PAD
    BLOCK_L: tl.constexpr = POOL.BLOCK_L
    A: tl.constexpr = POOL.A
    sample = tl.program_id(0).to(tl.int64)
    slice_id = tl.program_id(1) % slices
    a = tl.program_id(1) // slices * A_PAD + tl.arange(0, A_PAD)
    x_c, x_l = strides_of(values.row_stride, X)
    dx_c, dx_l = strides_of(outputs.row_stride, DX)
    L = divided(L, X.VEC) if not X.LAST else L
    C = divided(C, X.VEC) if X.LAST else C
    x_data = values.data + sample * divided(values.batch_stride, X.VEC)
    mask = advance(mask, sample * L)
    if outputs.data is not None:
        grad_values = outputs.data + sample * divided(outputs.batch_stride, DX.VEC)
    rows = (sample * A + a[:, None]) * C
    total = tl.load(attention_sum + sample * A + a, mask=a < A, other=1.0)
    inverse = 1.0 / clamp_sum(total)
    first = slice_id * POOL.SLICE_C
    delta = tl.zeros([A_PAD], tl.float32)
    l_first = tl.program_id(2) * POOL.CHUNK_L
    for l0 in range(l_first, min(l_first + POOL.CHUNK_L, L), BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        inside_a = (a < A)[:, None] & (pos < L)[None, :]
        m = tl.load(attention + (sample * A + a[:, None]) * L + pos[None, :], mask=inside_a, other=0.0)
        scaled = (m.to(tl.float32) * inverse[:, None]).to(POOL.DOT_DTYPE)
        da = tl.zeros([A_PAD, BLOCK_L], tl.float32)
        for c0 in range(0, POOL.SLICE_C, POOL.BLOCK_C):
            c = first + c0 + tl.arange(0, POOL.BLOCK_C)
            df = tl.load(grad_pooled + rows + c[None, :], mask=(a < A)[:, None] & (c < C)[None, :], other=0.0)
            if outputs.partial_attention is not None:
                x = values_tile(x_data, x_c, x_l, c, pos, C, L)
                da = tl.dot(df, tl.trans(x), da, input_precision=POOL.PRECISION)
            if outputs.data is not None:
                dx = tl.dot(tl.trans(scaled), df.to(POOL.DOT_DTYPE), input_precision=POOL.PRECISION)
                tl.store(
                    grad_values + pos[:, None] * dx_l + c[None, :] * dx_c,
                    valid_only(dx, mask, pos[:, None], L),
                    mask=(pos < L)[:, None] & (c < C)[None, :],
                )
        if outputs.partial_attention is not None:
            da = valid_only(tl.where(inside_a, da * inverse[:, None], 0.0), mask, pos[None, :], L)
            delta += tl.sum(da * m.to(tl.float32), 1)
            out = outputs.partial_attention + ((sample * slices + slice_id) * A + a[:, None]) * L + pos[None, :]
            tl.store(out, da, mask=inside_a)
    if outputs.partial_attention is not None:
        delta = tl.where(total > SUM_FLOOR, delta * inverse, 0.0)
        row = (sample * slices + slice_id) * tl.num_programs(2) + tl.program_id(2)
        tl.store(outputs.partial_delta + row * A + a, delta, mask=a < A)


@triton.jit
def blocked_value_gradient_kernel(
    grad_values,  # DenseMap [B,C,L]
    grad_pooled,  # T [B,A,C]
    attention,  # T [B,A,L]
    attention_sum,  # float32 [B,A]
    mask,  # bool [B,L] or None
    C,
    L,
    DX: tl.constexpr,  # Layout of the gradient
    POOL: tl.constexpr,  # PoolTile
):
    """dX of program (b, block of C, block of positions), for more rows of A than one tile holds."""
    BLOCK_L: tl.constexpr = POOL.BLOCK_L
    BLOCK_C: tl.constexpr = POOL.BLOCK_C
    A: tl.constexpr = POOL.A
    sample = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    pos = tl.program_id(2) * BLOCK_L + tl.arange(0, BLOCK_L)
    dx_c, dx_l = strides_of(grad_values.row_stride, DX)
    mask = advance(mask, sample * L)
    dx = tl.zeros([BLOCK_L, BLOCK_C], tl.float32)
    for a0 in range(0, A, POOL.BLOCK_A):
        a = a0 + tl.arange(0, POOL.BLOCK_A)
        row = sample * A + a
        m = tl.load(attention + row[None, :] * L + pos[:, None], mask=(a < A)[None, :] & (pos < L)[:, None], other=0.0)
        df = tl.load(grad_pooled + row[:, None] * C + c[None, :], mask=(a < A)[:, None] & (c < C)[None, :], other=0.0)
        total = tl.load(attention_sum + row, mask=a < A, other=1.0)
        scaled = m.to(tl.float32) / clamp_sum(total)[None, :]
        dx = tl.dot(scaled.to(POOL.DOT_DTYPE), df.to(POOL.DOT_DTYPE), dx, input_precision=POOL.PRECISION)
    out = grad_values.data + sample * divided(grad_values.batch_stride, DX.VEC)
    tl.store(
        out + pos[:, None].to(tl.int64) * dx_l + c[None, :] * dx_c,
        valid_only(dx, mask, pos[:, None], L),
        mask=(pos < L)[:, None] & (c < C)[None, :],
    )
