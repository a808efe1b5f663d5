"""Chooses the launches of a call and their tile sizes: plain numbers, without torch or Triton.

Tiles of bfloat16 are the fastest of those timed on an H200 (docs/gpu-kernels.md). The others come from compiling for sm_80,
sm_90, sm_100 and gfx942 (tools/triton/codegen-*.json): the largest that neither spill registers nor pass 99 KB of shared
memory (64 KB on gfx942), except for the spills that docs/gpu-kernels.md lists. Plans of recent sizes are remembered.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

MAX_ROWS = 128  # rows of a tile of maps, padding included, that one program holds in the forward
MAX_ROWS_BACKWARD = 64  # the backward holds several N x N matrices at once
SPLIT_OPERANDS = 2  # operands in two parts need twice the registers, so tiles have half the rows
MAX_ROWS_POOLED = 64  # rows of A in the backward of the pooling
MAX_WIDTH = 256  # D
MAX_POSITIONS = 4096  # beyond it one program per sample takes too long
FEW_SAMPLES = 16  # so few leave most multiprocessors of a large GPU idle if each has one program
MIN_DIVIDED = 128  # positions from which dividing those of few samples is worth its additional launches
MANY_POSITIONS = 512  # L from which passes over positions take longer than the algebra of N x N matrices
ENOUGH_PROGRAMS = 256  # about two on each multiprocessor of a large GPU
MAX_RECOMPUTED = 0.5  # share of |X| that re-reading F in every slice may cost before the maps get a separate launch
MAX_PARTIALS = 0.1  # share of a slice's traffic that its partial gradient of A may cost
MAX_PARTIALS_DIVIDED = 0.8  # the same for few samples, whose partial gradients stay in the L2 cache


def padded(size: int, minimum: int = 1) -> int:
    """The next power of two, at least `minimum`."""
    return max(minimum, 1 << (size - 1).bit_length())


@dataclass(frozen=True)
class Sizes:
    """Sizes of one call; C = 0 without values, D = 0 if the maps are inputs."""

    batch: int
    C: int
    L: int
    R: int
    K: int
    D: int
    G: int
    itemsize: int
    merge: str
    split: bool = False  # products of float32 operands, each in two parts: three TF32 products
    amd: bool = False
    max_rows: int = MAX_ROWS  # of the forward

    @cached_property
    def N(self) -> int:
        return self.R * self.K

    @cached_property
    def A(self) -> int:
        return self.N if self.merge == "none" else self.R

    @cached_property
    def K_PAD(self) -> int:
        return padded(self.K)

    @cached_property
    def R_PAD(self) -> int:
        """Padded so that products over the regions of a group, and over all rows of a tile, are at least 16 long."""
        return padded(self.R, 16 if self.G > 1 else max(1, 16 // self.K_PAD))

    @cached_property
    def rows(self) -> int:
        return self.K_PAD * self.R_PAD

    @cached_property
    def register_rows(self) -> int:
        """Rows of a tile, weighted by the registers that their products need."""
        return self.rows * (SPLIT_OPERANDS if self.split else 1)

    @cached_property
    def divided(self) -> bool:
        """Whether several programs share the positions of a sample."""
        return self.L > MAX_POSITIONS or (self.batch <= FEW_SAMPLES and self.L >= MIN_DIVIDED)

    @cached_property
    def forward_fits(self) -> bool:
        return self.register_rows <= self.max_rows and self.D <= MAX_WIDTH and not self.divided

    @cached_property
    def timed(self) -> bool:
        """Whether tiles were chosen by times on an H200: those of bfloat16 on NVIDIA GPUs."""
        return self.itemsize == 2 and not (self.split or self.amd)

    @cached_property
    def backward_fits(self) -> bool:
        return self.forward_fits and self.register_rows <= MAX_ROWS_BACKWARD


known_sizes = lru_cache(Sizes)  # one object for equal sizes, so that what follows from them is computed once


@dataclass(frozen=True)
class Launch:
    """Grid and compile-time sizes of one kernel."""

    grid: tuple[int, ...]
    tiles: dict[str, int]
    warps: int
    stages: int = 1


@dataclass(frozen=True)
class ForwardPlan:
    maps: Launch
    pool: Launch | None  # a second launch, if `maps` does not pool
    single: bool  # all positions in one tile
    pools: bool  # `maps` pools as well


@dataclass(frozen=True)
class BackwardPlan:
    values: Launch
    values_blocked: Launch | None  # a separate launch for the gradient of the values, if A spans several blocks
    slices: int
    maps: Launch
    parameters: Launch


def ceil_div(size: int, block: int) -> int:
    return -(-size // block)


def chunk_count(size: int, chunk: int) -> int:
    """Chunks of `size` positions; one if the chunk's length is 0, which stands for positions that are not divided."""
    return ceil_div(size, chunk) if chunk else 1


