"""Mutants of the CUDA kernels where blocks share samples over the whole grid, detected on the emulated GPU."""

from tests.mutants.mutant import Mutant

TESTS = "tests/cuda_emulator/test_cooperative.py"


def kernel(file: str, old: str, new: str, keywords: str) -> Mutant:
    return Mutant(f"csrc/cuda/{file}", old, new, (TESTS, "-k", keywords))


HEAD = "error_rule and two-samples and bfloat16"
PLAN = "launches_are_cooperative and two-samples"
SAMPLES = "share_the_positions and samples and bfloat16"

MUTANTS = (
    # The barriers of the grid, and a barrier of the cluster in their stead.
    kernel("cluster.cuh", "offer(sum);\n    sync();", "offer(sum);", HEAD),
    kernel("cluster.cuh", "add_share(sum);\n      sync_grid();", "add_share(sum);", HEAD),
    kernel("cluster.cuh", "      sync_grid();\n    } else {", "      sync_cluster();\n    } else {", HEAD),
    kernel("attention_maps.cuh", "slice.sync();\n    softmax", "softmax", HEAD),
    # A share of the elements: another start, fewer blocks, the sum left to one block or read from another.
    kernel("cluster.cuh", "start = rank * share", "start = 0 * share", HEAD),
    kernel("cluster.cuh", "team.sum(blocks(),", "team.sum(blocks() - 1,", HEAD),
    kernel("cluster.cuh", "(offered(0, index), total)", "(offered(rank, index), total)", HEAD),
    kernel("cluster.cuh", "division_.cooperative ? 1 : blocks()", "blocks()", HEAD),
    # Statistics of the softmax of one block only.
    kernel("attention_maps.cuh", "team.max(slice.blocks(), maximum_of)", "team.max(1, maximum_of)", HEAD),
    kernel("attention_maps.cuh", "(maximum_of(from) - maximum)", "(maximum - maximum)", HEAD),
    # The plan and the launch.
    kernel("plan_head.cuh", "device.sm_count / batch", "device.sm_count * batch / batch", PLAN),
    kernel("plan_head.cuh", "if (most > blocks / 2 && most > device.max_cluster)", "if (false)", "fill_the_gpu"),
    kernel("plan_head.cuh", "blocks / 2 && most > device.max_cluster", "blocks / 2", "where_a_cluster"),
    kernel("plan_head.cuh", "division.cooperative && bytes > kMax", "false && bytes > kMax", "many_maps_share"),
    kernel("launch_forward.cuh", "division.cooperative ? 1 : division.cluster", "division.cluster", PLAN),
    # Chunks of the pooling: positions of another chunk, parts of another sample, a part left out.
    kernel("pool.cuh", "min(first_position + p.chunk_positions, n.positions)", "n.positions", SAMPLES),
    kernel("pool.cuh", "chunk * p.batch * n.rows", "chunk * n.rows", SAMPLES),
    kernel("reduce_pooled.cuh", "chunk < p.chunks;", "chunk < p.chunks - 1;", SAMPLES),
    kernel(
        "launch_forward.cuh", "max(int64_t{1}, min(3 * sm_count", "max(int64_t{1}, min(0 * sm_count", "fill_the_gpu"
    ),
)
