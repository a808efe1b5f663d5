"""Samples that more blocks share than a cluster holds: cooperative launches of the head, and chunks of the pooling."""

import pytest
import torch

from tests.cuda_emulator import emulated
from tests.cuda_emulator.test_operators import NHWC
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case

# One sample or two on six multiprocessors without clusters, with so little shared memory that a block alone would place
# its maps in the workspace: several tiles per slice, more maps than a warp has lanes, rows without alignment, and maps of
# the caller.
SHARED = {
    "two-samples": Case(batch=2, regions=4, channels=3, embed=5, values=5, height=11, width=28),
    "several-tiles": Case(batch=1, regions=6, channels=2, embed=3, values=7, height=1, width=301, merge="none"),
    "many-maps": Case(batch=1, regions=9, channels=4, embed=2, values=5, height=8, width=25, merge="mean"),
    "channels-last": Case(batch=1, regions=5, channels=3, embed=8, values=9, height=19, width=15, layout=NHWC),
    "sigmoid": Case(batch=1, regions=4, channels=3, embed=3, values=9, height=19, width=16, activation="sigmoid"),
    "given-maps": Case(function="correlate_attention", batch=1, regions=4, channels=3, height=13, width=25),
}
SHARED_LIMITS = {torch.float32: 80 * 1024, torch.bfloat16: 52 * 1024, torch.float16: 52 * 1024}


@pytest.fixture
def cooperative(emulated_gpu):
    emulated_gpu.max_cluster, emulated_gpu.processors = 1, 6
    return emulated_gpu


def sizes_of(case: Case) -> dict[str, int]:
    groups = 1 if case.shared else case.channels
    return {
        **{"batch": case.batch, "R": case.regions, "K": case.channels, "G": groups},
        **{"D": case.embed, "C": case.values, "L": case.height * case.width},
    }


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", [name for name, case in SHARED.items() if case.function == "sma_attention"])
def test_the_launches_are_cooperative(name, dtype, backend, cooperative):
    case, cooperative.shared_limit = SHARED[name], SHARED_LIMITS[dtype]
    launches = emulated.count(sizes_of(case), dtype, case.merge)["launches"]
    heads = [launch for launch in launches if launch.kernel.startswith("head")]
    assert [launch.cooperative for launch in heads] == [True, True]
    assert all(case.batch < launch.blocks <= 6 and launch.cluster == 1 for launch in heads)


@pytest.mark.parametrize(
    ("name", "dtype", "masked"),
    [
        *((name, torch.float32, False) for name in SHARED),
        ("two-samples", torch.bfloat16, True),
        ("several-tiles", torch.float16, False),
        ("many-maps", torch.bfloat16, True),
        ("channels-last", torch.bfloat16, True),
    ],
    ids=str,
)
def test_error_rule(name, dtype, masked, backend, device, cooperative):
    cooperative.shared_limit = SHARED_LIMITS[dtype]
    case = cases.replace(SHARED[name], masked=masked)
    assert not error_rule.error_excess(case, dtype, backend, device, seeds=2)


# More rows of A than a block holds, samples of several chunks, a last chunk with a tile that is not full.
CHUNKS = {
    "rows": Case(function="attention_pool", batch=1, regions=35, channels=1, values=70, height=1, width=1100),
    "samples": Case(
        function="attention_pool", batch=3, regions=1, channels=2, values=9, height=40, width=40, merge="none"
    ),
    "channels-last": Case(
        function="attention_pool", batch=2, regions=2, channels=2, values=72, height=33, width=32, layout=NHWC
    ),
}


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", CHUNKS)
def test_blocks_share_the_positions_of_the_pooling(name, dtype, backend, device, emulated_gpu):
    emulated_gpu.processors = 100
    assert not error_rule.error_excess(CHUNKS[name], dtype, backend, device, seeds=2)


def test_chunks_of_a_masked_sample(backend, device, emulated_gpu):
    emulated_gpu.processors, emulated_gpu.max_cluster, emulated_gpu.cooperative = 100, 8, False
    case = Case(batch=1, regions=1, channels=2, embed=3, values=9, height=1, width=1100, masked=True)
    assert not error_rule.error_excess(case, torch.bfloat16, backend, device, seeds=2)
    launches = emulated.count(sizes_of(case), torch.bfloat16, case.merge)["launches"]
    assert any(launch.kernel.startswith("reduce_pooled") for launch in launches)


