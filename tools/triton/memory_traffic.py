"""Bytes that the launches of a call move, counted from their geometry, next to the lower bound of the specification.

    python -m tools.triton.memory_traffic

`device` counts every tensor once per launch, as if a cache served all repeats; `repeated` counts the bytes that programs
of one launch read again: in the slices of C that recompute the maps, the second pass, and the blocks of the blocked path.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.shapes import GPU_SHAPES, SHAPES, lower_bound_bytes
from sma_kernels.triton_kernels.plan import ceil_div
from tools.triton.recorder import RecordedLaunch, attention_head, backward_launches, forward_launches

OUTPUTS = {"blocked_gram_backward_kernel": 3}  # how many leading arguments a kernel writes, if not one


@dataclass(frozen=True)
class Traffic:
    read: int
    written: int
    repeated: int

    @property
    def device(self) -> int:
        return self.read + self.written


def _bytes(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()


def _repeats(launch: RecordedLaunch) -> dict[str, float]:
    """How often a whole tensor is read, for the tensors that are read more than once."""
    grid, name, sizes = launch.grid, launch.kernel.__name__, launch.sizes()
    if name == "forward_kernel":
        passes = 1 if sizes["SINGLE"] else 2
        return {"inputs.features": passes * grid[1], "inputs.maps": passes * grid[1]}
    if name == "pool_kernel":
        return {"attention": grid[1], "values.data": grid[2]}
    if name == "value_gradients_kernel":
        slices, chunks = launch.arguments["slices"], grid[2]
        return {"attention": slices, "grad_pooled": chunks, "values.data": grid[1] // slices}
    if name == "backward_kernel":
        both = 2 * grid[1]
        own = 1 if sizes["WEIGHT"] >= 0 else 0
        grads = ("grads.partial_attention", "grads.argmax", "grads.attention")
        return {"inputs.features": both + own, **dict.fromkeys(grads, both)}
    if name == "moments_kernel":
        share = 1 if sizes["G"] == 1 else grid[1]  # with a feature group per channel, a block reads only its own groups
        sides = 1 if _blocks(sizes) == 1 else 2
        return {"inputs.features": sides * grid[1] * grid[2] / share, "grads.argmax": grid[1] * grid[2]}
    if name == "blocked_attention_kernel":
        return {"inputs.features": 1 + _others(sizes)}
    if name == "blocked_maps_backward_kernel":
        every = grid[2] * sizes["PROGRAM_BLOCKS"] * grid[1] * (1 + _others(sizes)) / _blocks(sizes)
        return dict.fromkeys(("inputs.features", "grads.partial_attention", "grads.argmax"), every)
    return {}


def _blocks(sizes: dict) -> int:
    """Blocks of maps of one sample."""
    return ceil_div(sizes["K"], sizes["K_PAD"]) * ceil_div(sizes["R"], sizes["R_PAD"])


def _others(sizes: dict) -> int:
    """Blocks that are computed again for each block, which is none if one block holds all maps."""
    blocks = _blocks(sizes)
    return 0 if blocks == 1 else blocks


def traffic_of(launch: RecordedLaunch) -> Traffic:
    outputs = launch.kernel.arg_names[: OUTPUTS.get(launch.kernel.__name__, 1)]
    repeats = _repeats(launch)
    read = written = repeated = 0
    for path, tensor in launch.flat().items():
        if not isinstance(tensor, Tensor):
            continue
        size = _bytes(tensor)
        if path.partition(".")[0] in outputs:
            written += size
        else:
            read += size
            repeated += int(size * max(0.0, repeats.get(path, 1) - 1))
    return Traffic(read, written, repeated)


def main() -> None:
    print("| call | launch | grid | MB | read again, MB | lower bound, MB | ÷ lower bound |")
    print("|---" * 7 + "|")
    for shape in GPU_SHAPES:
        sizes = SHAPES[shape]
        for merge in ("max", "none"):
            head = attention_head(sizes, torch.bfloat16, merge, False)
            total = 0
            for direction, launches in (
                ("forward", forward_launches(head)),
                ("forward + backward", backward_launches(head)),
            ):
                for launch in launches:
                    moved = traffic_of(launch)
                    total += moved.device
                    name, grid = launch.kernel.__name__.removesuffix("_kernel"), "×".join(map(str, launch.grid))
                    cells = f"{name} | {grid} | {moved.device / 1e6:.1f} | {moved.repeated / 1e6:.1f}"
                    print(f"| {shape} {merge} | {cells} | | |")
                floor = lower_bound_bytes(sizes, torch.bfloat16, direction.replace(" ", ""))
                cells = f"**{direction}** | | {total / 1e6:.1f} | | {floor / 1e6:.1f} | {total / floor:.2f}"
                print(f"| {shape} {merge} | {cells} |")


if __name__ == "__main__":
    main()
