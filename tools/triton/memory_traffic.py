"""Bytes that the launches of a call move, counted from their geometry, beside the floor of the specification.

    python -m tools.triton.memory_traffic

`device` counts every tensor once per launch, as if all repeats were served by a cache; `repeated` is what programs of
one launch read again: the slices of C that derive the maps anew, the second walk, the blocks of the staged path.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.triton.recorder import (
    SHAPES,
    RecordedLaunch,
    attention_head,
    backward_launches,
    forward_launches,
)

WRITTEN = {  # the first arguments of a kernel are its outputs: their number
    "forward_kernel": 7,
    "pool_kernel": 1,
    "value_gradients_kernel": 3,
    "backward_kernel": 3,
    "reduce_kernel": 5,
    "moments_kernel": 4,
    "staged_correlation_kernel": 2,
    "staged_attention_kernel": 4,
    "staged_value_gradient_kernel": 1,
    "softmax_rows_kernel": 1,
    "staged_gram_backward_kernel": 4,
    "staged_maps_backward_kernel": 3,
}


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


def _ceil_div(size: int, block: int) -> int:
    return -(-size // block)


def _repeats(launch: RecordedLaunch) -> dict[str, float]:
    """How often a whole tensor is read, for the arguments that are read more than once."""
    arguments, grid, name = launch.arguments, launch.grid, launch.kernel.__name__
    if name == "forward_kernel":
        walks = 1 if arguments["SINGLE"] else 2
        return {"features": walks * grid[1], "maps_in": walks * grid[1]}
    if name == "pool_kernel":
        return {"attention": grid[1], "values": grid[2]}
    if name == "value_gradients_kernel":
        slices, chunks = arguments["slices"], grid[2]
        return {"attention": slices, "grad_pooled": chunks, "values": grid[1] // slices}
    if name == "backward_kernel":
        both = 2 * grid[1]
        own = 1 if arguments["AT_WEIGHT"] >= 0 else 0
        return {"features": both + own, **dict.fromkeys(("partial_attention", "winner", "grad_attention"), both)}
    if name == "moments_kernel":
        return {"features": 2 * grid[1] * grid[2] / _share(arguments, grid[1]), "winner": grid[1] * grid[2]}
    if name == "staged_attention_kernel":
        return {"features": 1 + _blocks(arguments)}
    if name == "staged_maps_backward_kernel":
        blocks = _blocks(arguments)
        every = grid[2] * arguments["SHARING"] * grid[1] * (1 + blocks) / blocks
        return {"features": every, "partial_attention": every, "winner": every}
    return {}


def _blocks(arguments: dict) -> int:
    """Blocks of maps of one sample."""
    return _ceil_div(arguments["K"], arguments["K_PAD"]) * _ceil_div(arguments["R"], arguments["R_PAD"])


def _share(arguments: dict, blocks: int) -> int:
    """With a feature group per channel, a block reads its own groups only."""
    return 1 if arguments["G"] == 1 else blocks


def traffic_of(launch: RecordedLaunch) -> Traffic:
    tensors = {name: value for name, value in launch.arguments.items() if isinstance(value, Tensor)}
    outputs = launch.kernel.arg_names[: WRITTEN[launch.kernel.__name__]]
    repeats = _repeats(launch)
    read = written = repeated = 0
    for name, tensor in tensors.items():
        size = _bytes(tensor)
        if name in outputs:
            written += size
        else:
            read += size
            repeated += int(size * max(0.0, repeats.get(name, 1) - 1))
    return Traffic(read, written, repeated)


def floors(shape: str, dtype: torch.dtype) -> tuple[int, int]:
    """The specification's floor: |X| + |F| forward, 3|X| + 3|F| with the backward."""
    head = attention_head(SHAPES[shape], dtype, "max", False)
    inputs = _bytes(head.values) + _bytes(head.features)
    return inputs, 3 * inputs


def main() -> None:
    print("| call | launch | grid | MB | read again, MB | floor, MB | share of the floor |")
    print("|---" * 7 + "|")
    for shape in SHAPES:
        for merge in ("max", "none"):
            head = attention_head(SHAPES[shape], torch.bfloat16, merge, False)
            forward, both = floors(shape, torch.bfloat16)
            total = 0
            for direction, launches, floor in (
                ("forward", forward_launches(head), forward),
                ("forward + backward", backward_launches(head), both),
            ):
                for launch in launches:
                    moved = traffic_of(launch)
                    total += moved.device
                    name, grid = launch.kernel.__name__.removesuffix("_kernel"), "×".join(map(str, launch.grid))
                    cells = f"{name} | {grid} | {moved.device / 1e6:.1f} | {moved.repeated / 1e6:.1f}"
                    print(f"| {shape} {merge} | {cells} | | |")
                cells = f"**{direction}** | | {total / 1e6:.1f} | | {floor / 1e6:.1f} | {total / floor:.2f}"
                print(f"| {shape} {merge} | {cells} |")


if __name__ == "__main__":
    main()
