"""Mutants of the division of positions over programs in Triton, detected in its interpreter or from recorded launches."""

from tests.mutants.mutant import Mutant
from tests.mutants.triton import NUMBERS, kernel

FILE = "tests/triton/interpreter/test_divided.py"
PLAN = "tests/triton/test_divided_plan.py"
DIVIDED = (f"{NUMBERS}::test_paths[divided-max]",)
GUARDED = ("tests/triton/interpreter/test_guards.py::test_paths[divided-max]",)
MAXIMA = (FILE, "-k", "differ_by_more_than_exp and not -40")
EMPTY = (FILE, "-k", "valid_positions_in_one_chunk_only")
INFINITE = (FILE, "-k", "infinite_logits")


def plan(old: str, new: str, *tests: str, file: str = "plan.py") -> Mutant:
    return Mutant(f"sma_kernels/triton_kernels/{file}", old, new, (PLAN, *tests))


MUTANTS = [
    # Statistics of chunks: maximum, rescaling, valid positions.
    kernel("chunks.py", "row_max = tl.max(chunk_max, 0)", "row_max = tl.min(chunk_max, 0)", *MAXIMA),
    kernel("chunks.py", "tl.exp(chunk_max - safe_row_max(row_max)[None, :])", "chunk_max * 0.0 + 1.0", *DIVIDED),
    kernel("chunks.py", "safe_row_max(row_max)[None, :]", "row_max[None, :]", *EMPTY),
    kernel("chunks.py", "mask=inside, other=0.0) * factor, 0)", "mask=inside, other=0.0), 0)", *DIVIDED),
    kernel("chunks.py", "tl.where(valid > 0.0, 1.0 / row_sum, 0.0)", "1.0 / row_sum", *EMPTY),
    kernel("chunks.py", "tl.where(valid > 0.0,", "tl.where(row_sum > 0.0,", *INFINITE),
    kernel("chunks.py", "return factor * inverse[None, :],", "return factor,", *DIVIDED),
    kernel("chunks.py", "gram * factor_i * factor_j", "gram * factor_i", *DIVIDED),
    kernel("chunks.py", "products * factor_j", "products * factor_i", *DIVIDED),
    kernel("chunks.py", "delta * factor_i", "delta", *DIVIDED),
    kernel("blocked/forward.py", "sums = sum_i if DIVIDED else inverse_i", "sums = inverse_i", *DIVIDED),
    kernel("blocked/forward.py", "if NORMALIZED and not DIVIDED:", "if NORMALIZED:", *DIVIDED),
    # Bounds of a chunk, its sample, and where it leaves its sums.
    kernel("attention_maps.py", "tl.minimum(first + CHUNK_L, L)", "first + CHUNK_L", *EMPTY),
    kernel(
        "attention_maps.py",
        "(tl.program_id(0) % chunks) * CHUNK_L",
        "(tl.program_id(0) % chunks) * (CHUNK_L // 2)",
        *DIVIDED,
    ),
    kernel("attention_maps.py", "return program // chunks,", "return program % chunks,", *EMPTY),
    kernel("blocked/forward.py", "square = chunk * N * N", "square = sample * N * N", *GUARDED),
    kernel("blocked/forward.py", "outputs.delta + chunk * N", "outputs.delta + sample * N", *GUARDED),
    kernel("blocked/forward.py", "outputs.attention_sum + chunk * A", "outputs.attention_sum + sample * A", *GUARDED),
    kernel(
        "blocked/backward.py",
        "chunk * OFFSETS.NUMEL + OFFSETS.WEIGHT",
        "sample * OFFSETS.NUMEL + OFFSETS.WEIGHT",
        *DIVIDED,
    ),
    kernel("pool.py", "pooled + (chunk * A", "pooled + (sample * A", *GUARDED),
    kernel("chunks.py", "inside = (c < chunks)[:, None] & in_row[None, :]", "inside = in_row[None, :]", *GUARDED),
    kernel("chunks.py", "inside = (part < parts)[:, None] &", "inside =", *GUARDED),
    kernel("chunks.py", "mask=part < sum_chunks, other=0.0", "mask=part < sum_chunks + 1, other=0.0", *GUARDED),
    kernel("chunks.py", "mask=(chunk < chunks)[:, None] & (c < C)[None, :]", "mask=(c < C)[None, :]", *GUARDED),
    # Launches.
    kernel(
        "launch.py",
        "return partials._replace(delta=delta, partials=1)",
        "return partials._replace(partials=1)",
        *DIVIDED,
    ),
    # An order that must depend only on the launch.
    plan(
        "tl.store(attention_sum + sample * A + a, total,",
        "tl.atomic_add(attention_sum + sample * A + a, total,",
        "-k",
        "machine_code and bag and none",
        file="chunks.py",
    ),
    # Numbers of programs, bytes and kernels.
    plan("return padded(ceil_div(sizes.L,", "return block_l * ceil_div(ceil_div(sizes.L,", "-k", "share"),
    plan("wanted_programs(sizes.batch * programs)", "wanted_programs(sizes.batch)", "-k", "fills"),
    plan("return self.L > MAX_POSITIONS or", "return", "-k", "few_samples"),
    plan("block_l //= 2", "break", "-k", "one_frame"),
    plan("ceil_div(sizes.L, divided_tile(sizes, 64)), MAX", "1, MAX", "-k", "fills"),
    plan("if sizes.rows <= rows:", "if False:", "-k", "fills", file="blocked/plan.py"),
]
