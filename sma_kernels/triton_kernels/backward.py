"""Backward of one sample from the gradients of A, maps, diversity and correlation to everything but the values.

With P = dm' m^T (N x N) all row sums over positions follow from N x N matrices, so one walk gathers the Gram matrix
and P, and the second writes gradients: dm = dMaps + Q m + W dm', where W = (1 - g) I + g S^T and Q carries the
gradient of the cosines (gram_backward). Each program re-derives the N x N matrices and keeps one block of D.
"""

import triton
import triton.language as tl

from sma_kernels.triton_kernels.attention_maps import (
    derive_tile,
    feature_strides,
    given_tile,
    map_rows,
    scan_tile,
)
from sma_kernels.triton_kernels.attention_maps_backward import (
    features_gradient,
    logits_gradient,
    store_features_tile,
    store_weight_gradient,
    weight_gradient,
)
from sma_kernels.triton_kernels.correlation import correlation_backward, scalar_of
from sma_kernels.triton_kernels.gram import channel_pairs, diagonal, gram_backward, inverse_norms
from sma_kernels.triton_kernels.merge import refined_gradient_tile


@triton.jit
def backward_kernel(
    grad_features,  # T [B,G*D,L] or None
    grad_maps,  # T [B,N,L] or None
    partial,  # float32 [B,TOTAL] or None: each sample's parameter gradients, at the offsets AT_*
    grad_attention,  # T [B,A,L] or None
    partial_attention,  # float32 [B,slices,A,L] or None
    partial_along,  # float32 [B,alongs,A], read with partial_attention
    grad_maps_out,  # T [B,N,L] or None
    grad_diversity,  # float32 [B] or None
    grad_correlation,  # float32 [B,N,N] or None
    correlation,  # float32 [B,N,N] or None
    winner,  # uint8 [B,R,L] or None
    features,  # T [B,G*D,L] or None
    maps_in,  # T [B,N,L] or None
    weight,  # [R,K,D] or None
    bias,  # [R,K] or None
    temperature_tensor,  # [] or None
    gate_tensor,  # [] or None
    temperature,
    gate,
    margin,
    g_batch,
    g_stride,
    f_batch,
    f_stride,
    L,
    slices,
    alongs,
    G_LAST: tl.constexpr,
    G_VEC: tl.constexpr,
    F_LAST: tl.constexpr,
    F_VEC: tl.constexpr,
    R: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    R_PAD: tl.constexpr,
    K_PAD: tl.constexpr,
    SOFTMAX: tl.constexpr,
    MERGE: tl.constexpr,
    CORRELATE: tl.constexpr,
    AT_WEIGHT: tl.constexpr,
    AT_BIAS: tl.constexpr,
    AT_RELATION: tl.constexpr,
    AT_TEMPERATURE: tl.constexpr,
    AT_GATE: tl.constexpr,
    TOTAL: tl.constexpr,
    PART_D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_L: tl.constexpr,
    NARROW: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Program (b, block of D); block 0 writes everything but the gradients of features and weight."""
    N: tl.constexpr = R * K
    ROWS: tl.constexpr = K_PAD * R_PAD
    A: tl.constexpr = N if MERGE == "none" else R
    MERGED: tl.constexpr = (grad_attention is not None) or (partial_attention is not None)
    REFINED: tl.constexpr = CORRELATE and MERGED
    SCORES: tl.constexpr = REFINED or (grad_correlation is not None)
    GRAM: tl.constexpr = SCORES or (grad_diversity is not None)
    NORMALISED: tl.constexpr = SOFTMAX and (features is not None)
    NEEDS_WEIGHT: tl.constexpr = AT_WEIGHT >= 0
    sample = tl.program_id(0).to(tl.int64)
    d0 = tl.program_id(1) * PART_D
    owns = tl.program_id(1) == 0
    L = L if F_LAST else L // F_VEC * F_VEC
    f_c, f_l = feature_strides(f_stride, F_LAST, F_VEC)
    g_c, g_l = feature_strides(g_stride, G_LAST, G_VEC)
    n, region, valid = map_rows(0, 0, R, K, R_PAD, K_PAD)
    both_valid = valid[:, None] & valid[None, :]
    square = n[:, None] * N + n[None, :]
    if features is not None:
        features += sample * (f_batch // F_VEC * F_VEC)
    else:
        maps_in += sample * N * L
    if grad_features is not None:
        grad_features += sample * (g_batch // G_VEC * G_VEC)
    if grad_maps is not None:
        grad_maps += sample * N * L
    if grad_attention is not None:
        grad_attention += sample * A * L
    if partial_attention is not None:
        partial_attention += sample * slices * A * L
        partial_along += sample * alongs * A
    if grad_maps_out is not None:
        grad_maps_out += sample * N * L
    if winner is not None:
        winner += sample * R * L
    if partial is not None:
        partial += sample * TOTAL

    peak = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    gram = tl.zeros([ROWS, ROWS], tl.float32)
    p = tl.zeros([ROWS, ROWS], tl.float32)
    row_dot = tl.zeros([ROWS], tl.float32)  # sum_l m * dm of each map
    for l0 in range(0, L, BLOCK_L):
        pos = l0 + tl.arange(0, BLOCK_L)
        m, peak, total, shrink = scan_tile(
            features, maps_in, weight, bias, peak, total,
            f_c, f_l, 0, 0, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
        )  # fmt: skip
        if GRAM:
            if NORMALISED:
                gram = gram * shrink[:, None] * shrink[None, :]
            gram = tl.dot(m, tl.trans(m), gram, input_precision=PRECISION)
        gained = tl.zeros([ROWS], tl.float32)
        if MERGED:
            dm_refined = refined_gradient_tile(
                grad_attention,
                partial_attention,
                partial_along,
                winner,
                0,
                0,
                l0,
                L,
                slices,
                alongs,
                R,
                K,
                R_PAD,
                K_PAD,
                MERGE,
                BLOCK_L,
            )
            if REFINED:
                if NORMALISED:
                    p = p * shrink[None, :]
                p = tl.dot(dm_refined, tl.trans(m), p, input_precision=PRECISION)
            else:
                gained += tl.sum(dm_refined * m, 1)
        if grad_maps_out is not None:
            inside = valid[:, None] & (pos < L)[None, :]
            gained += tl.sum(given_tile(grad_maps_out, n, inside, pos, L) * m, 1)
        row_dot = row_dot * shrink + gained
    inverse_total = tl.where(valid, 1.0 / total, 0.0)
    if NORMALISED:
        row_dot = row_dot * inverse_total
        p = p * inverse_total[None, :]
        gram = gram * inverse_total[:, None] * inverse_total[None, :]

    gate = scalar_of(gate_tensor, gate)
    temperature = scalar_of(temperature_tensor, temperature)
    q = gram
    w = p
    dtemperature = 0.0
    dgate = 0.0
    dscores = tl.zeros([ROWS, ROWS], tl.float32)
    if GRAM:
        inverse, above_floor = inverse_norms(gram, ROWS)
        cos = gram * inverse[:, None] * inverse[None, :]
        dcos = tl.zeros([ROWS, ROWS], tl.float32)
        if grad_diversity is not None:
            PAIRS: tl.constexpr = N * (K - 1) if K > 1 else 1
            pushed = channel_pairs(region, valid, ROWS) & (cos > margin)
            dcos += tl.where(pushed, tl.load(grad_diversity + sample) / PAIRS, 0.0)
        if SCORES:
            s = tl.load(correlation + sample * N * N + square, mask=both_valid, other=0.0)
            if grad_correlation is not None:
                ds = tl.load(grad_correlation + sample * N * N + square, mask=both_valid, other=0.0)
            else:
                ds = tl.zeros([ROWS, ROWS], tl.float32)
            if REFINED:
                ds += gate * p
                pulled = s * p
                own = diagonal(p, ROWS)
                # Rows of s sum to 1: small terms instead of a small difference, where the precision is worth registers.
                dgate = tl.sum(pulled) - tl.sum(own) if PRECISION == "tf32" else tl.sum(s * (p - own[:, None]))
                row_dot += (1.0 - gate) * own + gate * tl.sum(pulled, 0)
                i = tl.arange(0, ROWS)
                w = gate * tl.trans(s) + tl.where(i[:, None] == i[None, :], 1.0 - gate, 0.0)
            dscores = correlation_backward(s, ds)
            dtemperature = -tl.sum(dscores * cos) / (temperature * temperature)
            dcos += dscores / temperature
        q = gram_backward(dcos, cos, inverse, above_floor, ROWS)
        row_dot += tl.sum(q * gram, 1)
    if AT_RELATION >= 0:
        tl.store(partial + AT_RELATION + square, dscores, mask=both_valid & owns)
    if AT_TEMPERATURE >= 0:
        tl.store(partial + AT_TEMPERATURE, dtemperature, mask=owns)
    if AT_GATE >= 0:
        tl.store(partial + AT_GATE, dgate, mask=owns)

    if (grad_features is not None) or (grad_maps is not None) or NEEDS_WEIGHT or AT_BIAS >= 0:
        weight_sum = tl.zeros([ROWS, PART_D], tl.float32) if G == 1 else tl.zeros([K_PAD, R_PAD, PART_D], tl.float32)
        bias_sum = tl.zeros([ROWS], tl.float32)
        for l0 in range(0, L, BLOCK_L):
            pos = l0 + tl.arange(0, BLOCK_L)
            inside = valid[:, None] & (pos < L)[None, :]
            m = derive_tile(
                features, maps_in, weight, bias, peak, inverse_total,
                f_c, f_l, 0, 0, l0, L, R, K, D, G, R_PAD, K_PAD, BLOCK_D, BLOCK_L,
SOFTMAX, PRECISION,
            )  # fmt: skip
            if grad_maps_out is not None:
                dm = given_tile(grad_maps_out, n, inside, pos, L)
            else:
                dm = tl.zeros([ROWS, BLOCK_L], tl.float32)
            if MERGED:
                dm_refined = refined_gradient_tile(
                    grad_attention,
                    partial_attention,
                    partial_along,
                    winner,
                    0,
                    0,
                    l0,
                    L,
                    slices,
                    alongs,
                    R,
                    K,
                    R_PAD,
                    K_PAD,
                    MERGE,
                    BLOCK_L,
                )
                if REFINED:
                    dm = tl.dot(w, dm_refined, dm, input_precision=PRECISION)
                else:
                    dm += dm_refined
            if GRAM:
                dm = tl.dot(q, m, dm, input_precision=PRECISION)
            if grad_maps is not None:
                tl.store(grad_maps + n[:, None] * L + pos[None, :], dm, mask=inside)
            if features is not None:
                dz = tl.where(inside, logits_gradient(m, dm, row_dot, L, SOFTMAX), 0.0)
                if SOFTMAX:
                    bias_sum = 0.0 * row_dot  # a constant on a row changes no softmax: 0, or the row's NaN
                else:
                    bias_sum += tl.sum(dz, 1)
                if grad_features is not None:
                    df = features_gradient(dz, weight, 0, 0, d0, R, K, D, G, R_PAD, K_PAD, PART_D, NARROW, PRECISION)
                    store_features_tile(grad_features, df, g_c, g_l, 0, d0, l0, L, K, D, G, K_PAD, PART_D, BLOCK_L)
                if NEEDS_WEIGHT:
                    weight_sum = weight_gradient(
                        weight_sum, dz, features, f_c, f_l, 0, d0, l0, L,
                        K, D, G, R_PAD, K_PAD, PART_D, BLOCK_L, NARROW, PRECISION,
                    )  # fmt: skip
        if NEEDS_WEIGHT:
            store_weight_gradient(partial + AT_WEIGHT, weight_sum, 0, 0, d0, R, K, D, G, R_PAD, K_PAD, PART_D)
        if AT_BIAS >= 0:
            tl.store(partial + AT_BIAS + n, bias_sum, mask=valid & owns)