def wanted_programs(batch: int) -> int:
    """Programs per sample that fill a GPU."""
    return max(1, ENOUGH_PROGRAMS // max(1, batch))


def chunk_length(sizes: Sizes, block_l: int, programs: int) -> int:
    """Positions of a chunk, if each chunk of a sample has `programs` programs: enough chunks to fill a GPU. A power of two,
    so that samples of many lengths share a few compiled kernels."""
    return padded(ceil_div(sizes.L, wanted_programs(sizes.batch * programs)), block_l)


def divided_tile(sizes: Sizes, widest: int, programs: int = 1) -> int:
    """Positions of a tile, if each chunk of a sample has `programs` programs: fewer where a GPU would lack programs."""
    block_l = widest
    while block_l > 16 and 2 * programs * ceil_div(sizes.L, block_l) < wanted_programs(sizes.batch):
        block_l //= 2
    return block_l


def _map_tiles(sizes: Sizes, backward: bool) -> tuple[dict[str, int], int]:
    """BLOCK_L, BLOCK_D and warps of a kernel that computes maps."""
    block_l, warps = _timed_tile(sizes, backward) if sizes.timed else _unspilled_tile(sizes, backward)
    block_d = max(16, (64 if sizes.itemsize == 4 else 128) // padded(sizes.G))
    tiles = {
        "BLOCK_L": min(block_l, padded(sizes.L, 16)),
        "BLOCK_D": min(block_d, padded(max(sizes.D, 1), 16), 64),
    }
    return tiles, warps


def _timed_tile(sizes: Sizes, backward: bool) -> tuple[int, int]:
    """Positions and warps, the fastest of those that were timed on an H200 at the standard shapes in bfloat16."""
    if not backward:
        return (64, 4) if sizes.rows <= 64 else (32, 8)
    # More warps need fewer registers per thread for the N x N matrices; fewer are faster over many positions.
    return 64 if sizes.L > 64 else 32, 8 if sizes.rows > 32 and sizes.L <= MANY_POSITIONS else 4


def _unspilled_tile(sizes: Sizes, backward: bool) -> tuple[int, int]:
    """Positions and warps that do not spill."""
    block_l = 16 if sizes.rows > 64 else 32 if backward else 64
    if sizes.split and sizes.itemsize == 2 and sizes.register_rows > 64 and sizes.L > 64:
        block_l = 16  # float16: tiles of 64 positions spill up to 520 bytes on sm_80, of 32 positions up to 32
    return block_l, 4 if sizes.rows <= 32 or (sizes.amd and backward) else 8


@lru_cache
def pool_launch(sizes: Sizes) -> Launch:
    """A separate launch for the pooling, which reads stored attention; with divided positions, it pools each chunk."""
    a_pad = min(padded(sizes.A, 16), MAX_ROWS_POOLED)
    block_c = min(64 if a_pad > 32 else 128, padded(sizes.C, 16))
    block_l = min(32 if sizes.split else 64, padded(sizes.L, 16))
    blocks = ceil_div(sizes.C, block_c), ceil_div(sizes.A, a_pad)
    chunk_l = 0
    if sizes.divided:
        block_l = divided_tile(sizes, block_l, math.prod(blocks))
        chunk_l = chunk_length(sizes, block_l, math.prod(blocks))
    return Launch(
        (sizes.batch * chunk_count(sizes.L, chunk_l), *blocks),
        {"BLOCK_C": block_c, "BLOCK_L": block_l, "A_PAD": a_pad, "CHUNK_L": chunk_l},
        4,
        stages=2,
    )


def columns_launch(batch: int, chunks: int, columns: int) -> Launch:
    """A launch that adds the chunks of each sample, a program for some of the columns."""
    CHUNKS = padded(chunks)
    BLOCK = min(max(16, 4096 // CHUNKS), padded(columns, 16))
    return Launch((batch, ceil_div(columns, BLOCK)), {"CHUNKS": CHUNKS, "BLOCK": BLOCK}, 8)


@lru_cache
def forward_plan(sizes: Sizes) -> ForwardPlan:
    tiles, warps = _map_tiles(sizes, backward=False)
    single = tiles["BLOCK_L"] >= sizes.L
    a_pad = sizes.rows if sizes.merge == "none" else sizes.R_PAD
    block_c = min(64 if a_pad > 32 else 128, padded(max(sizes.C, 1), 16))
    blocks = ceil_div(sizes.C, block_c)
    wanted = min(blocks, wanted_programs(sizes.batch)) if single else blocks
    features = sizes.G * sizes.D if sizes.D else sizes.N
    while single and wanted > 1 and (wanted - 1) * features > MAX_RECOMPUTED * sizes.C:
        wanted -= 1
    slice_c = block_c * padded(ceil_div(blocks, max(1, wanted)))
    slices = ceil_div(sizes.C, slice_c)
    pools = sizes.C > 0 and (single or (slices - 1) * features <= MAX_RECOMPUTED * sizes.C)
    maps = Launch(
        (sizes.batch, slices if pools else 1),
        {**tiles, "SLICE_C": slice_c if pools else block_c, "BLOCK_C": block_c},
        warps,
    )
    pool = pool_launch(sizes) if sizes.C and not pools else None
    return ForwardPlan(maps, pool, single, pools)


@lru_cache
def backward_plan(sizes: Sizes, parameters: int) -> BackwardPlan:
    """`parameters` is the length of one sample's partial parameter gradients."""
    a_pad = min(padded(sizes.A, 16), MAX_ROWS_POOLED)
    block_l, block_c = 32, 32 if sizes.split or a_pad > 16 else 64
    tiles_l, max_partials = 1, MAX_PARTIALS
    if sizes.divided:  # positions first, since every slice of C writes a partial gradient of A of its own
        tiles_l, max_partials = ceil_div(sizes.L, divided_tile(sizes, 64)), MAX_PARTIALS_DIVIDED
    enough_c = ceil_div(sizes.C, wanted_programs(sizes.batch * tiles_l))
    if sizes.timed and a_pad <= 16:
        block_l, block_c = 64, 128 if enough_c > 64 else 64
    if sizes.divided:
        block_l = divided_tile(sizes, block_l)
    block_l, block_c = min(block_l, padded(sizes.L, 16)), min(block_c, padded(max(sizes.C, 1), 16))
    least = max_partials * 2 * sizes.itemsize  # a slice of s channels moves 2*s*itemsize bytes per position
    slice_c = padded(max(1, enough_c), block_c)
    while slice_c < sizes.C and least * slice_c < 8 * sizes.A:
        slice_c *= 2
    slice_c = min(slice_c, padded(max(sizes.C, 1), block_c))
    slices = max(1, ceil_div(sizes.C, slice_c))
    chunks = min(ceil_div(sizes.L, block_l), wanted_programs(sizes.batch * slices))
    chunk_l = block_l * ceil_div(ceil_div(sizes.L, block_l), chunks)
    if sizes.divided:
        chunk_l = chunk_length(sizes, block_l, slices * ceil_div(sizes.A, a_pad))
    values = Launch(
        (sizes.batch, slices * ceil_div(sizes.A, a_pad), ceil_div(sizes.L, chunk_l)),
        {"A_PAD": a_pad, "SLICE_C": slice_c, "CHUNK_L": chunk_l, "BLOCK_C": block_c, "BLOCK_L": block_l},
        8 if sizes.split else 4,
    )
    values_blocked = None
    if a_pad < sizes.A:
        values_blocked = Launch(
            (sizes.batch, ceil_div(sizes.C, block_c), ceil_div(sizes.L, block_l)),
            {"BLOCK_A": 32, "BLOCK_C": block_c, "BLOCK_L": block_l},
            4,
        )
    tiles, warps = _map_tiles(sizes, backward=True)
    part_d = min(32 if sizes.timed or sizes.rows <= 32 else 16, padded(max(sizes.D, 1), 16))
    maps = Launch((sizes.batch, max(1, ceil_div(sizes.D, part_d))), {**tiles, "PART_D": part_d}, warps)
    block = 128
    reduce = Launch((ceil_div(parameters, block),), {"BLOCK_B": 16, "BLOCK": block}, 4)
    return BackwardPlan(values, values_blocked, slices, maps, reduce)
