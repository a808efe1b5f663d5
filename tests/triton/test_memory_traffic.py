"""Bytes moved, counted from the launch geometry, stay near the lower bounds |X| + |F| and 3|X| + 3|F|."""

import os

import pytest
import torch

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("launches are recorded from compiled kernels", allow_module_level=True)

from benchmarks.shapes import GPU_SHAPES, SHAPES, lower_bound_bytes
from tools.triton.memory_traffic import traffic_of
from tools.triton.recorder import attention_head, backward_launches, forward_launches

LIMITS = {"S1": (1.4, 1.5), "S2": (1.3, 1.3), "S3": (1.15, 1.2), "S4": (1.15, 1.1), "S5": (1.15, 1.35)}
LAUNCHES = {"S1": (1, 3), "S2": (1, 3), "S3": (2, 3), "S4": (2, 3), "S5": (2, 6)}


@pytest.mark.parametrize("shape", GPU_SHAPES)
def test_bytes_and_launches(shape):
    """In addition to the lower bound: outputs, partial gradients of A and of the parameters; for S5, N x N scratch."""
    head = attention_head(SHAPES[shape], torch.bfloat16, "max", False)
    forward, backward = forward_launches(head), backward_launches(head)
    assert (len(forward), len(backward)) == LAUNCHES[shape]
    moved = sum(traffic_of(launch).device for launch in forward)
    both = moved + sum(traffic_of(launch).device for launch in backward)
    floor, floor_both = (
        lower_bound_bytes(SHAPES[shape], torch.bfloat16, passes) for passes in ("forward", "forward+backward")
    )
    limit, limit_both = LIMITS[shape]
    assert floor < moved <= limit * floor and floor_both < both <= limit_both * floor_both


def test_slices_read_the_values_once():
    for shape in ("S1", "S5"):
        head = attention_head(SHAPES[shape], torch.bfloat16, "max", False)
        values = head.values
        for launch in forward_launches(head) + backward_launches(head):
            if launch.flat().get("values.data") is not None:
                sizes = launch.sizes()
                blocks = sizes.get("SLICE_C") or sizes["BLOCK_C"]
                slices = launch.arguments.get("slices", launch.grid[1])
                assert slices * blocks >= values.shape[1] > (slices - 1) * blocks
