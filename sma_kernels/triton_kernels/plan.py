"""Chooses the launches of a call and their tile sizes: plain numbers, without torch or Triton.

Tiles of bfloat16 are the fastest of those timed on an H200 (docs/gpu-kernels.md). The others come from compiling for sm_80,
sm_90, sm_100 and gfx942 (tools/triton/codegen-*.json): the largest that neither spill registers nor pass 99 KB of shared
memory (64 KB on gfx942), except for the spills that docs/gpu-kernels.md lists. Plans of recent sizes are remembered.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

MAX_ROWS = 128  # rows of a tile of maps, padding included, that one program holds in the forward
MAX_ROWS_BACKWARD = 64  # the backward holds several N x N matrices at once
SPLIT_OPERANDS = 2  # operands in two parts need twice the registers, so tiles have half the rows
MAX_ROWS_POOLED = 64  # rows of A in the backward of the pooling
BLOCK_ROWS = 64  # rows of a block of maps in the blocked path
BLOCK_ROWS_SPLIT = 16  # the same with split operands: 32 rows spill on sm_80
MAX_WIDTH = 256  # D
MAX_POSITIONS = 4096  # beyond it one program per sample takes too long
MANY_POSITIONS = 512  # L from which passes over positions take longer than the algebra of N x N matrices
ENOUGH_PROGRAMS = 256  # about two on each multiprocessor of a large GPU
MAX_RECOMPUTED = 0.5  # share of |X| that re-reading F in every slice may cost before the maps get a separate launch
MAX_PARTIALS = 0.1  # share of a slice's traffic that its partial gradient of A may cost


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
    def forward_fits(self) -> bool:
        return self.register_rows <= self.max_rows and self.D <= MAX_WIDTH and self.L <= MAX_POSITIONS

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
    """A separate launch for the pooling, which reads stored attention."""
    a_pad = min(padded(sizes.A, 16), MAX_ROWS_POOLED)
    block_c = min(64 if a_pad > 32 else 128, padded(sizes.C, 16))
    return Launch(
        (sizes.batch, ceil_div(sizes.C, block_c), ceil_div(sizes.A, a_pad)),
        {"BLOCK_C": block_c, "BLOCK_L": min(32 if sizes.split else 64, padded(sizes.L, 16)), "A_PAD": a_pad},
        4,
        stages=2,
    )


@lru_cache
def forward_plan(sizes: Sizes) -> ForwardPlan:
    tiles, warps = _map_tiles(sizes, backward=False)
    single = tiles["BLOCK_L"] >= sizes.L
    a_pad = sizes.rows if sizes.merge == "none" else sizes.R_PAD
    block_c = min(64 if a_pad > 32 else 128, padded(max(sizes.C, 1), 16))
    blocks = ceil_div(sizes.C, block_c)
    wanted = min(blocks, max(1, ENOUGH_PROGRAMS // max(1, sizes.batch))) if single else blocks
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
    enough_c = ceil_div(sizes.C, max(1, ENOUGH_PROGRAMS // max(1, sizes.batch)))
    if sizes.timed and a_pad <= 16:
        block_l, block_c = 64, 128 if enough_c > 64 else 64
    block_l, block_c = min(block_l, padded(sizes.L, 16)), min(block_c, padded(max(sizes.C, 1), 16))
    least = MAX_PARTIALS * 2 * sizes.itemsize  # a slice of s channels moves 2*s*itemsize bytes per position
    slice_c = padded(max(1, enough_c), block_c)
    while slice_c < sizes.C and least * slice_c < 8 * sizes.A:
        slice_c *= 2
    slice_c = min(slice_c, padded(max(sizes.C, 1), block_c))
    slices = max(1, ceil_div(sizes.C, slice_c))
    chunks = min(ceil_div(sizes.L, block_l), max(1, ENOUGH_PROGRAMS // max(1, sizes.batch * slices)))
    chunk_l = block_l * ceil_div(ceil_div(sizes.L, block_l), chunks)
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


@dataclass(frozen=True)
class BlockedPlan:
    """Blocks of K_PAD x R_PAD maps, and the tiles of the kernels on them."""

    K_PAD: int
    R_PAD: int
    channel_blocks: int
    region_blocks: int
    tiles: dict[str, int]
    matrix: dict[str, int]  # tiles of the kernels on N x N matrices
    part_d: int

    @property
    def blocks(self) -> int:
        return self.channel_blocks * self.region_blocks


@lru_cache
def blocked_plan(sizes: Sizes) -> BlockedPlan:
    rows = BLOCK_ROWS_SPLIT if sizes.split else BLOCK_ROWS
    k_pad = max(1, min(padded(sizes.K), rows // 16))
    r_pad = rows // k_pad
    return BlockedPlan(
        k_pad,
        r_pad,
        ceil_div(sizes.K, k_pad),
        ceil_div(sizes.R, r_pad),
        {"BLOCK_L": 32 if sizes.timed else 16, "BLOCK_D": min(32, padded(max(sizes.D, 1), 16))},
        {"BLOCK_I": 16, "BLOCK_J": min(64, padded(sizes.N, 16))},
        min(64 if sizes.timed else 16, padded(max(sizes.D, 1), 16)),
    )
