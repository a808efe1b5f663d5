"""Chooses the blocks of maps of the blocked path, their tiles, and the chunks of positions that its launches divide."""

from dataclasses import dataclass
from functools import lru_cache

from sma_kernels.triton_kernels.plan import Sizes, ceil_div, chunk_length, divided_tile, padded

BLOCK_ROWS = 64  # rows of a block of maps
BLOCK_ROWS_SPLIT = 16  # the same with split operands: 32 rows spill on sm_80


@dataclass(frozen=True)
class BlockedPlan:
    """Blocks of K_PAD x R_PAD maps, the tiles of the kernels on them, and the lengths of their chunks of positions; 0 if one
    program walks all positions."""

    K_PAD: int
    R_PAD: int
    channel_blocks: int
    region_blocks: int
    tiles: dict[str, int]
    matrix: dict[str, int]  # tiles of the kernels on N x N matrices
    part_d: int
    moments_l: int
    attention_l: int
    gradients_l: int  # of the launch that writes partial sums of the parameters
    features_l: int  # of the one that writes features shared by several blocks

    @property
    def blocks(self) -> int:
        return self.channel_blocks * self.region_blocks


@lru_cache
def blocked_plan(sizes: Sizes) -> BlockedPlan:
    rows = BLOCK_ROWS_SPLIT if sizes.split else BLOCK_ROWS
    k_pad = max(1, min(padded(sizes.K), rows // 16))
    r_pad = rows // k_pad
    if sizes.rows <= rows:
        k_pad, r_pad = sizes.K_PAD, sizes.R_PAD
    channel_blocks, region_blocks = ceil_div(sizes.K, k_pad), ceil_div(sizes.R, r_pad)
    blocks = channel_blocks * region_blocks
    block_l = 32 if sizes.timed else 16
    few_rows = sizes.timed and k_pad * r_pad <= 16
    part_d = min(64 if sizes.timed else 16, padded(max(sizes.D, 1), 16))
    parts = max(1, ceil_div(sizes.D, part_d))
    moments_l = attention_l = gradients_l = features_l = 0
    if sizes.divided:
        block_l = divided_tile(sizes, 64 if few_rows else 32)
        attention_l = chunk_length(sizes, block_l, blocks if sizes.merge == "none" else region_blocks)
        gradients_l = chunk_length(sizes, block_l, blocks * parts)
        features_l = chunk_length(sizes, block_l, (1 if sizes.G == 1 else channel_blocks) * parts)
        moments_l = chunk_length(sizes, block_l, blocks * blocks)
        if moments_l >= sizes.L:
            moments_l = 0  # nothing to combine
    return BlockedPlan(
        k_pad,
        r_pad,
        channel_blocks,
        region_blocks,
        {"BLOCK_L": block_l, "BLOCK_D": min(64 if few_rows else 32, padded(max(sizes.D, 1), 16))},
        {"BLOCK_I": 16, "BLOCK_J": min(64, padded(sizes.N, 16))},
        part_d,
        moments_l,
        attention_l,
        gradients_l,
        features_l,
    )
