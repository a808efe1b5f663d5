"""Positions of a sample divided over programs: the chunk of each program, and the kernels that add what chunks leave behind.

Each holds a column of all chunks at once, so that the order of a sum follows from the sizes of the call alone.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import safe_row_max
from sma_kernels.triton_kernels.pool import clamp_sum


@triton.jit
def chunk_factors(statistics, chunk, inside, n, N: tl.constexpr):
    """(factors [CHUNKS,BLOCK], row maximum, 1 / row sum) of the maps n, from the statistics [chunks,3,N] of a sample: a chunk's
    factor turns sums relative to its own maximum into sums of finished maps."""
    rows = statistics + chunk[:, None] * (3 * N) + n[None, :]
    chunk_max = tl.load(rows, mask=inside, other=float("-inf"))
    row_max = tl.max(chunk_max, 0)
    factor = tl.exp(chunk_max - safe_row_max(row_max)[None, :])
    row_sum = tl.sum(tl.load(rows + N, mask=inside, other=0.0) * factor, 0)
    valid = tl.sum(tl.load(rows + 2 * N, mask=inside, other=0.0), 0)
    # As in mask.inverse_row_sums: without a valid position maps are 0, and NaN if every logit is -inf.
    inverse = tl.where(valid > 0.0, 1.0 / row_sum, 0.0)
    return factor * inverse[None, :], row_max, inverse


@triton.jit
def combine_kernel(
    outputs,  # Moments
    partial,  # Moments of chunks
    chunks,
    N: tl.constexpr,
    CHUNKS: tl.constexpr,  # padded
    BLOCK: tl.constexpr,
):
    """Program (b, block of pairs i*N + j of maps; without a Gram matrix, block of maps)."""
    PAIRS: tl.constexpr = outputs.gram is not None
    COLUMNS: tl.constexpr = N * N if PAIRS else N
    sample = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    i = column // N if PAIRS else column
    j = column % N
    c = tl.arange(0, CHUNKS)
    chunk = sample * chunks + c
    in_row = column < COLUMNS
    inside = (c < chunks)[:, None] & in_row[None, :]
    is_writer = in_row & (j == 0) if PAIRS else in_row
    factor_i = tl.full([CHUNKS, BLOCK], 1.0, tl.float32)
    factor_j = factor_i
    if partial.statistics is not None:
        factor_i, row_max, inverse = chunk_factors(partial.statistics, chunk, inside, i, N)
        tl.store(outputs.statistics + sample * 2 * N + i, row_max, mask=is_writer)
        tl.store(outputs.statistics + sample * 2 * N + N + i, inverse, mask=is_writer)
        if PAIRS:
            factor_j, _row_max, _inverse = chunk_factors(partial.statistics, chunk, inside, j, N)
    at = chunk[:, None] * COLUMNS + column[None, :]
    if PAIRS:
        gram = tl.load(partial.gram + at, mask=inside, other=0.0)
        tl.store(outputs.gram + sample * COLUMNS + column, tl.sum(gram * factor_i * factor_j, 0), mask=in_row)
    if outputs.products is not None:
        products = tl.load(partial.products + at, mask=inside, other=0.0)
        tl.store(outputs.products + sample * COLUMNS + column, tl.sum(products * factor_j, 0), mask=in_row)
    if outputs.delta is not None:
        delta = tl.load(partial.delta + chunk[:, None] * N + i[None, :], mask=inside, other=0.0)
        tl.store(outputs.delta + sample * N + i, tl.sum(delta * factor_i, 0), mask=is_writer)


@triton.jit
def add_parts_kernel(
    sums,  # float32 [B,COLUMNS]
    partial,  # float32 [B,parts,COLUMNS]
    parts,
    COLUMNS: tl.constexpr,
    CHUNKS: tl.constexpr,  # parts, padded
    BLOCK: tl.constexpr,
):
    """Program (b, block of columns)."""
    sample = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    part = tl.arange(0, CHUNKS)
    inside = (part < parts)[:, None] & (column < COLUMNS)[None, :]
    at = (sample * parts + part)[:, None] * COLUMNS + column[None, :]
    tl.store(
        sums + sample * COLUMNS + column,
        tl.sum(tl.load(partial + at, mask=inside, other=0.0), 0),
        mask=column < COLUMNS,
    )


@triton.jit
def finish_pooling_kernel(
    pooled,  # T [B,A,C]
    attention_sum,  # float32 [B,A]
    partial_pooled,  # float32 [B,chunks,A,C]
    partial_sum,  # float32 [B,sum_chunks,A]
    C,
    chunks,
    sum_chunks,
    A: tl.constexpr,
    CHUNKS: tl.constexpr,  # padded
    SUM_CHUNKS: tl.constexpr,  # padded
    BLOCK: tl.constexpr,
):
    """Program (b, row of A, block of C)."""
    sample = tl.program_id(0).to(tl.int64)
    a = tl.program_id(1)
    c = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    part = tl.arange(0, SUM_CHUNKS)
    sums = tl.load(partial_sum + (sample * sum_chunks + part) * A + a, mask=part < sum_chunks, other=0.0)
    total = tl.sum(sums, 0)
    chunk = tl.arange(0, CHUNKS)
    products = tl.load(
        partial_pooled + ((sample * chunks + chunk)[:, None] * A + a) * C + c[None, :],
        mask=(chunk < chunks)[:, None] & (c < C)[None, :],
        other=0.0,
    )
    tl.store(pooled + (sample * A + a) * C + c, tl.sum(products, 0) / clamp_sum(total), mask=c < C)
    tl.store(attention_sum + sample * A + a, total, mask=tl.program_id(2) == 0)
