"""`python -m benchmarks.triton_tiles --out FILE`: times tile sizes of the Triton kernels against those of `plan.py`, on a GPU.

Each variant changes the launch of one kernel; a whole training step (bfloat16, NCHW, merge="max") is timed, captured in a
CUDA graph over inputs beyond the L2 cache, as in the GPU report. FILE gets one JSON object per line: shape, kernel ("plan"
for the tiles of plan.py), the changed sizes, and microseconds, or the error of a variant that fails. Variants compile on
first use, seconds each.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch

from benchmarks.baselines import with_backend
from benchmarks.gpu_report.measure import captured, copies_of
from benchmarks.passes import forward_backward
from benchmarks.shapes import GPU_SHAPES, SHAPES
from benchmarks.timing import interleaved, medians
from sma_kernels.triton_kernels import launch
from sma_kernels.triton_kernels.blocked import launch as blocked
from sma_kernels.triton_kernels.blocked.plan import BlockedPlan
from sma_kernels.triton_kernels.plan import BackwardPlan, ForwardPlan, Launch, Sizes, ceil_div

ROUNDS = 9
MAX_COPIES = 16


def _launch(launch: Launch, grid: tuple[int, ...], warps: int, stages: int = 1, **tiles: int) -> Launch:
    return replace(launch, grid=grid, warps=warps, stages=stages, tiles={**launch.tiles, **tiles})


def maps_forward(sizes: Sizes, base: ForwardPlan, warps: int, stages: int = 1, **tiles: int) -> ForwardPlan:
    grid = (sizes.batch, ceil_div(sizes.C, tiles["SLICE_C"])) if "SLICE_C" in tiles else base.maps.grid
    return replace(base, maps=_launch(base.maps, grid, warps, stages, **tiles))


def pool(sizes: Sizes, base: ForwardPlan, BLOCK_C: int, stages: int, **tiles: int) -> ForwardPlan:
    assert base.pool is not None
    grid = (sizes.batch, ceil_div(sizes.C, BLOCK_C), base.pool.grid[2])
    return replace(base, pool=_launch(base.pool, grid, base.pool.warps, stages, BLOCK_C=BLOCK_C, **tiles))


def values_backward(
    sizes: Sizes, base: BackwardPlan, warps: int, SLICE_C: int, BLOCK_C: int, BLOCK_L: int
) -> BackwardPlan:
    slices = ceil_div(sizes.C, SLICE_C)
    tiles = {
        "SLICE_C": SLICE_C,
        "BLOCK_C": BLOCK_C,
        "BLOCK_L": BLOCK_L,
        "CHUNK_L": BLOCK_L * ceil_div(sizes.L, BLOCK_L),
    }
    grid = (sizes.batch, slices * ceil_div(sizes.A, base.values.tiles["A_PAD"]), 1)
    return replace(base, values=_launch(base.values, grid, warps, **tiles), slices=slices)


def maps_backward(
    sizes: Sizes, base: BackwardPlan, warps: int, PART_D: int, stages: int = 1, **tiles: int
) -> BackwardPlan:
    grid = (sizes.batch, ceil_div(sizes.D, PART_D))
    return replace(base, maps=_launch(base.maps, grid, warps, stages, PART_D=PART_D, **tiles))


def blocks(sizes: Sizes, base: BlockedPlan, BLOCK_L: int, PART_D: int) -> BlockedPlan:
    return replace(base, tiles={**base.tiles, "BLOCK_L": BLOCK_L}, part_d=PART_D)


class Kernel(NamedTuple):
    change: Callable[..., Any]
    module: Any  # that requests the launch from plan.py
    planner: str


KERNELS = {
    "maps forward": Kernel(maps_forward, launch, "forward_plan"),
    "pool": Kernel(pool, launch, "forward_plan"),
    "values backward": Kernel(values_backward, launch, "backward_plan"),
    "maps backward": Kernel(maps_backward, launch, "backward_plan"),
    "blocks": Kernel(blocks, blocked, "blocked_plan"),
}


def _grid(**axes: tuple[int, ...]) -> list[dict[str, int]]:
    return [dict(zip(axes, sizes, strict=True)) for sizes in itertools.product(*axes.values())]


def variants(shape: str) -> Iterator[tuple[str, dict[str, int]]]:
    """(kernel, sizes to change) of the kernels that a training step at this shape launches."""
    channels = SHAPES[shape].values
    if shape in ("S1", "S2"):  # all positions in one tile, and the pooling in the same launch
        slices = tuple(sorted({min(channels, size) for size in (128, 256, 512, 1024)}))
        yield from (("maps forward", sizes) for sizes in _grid(warps=(4, 8, 16), SLICE_C=slices))
    else:
        yield from (
            ("maps forward", sizes) for sizes in _grid(warps=(4, 8, 16), BLOCK_L=(16, 32, 64, 128), stages=(1, 2))
        )
        yield from (("pool", sizes) for sizes in _grid(BLOCK_C=(32, 64, 128), BLOCK_L=(32, 64), stages=(2, 4)))
    slices = (channels, channels // 2, channels // 4)
    yield from (
        ("values backward", sizes)
        for sizes in _grid(SLICE_C=slices, BLOCK_C=(32, 64, 128), BLOCK_L=(32, 64), warps=(4, 8))
        if sizes["BLOCK_C"] <= sizes["SLICE_C"]
    )
    if shape == "S5":
        yield from (("blocks", sizes) for sizes in _grid(BLOCK_L=(16, 32), PART_D=(16, 32, 64)))
    else:
        yield from (
            ("maps backward", sizes) for sizes in _grid(PART_D=(16, 32, 64), warps=(4, 8, 16), BLOCK_L=(16, 32, 64))
        )


@contextmanager
def changed(kernel: str, sizes: dict[str, int]) -> Iterator[None]:
    """Launches of one kernel use these sizes instead of those of plan.py."""
    change, module, planner = KERNELS[kernel]
    plain = getattr(module, planner)
    with patch.object(module, planner, lambda call, *rest: change(call, plain(call, *rest), **sizes)):
        yield


def microseconds(copies: list[dict[str, torch.Tensor]], device: torch.device) -> float:
    triton = with_backend("sma_attention", "triton", merge="max")
    step = captured([forward_backward(triton, tensors) for tensors in copies], device)
    return round(1e6 * medians(interleaved({"step": step}, ROUNDS, device, warm_up=1))["step"] / len(copies), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.triton_tiles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--shapes", nargs="+", choices=GPU_SHAPES, default=GPU_SHAPES)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch finds no CUDA GPU here")
    device = torch.device("cuda")
    with args.out.open("w", buffering=1) as out:  # line by line: a hang loses no finished results
        for shape in args.shapes:
            copies = copies_of(SHAPES[shape], torch.bfloat16, torch.contiguous_format, device, MAX_COPIES)
            rows = [("plan", {}), *variants(shape)]
            for number, (kernel, sizes) in enumerate(rows, 1):
                row: dict[str, Any] = {"shape": shape, "kernel": kernel, **sizes}
                try:
                    with changed(kernel, sizes) if sizes else nullcontext():
                        row["us"] = microseconds(copies, device)
                except Exception as error:  # of this variant alone, such as too much shared memory
                    row["error"] = f"{type(error).__name__}: {error}"[:200]
                print(f"{shape}, {number} of {len(rows)}: {json.dumps(row)}", flush=True)
                out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
