"""Merge of the channels of a region, and the spread of a merged gradient back over them."""

import triton
import triton.language as tl


@triton.jit
def merge_tile(m, K: tl.constexpr, R_PAD: tl.constexpr, K_PAD: tl.constexpr, BLOCK_L: tl.constexpr, MERGE: tl.constexpr):
    """(A, winning channel) of a tile [K_PAD*R_PAD, BLOCK_L]: [R_PAD, BLOCK_L], or the tile itself for "none".

    NaN counts as the maximum and the first of equals wins, as torch.argmax has it; a plain maximum drops NaN.
    """
    if MERGE == "none":
        return m, 0
    else:
        by_channel = tl.reshape(m, [K_PAD, R_PAD, BLOCK_L])
        if MERGE == "mean":
            return tl.sum(by_channel, 0) / K, 0
        else:
            k = tl.arange(0, K_PAD)[:, None, None]
            is_nan = by_channel != by_channel
            has_nan = tl.max(is_nan.to(tl.int32), 0) > 0
            largest = tl.max(tl.where((k < K) & (is_nan == 0), by_channel, float("-inf")), 0)
            takes = is_nan | ((has_nan[None, :, :] == 0) & (by_channel == largest[None, :, :]))
            winner = tl.min(tl.where(takes & (k < K), k, K_PAD), 0)
            return tl.where(has_nan, float("nan"), largest), winner


@triton.jit
def spread_tile(
    da, winner, K: tl.constexpr, R_PAD: tl.constexpr, K_PAD: tl.constexpr, BLOCK_L: tl.constexpr, MERGE: tl.constexpr
):
    """Gradient [K_PAD*R_PAD, BLOCK_L] of the refined maps from that of A; winner [R_PAD, BLOCK_L] int32 for "max"."""
    if MERGE == "none":
        return da
    else:
        k = tl.arange(0, K_PAD)[:, None, None]
        if MERGE == "mean":
            spread = tl.where(k < K, da[None, :, :] / K, 0.0)
        else:
            spread = tl.where(winner[None, :, :] == k, da[None, :, :], 0.0)
        return tl.reshape(spread, [K_PAD * R_PAD, BLOCK_L])
