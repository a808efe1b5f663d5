"""From the gradients of diversity and correlation to the matrix that carries them to the maps, in blocks."""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.correlation import scalar_of
from sma_kernels.triton_kernels.staged_correlation import inverse_norms_of


@triton.jit
def correlation_gradient_tile(grad_correlation, products, gate, at, inside):
    """dS = dCorrelation + g P at the offsets `at` of one sample."""
    ds = tl.zeros(at.shape, tl.float32)
    if grad_correlation is not None:
        ds += tl.load(grad_correlation + at, mask=inside, other=0.0)
    if products is not None:
        ds += gate * tl.load(products + at, mask=inside, other=0.0)
    return ds


@triton.jit
def softmax_rows_kernel(
    along_rows,  # float32 [B,N]: sum_j S dS
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    gate_tensor,  # [] or None
    gate,
    N: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program (b, rows i)."""
    sample = tl.program_id(0).to(tl.int64)
    gate = scalar_of(gate_tensor, gate)
    i = tl.program_id(1) * BLOCK_I + tl.arange(0, BLOCK_I)
    along = tl.zeros([BLOCK_I], tl.float32)
    for j0 in range(0, N, BLOCK_J):
        j = j0 + tl.arange(0, BLOCK_J)
        at = sample * N * N + i[:, None] * N + j[None, :]
        inside = (i < N)[:, None] & (j < N)[None, :]
        ds = correlation_gradient_tile(grad_correlation, products, gate, at, inside)
        along += tl.sum(ds * tl.load(correlation + at, mask=inside, other=0.0), 1)
    tl.store(along_rows + sample * N + i, along, mask=i < N)


@triton.jit
def staged_gram_backward_kernel(
    q,  # float32 [B,N,N]: through the Gram matrix, the gradient of the maps is q m
    row_dot,  # float32 [B,N], completed here
    partial,  # float32 [B,TOTAL] or None: each sample's parameter gradients
    grad_diversity,  # float32 [B] or None
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N] or None
    along_rows,  # float32 [B,N], read with `correlation`
    gram,  # float32 [B,N,N]
    products,  # float32 [B,N,N] or None
    temperature_tensor,  # [] or None
    gate_tensor,  # [] or None
    temperature,
    gate,
    margin,
    N: tl.constexpr,
    K: tl.constexpr,
    SCORES: tl.constexpr,
    AT_RELATION: tl.constexpr,
    AT_TEMPERATURE: tl.constexpr,
    AT_GATE: tl.constexpr,
    TOTAL: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Program b."""
    PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
    sample = tl.program_id(0).to(tl.int64)
    square = sample * N * N
    gate = scalar_of(gate_tensor, gate)
    temperature = scalar_of(temperature_tensor, temperature)
    if partial is not None:
        partial += sample * TOTAL
    dtemperature = tl.zeros([BLOCK_I], tl.float32)
    dgate = tl.zeros([BLOCK_I], tl.float32)
    for i0 in range(0, N, BLOCK_I):
        i = i0 + tl.arange(0, BLOCK_I)
        inverse_i, above_floor = inverse_norms_of(gram + square, i, N)
        along_i = tl.zeros([BLOCK_I], tl.float32)
        diagonal_i = tl.zeros([BLOCK_I], tl.float32)
        dot_i = tl.load(row_dot + sample * N + i, mask=i < N, other=0.0)
        for j0 in range(0, N, BLOCK_J):
            j = j0 + tl.arange(0, BLOCK_J)
            inside = (i < N)[:, None] & (j < N)[None, :]
            at = i[:, None] * N + j[None, :]
            mirrored = j[None, :] * N + i[:, None]
            inverse_j, _above = inverse_norms_of(gram + square, j, N)
            gram_ij = tl.load(gram + square + at, mask=inside, other=0.0)
            cos = gram_ij * inverse_i[:, None] * inverse_j[None, :]
            both = tl.zeros([BLOCK_I, BLOCK_J], tl.float32)  # dcos + dcos^T
            if grad_diversity is not None:
                pushed = inside & (i[:, None] // K == j[None, :] // K) & (i[:, None] != j[None, :]) & (cos > margin)
                both += tl.where(pushed, 2.0 * tl.load(grad_diversity + sample) / PAIRS, 0.0)
            if SCORES:
                s = tl.load(correlation + square + at, mask=inside, other=0.0)
                ds = correlation_gradient_tile(grad_correlation, products, gate, square + at, inside)
                row_i = tl.load(along_rows + sample * N + i, mask=i < N, other=0.0)
                dscores = s * (ds - row_i[:, None])
                s_ji = tl.load(correlation + square + mirrored, mask=inside, other=0.0)
                ds_ji = correlation_gradient_tile(grad_correlation, products, gate, square + mirrored, inside)
                row_j = tl.load(along_rows + sample * N + j, mask=j < N, other=0.0)
                both += (dscores + s_ji * (ds_ji - row_j[None, :])) / temperature
                dtemperature -= tl.sum(dscores * cos, 1) / (temperature * temperature)
                if AT_RELATION >= 0:
                    tl.store(partial + AT_RELATION + at, dscores, mask=inside)
                if products is not None:
                    p = tl.load(products + square + at, mask=inside, other=0.0)
                    p_ji = tl.load(products + square + mirrored, mask=inside, other=0.0)
                    diagonal = tl.sum(tl.where(i[:, None] == j[None, :], p, 0.0), 1)
                    own = tl.load(products + square + i * (N + 1), mask=i < N, other=0.0)
                    dgate += tl.sum(s * (p - own[:, None]), 1)  # rows of s sum to 1
                    dot_i += (1.0 - gate) * diagonal + gate * tl.sum(s_ji * p_ji, 1)
            q_ij = inverse_i[:, None] * both * inverse_j[None, :]
            along_i += tl.sum(both * cos, 1)
            dot_i += tl.sum(q_ij * gram_ij, 1)
            on_diagonal = i[:, None] == j[None, :]
            diagonal_i += tl.sum(tl.where(on_diagonal, q_ij, 0.0), 1)
            # The diagonal is stored once, below: of two stores by different threads either might come last.
            tl.store(q + square + at, q_ij, mask=inside & ~on_diagonal)
        along_i = tl.where(above_floor, inverse_i * inverse_i * along_i, 0.0)
        # Nearly equal: subtracted here, in float32, since a product of TF32 operands would keep the rounding of each.
        tl.store(q + square + i * (N + 1), diagonal_i - along_i, mask=i < N)
        norm = tl.load(gram + square + i * (N + 1), mask=i < N, other=0.0)
        tl.store(row_dot + sample * N + i, dot_i - along_i * norm, mask=i < N)
    if AT_TEMPERATURE >= 0:
        tl.store(partial + AT_TEMPERATURE, tl.sum(dtemperature))
    if AT_GATE >= 0:
        tl.store(partial + AT_GATE, tl.sum(dgate))