def test_blocks_without_finite_logits(backend, cooperative):
    """Their maps are 0 where another block has finite logits; a row without any is NaN, as in PyTorch."""
    cooperative.shared_limit = SHARED_LIMITS[torch.float32]
    features = torch.full((2, 1, 1, 308), 2.0)
    features[0, ..., 150:160] = 0.0
    tensors = {"features": features, "weight": torch.full((4, 3, 1), -3e38), "bias": None}
    case = Case(function="multi_channel_attention", regions=4, embed=1, shared=True, height=1, width=308, bias=False)
    (maps,) = cases.call(case, tensors, backend)
    assert maps[1].isnan().all()
    torch.testing.assert_close(maps[0], ((features[0] == 0) / 10.0).expand(4, 3, 1, 308))


def test_blocks_without_a_valid_position(backend, cooperative):
    cooperative.shared_limit = SHARED_LIMITS[torch.float32]
    case = cases.replace(SHARED["two-samples"], masked=True)
    tensors = cases.inputs(case, torch.float32)
    tensors["mask"] = torch.zeros(2, 11, 28, dtype=torch.bool)
    tensors["mask"][0, 9, 10:20] = True
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, backend)
    for name, tensor in expected.items():
        torch.testing.assert_close(
            actual[name], tensor, rtol=2e-4, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_order_of_threads_changes_no_answer(backend, cooperative):
    cooperative.shared_limit = SHARED_LIMITS[torch.float32]
    case = SHARED["two-samples"]
    tensors = cases.inputs(case, torch.float32)
    first = cases.run(case, tensors, backend)
    for seed in (2, 3):
        cooperative.seed = seed
        for name, tensor in cases.run(case, tensors, backend).items():
            assert torch.equal(tensor, first[name]), name


BAG = {"R": 1, "K": 5, "G": 1, "D": 128, "C": 512}  # of instances, for pooling by attention


@pytest.mark.parametrize(
    ("batch", "length"), ((1, 20_000), (1, 100_000), (3, 20_000), (4, 20_000), (64, 20_000)), ids=str
)
def test_long_sequences_fill_the_gpu(batch, length, backend, emulated_gpu):
    """Nine of ten of its 132 multiprocessors, in all launches that read values or features."""
    emulated_gpu.__dict__.update(shared_limit=227 * 1024, processors=132, max_cluster=8)
    for launch in emulated.count({"batch": batch, **BAG, "L": length}, torch.bfloat16, "none")["launches"]:
        assert launch.blocks >= 119 or launch.kernel.startswith("reduce"), launch.kernel


def test_no_launch_is_cooperative_where_a_cluster_suffices(backend, emulated_gpu):
    """Positions for six blocks."""
    emulated_gpu.__dict__.update(shared_limit=227 * 1024, processors=132, max_cluster=8)
    sizes = {"batch": 1, "R": 8, "K": 8, "G": 8, "D": 1024, "C": 64, "L": 300}
    launches = emulated.count(sizes, torch.bfloat16, "max")["launches"]
    assert not any(launch.cooperative for launch in launches)


def test_few_blocks_with_many_maps_share_a_sample(backend, emulated_gpu):
    """Each has N x N matrices in device memory, which 108 blocks would fill with gigabytes."""
    emulated_gpu.__dict__.update(shared_limit=163 * 1024, processors=108)
    sizes = {"batch": 1, "R": 256, "K": 4, "G": 4, "D": 64, "C": 256, "L": 6400}
    counts = emulated.count(sizes, torch.bfloat16, "max")
    assert max(counts["forward_workspace"], counts["backward_workspace"]) < 300e6


@pytest.mark.parametrize("merge", ("max", "none"))
def test_a_long_sequence_moves_little_more_than_its_inputs(merge, backend, emulated_gpu):
    """Bytes of a forward in bfloat16: values and features once, maps and attention, and what passes through memory."""
    emulated_gpu.__dict__.update(shared_limit=227 * 1024, processors=132, max_cluster=8)
    length = 100_000
    counts = emulated.count({"batch": 1, **BAG, "L": length}, torch.bfloat16, merge)
    inputs = 2 * length * (BAG["C"] + BAG["D"])
    maps = 2 * length * BAG["K"]
    attention = maps if merge == "none" else maps // BAG["K"]
    assert inputs + maps + 2 * attention + 2 * counts["forward_workspace"] < 1.05 * inputs
