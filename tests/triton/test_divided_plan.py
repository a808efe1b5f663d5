"""Few samples or many positions: programs, bytes and machine code of the launches that divide positions."""

import math
import os
import re

import pytest
import torch

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("launches are recorded from compiled kernels", allow_module_level=True)

from sma_kernels.args import AttentionArgs
from sma_kernels.triton_kernels.blocked.plan import blocked_plan
from sma_kernels.triton_kernels.plan import ENOUGH_PROGRAMS, Sizes, backward_plan, pool_launch
from tools.triton import codegen_report
from tools.triton.memory_traffic import traffic_of
from tools.triton.recorder import backward_launches, forward_launches

MULTIPROCESSORS = 132  # of an H100
BAG = dict(C=512, R=1, K=5, D=128, G=1)  # a bag of instances with one map per channel
FRAME = dict(C=1024, R=12, K=4, D=64, G=4)  # one sample of S3
STREAMS = {"moments_kernel", "blocked_attention_kernel", "blocked_maps_backward_kernel", "pool_kernel"} | {
    "value_gradients_kernel"
}
SPILLED = {"3.6": 8}  # bytes, by version of Triton
# of features and values, each read once, and of their gradients, written once
BYTES = {20_000: (1.27, 1.15), 100_000: (1.25, 1.14)}


def head(positions: int, C: int, R: int, K: int, D: int, G: int, merge: str, batch: int = 1) -> AttentionArgs:
    def feature_map(channels: int) -> torch.Tensor:
        return torch.empty(batch, channels, 1, positions, dtype=torch.bfloat16, device="meta")

    def parameter(*size: int) -> torch.Tensor:
        return torch.empty(size, device="meta")

    return AttentionArgs(
        values=feature_map(C),
        features=feature_map(G * D),
        weight=parameter(R, K, D),
        bias=parameter(R, K),
        temperature_tensor=parameter(),
        gate_tensor=parameter(),
        relation_bias=parameter(R * K, R * K),
        merge=merge,
        diversify=True,
        correlate=True,
    )


def name_of(launch) -> str:
    return launch.kernel.__name__


merges = pytest.mark.parametrize("merge", ("none", "max"))


@merges
@pytest.mark.parametrize("positions", BYTES)
def test_a_bag_fills_a_gpu_and_moves_few_bytes(positions, merge):
    args = head(positions, merge=merge, **BAG)
    once = 2 * positions * (BAG["C"] + BAG["G"] * BAG["D"])
    for launches, floor, limit in (
        (forward_launches(args), once, BYTES[positions][0]),
        (backward_launches(args), 2 * once, BYTES[positions][1]),
    ):
        moved = [traffic_of(launch) for launch in launches]
        assert floor < sum(traffic.device for traffic in moved) <= limit * floor
        # Two halves of D compute the maps in the backward, and blocks of C read the attention.
        assert sum(traffic.repeated for traffic in moved) <= 0.13 * floor
        for launch in launches:
            if name_of(launch) in STREAMS:
                assert 0.95 * MULTIPROCESSORS <= math.prod(launch.grid) <= 2 * ENOUGH_PROGRAMS, name_of(launch)


@merges
def test_one_frame_has_a_program_for_every_tile(merge):
    """196 positions are 13 tiles of 16, the shortest that a product allows."""
    args = head(196, merge=merge, **FRAME)
    grids = {name_of(launch): launch.grid for launch in forward_launches(args) + backward_launches(args)}
    assert {grids[name][0] for name in STREAMS - {"value_gradients_kernel"}} == {13}
    assert grids["value_gradients_kernel"][2] == 13
    assert min(math.prod(grids[name]) for name in ("pool_kernel", "value_gradients_kernel")) >= 104


@merges
def test_launches_of_a_divided_call(merge):
    args = head(20_000, merge=merge, **BAG)
    assert [name_of(launch).removesuffix("_kernel") for launch in forward_launches(args)] == [
        *("moments", "combine", "blocked_correlation", "blocked_attention", "pool", "finish_pooling")
    ]
    assert [name_of(launch).removesuffix("_kernel") for launch in backward_launches(args)] == [
        *("value_gradients", "add_parts", "moments", "combine", "softmax_rows", "blocked_gram_backward"),
        *("blocked_maps_backward", "reduce"),
    ]


@pytest.mark.parametrize("batch, positions, divided", ((16, 784, True), (17, 784, False), (1, 127, False)))
def test_few_samples_or_many_positions_are_divided(batch, positions, divided):
    sizes = dict(C=256, R=8, K=4, D=64, G=4, itemsize=2, merge="max")
    assert Sizes(batch=batch, L=positions, **sizes).divided == divided
    assert Sizes(batch=batch, L=positions, **sizes).backward_fits == (not divided)
    assert Sizes(batch=256, L=4097, **sizes).divided and not Sizes(batch=256, L=4096, **sizes).divided


def test_samples_of_many_lengths_share_a_few_compiled_kernels():
    """Lengths of chunks are compile-time sizes."""
    chunks, tiles = set(), set()
    for positions in range(1000, 100_000, 997):
        sizes = Sizes(batch=1, L=positions, itemsize=2, merge="none", **BAG)
        plan = blocked_plan(sizes)
        chunks |= {plan.moments_l, plan.attention_l, plan.gradients_l, pool_launch(sizes).tiles["CHUNK_L"]}
        values = backward_plan(sizes, 1).values.tiles
        chunks.add(values["CHUNK_L"])
        tiles.add((plan.tiles["BLOCK_L"], values["BLOCK_L"], values["SLICE_C"]))
    assert all(chunk & (chunk - 1) == 0 for chunk in chunks) and len(chunks) <= 8 and len(tiles) <= 6


@merges
@pytest.mark.parametrize("size", (BAG, FRAME), ids=("bag", "frame"))
def test_machine_code(size, merge):
    """No atomic addition, whose order would differ from run to run, and no spill but 8 bytes with Triton 3.6, except in the
    backward of 48 maps, which keeps as much in registers as that of S3."""
    args = head(20_000 if size is BAG else 196, merge=merge, **size)
    for launch in forward_launches(args) + backward_launches(args):
        ptx = codegen_report.compiled(launch, "sm_90").asm["ptx"]
        assert not re.search(r"\b(atom|red)\.", ptx), name_of(launch)
        allowed = (
            184
            if size is FRAME and name_of(launch) == "blocked_maps_backward_kernel"
            else SPILLED.get(codegen_report.VERSION, 0)
        )
        assert codegen_report.measure(launch, "sm_90")["spilled"] <= allowed, name_of(launch)
