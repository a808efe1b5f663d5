"""Breaks of the Triton kernels and their launchers, caught under Triton's interpreter."""

from tests.mutants.mutant import Mutant

NUMBERS = "tests/triton/interpreter/test_numbers.py"
EDGES = "tests/triton/interpreter/test_edges.py"
GUARDS = "tests/triton/interpreter/test_guards.py"
CODEGEN = "tests/triton/test_codegen.py"
GROUPED = (NUMBERS, "-k", "test_float32 and sma_attention and softmax-max-grouped")
SIGMOID = (NUMBERS, "-k", "test_float32 and sma_attention and sigmoid-mean-grouped")
TILES = (NUMBERS, "-k", "test_paths and several and max and not bfloat16 and not shared")
STAGED = (NUMBERS, "-k", "test_paths[staged-max]")


def kernel(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"sma_kernels/triton_kernels/{file}", old, new, tests, (("TRITON_INTERPRET", "1"),))


MUTANTS = [
    # A dropped mask.
    kernel(
        "pool.py", "mask=(pos < L)[:, None] & (c < C)[None, :], other=0.0", "other=0.0", GUARDS, "-k", "one and max"
    ),
    kernel(
        "attention_maps.py",
        "return tl.where(inside, 1.0 / (1.0 + tl.exp(-z)), 0.0)",
        "return 1.0 / (1.0 + tl.exp(-z))",
        *SIGMOID,
    ),
    # A dropped term, a scale, a sign.
    kernel("gram.py", "both = dcos + tl.trans(dcos)", "both = 2.0 * dcos", *TILES),
    kernel("gram.py", "- tl.where(i[:, None] == i[None, :], along[:, None], 0.0)", "", *TILES),
    kernel("staged_correlation_backward.py", "diagonal_i - along_i", "diagonal_i", *STAGED),
    kernel(
        "staged_correlation_backward.py",
        "tl.where(on_diagonal, q_ij, 0.0)",
        "tl.where(on_diagonal, 0.0, q_ij)",
        *STAGED,
    ),
    kernel("correlation.py", "return s * (ds - tl.sum(ds * s, 1)[:, None])", "return s * ds", *TILES),
    kernel("backward.py", "/ (temperature * temperature)", "/ temperature", *TILES),
    kernel("backward.py", "gate * tl.trans(s)", "gate * s", *TILES),
    kernel("backward.py", "row_dot = row_dot * shrink + gained", "row_dot = row_dot + gained", *TILES),
    kernel("pool.py", "along = tl.where(total > SUM_FLOOR, along * inverse, 0.0)", "along = along * 0.0", *TILES),
    kernel(
        "merge.py",
        "spread = tl.where(k < K, da[None, :, :] / K, 0.0)",
        "spread = tl.where(k < K, da[None, :, :], 0.0)",
        *SIGMOID,
    ),
    kernel("attention_maps_backward.py", "return dm * m * (1.0 - m)", "return dm * m", *SIGMOID),
    kernel(
        "attention_maps_backward.py",
        " * tl.where(L > 1, 1.0, 0.0)",
        "",
        NUMBERS,
        "-k",
        "odd_sizes and height and not values",
    ),
    # What earlier tiles summed, and an offset.
    kernel("attention_maps.py", "total * shrink + tl.sum(m, 1)", "total + tl.sum(m, 1)", *TILES),
    kernel("forward.py", "gram = gram * shrink[:, None] * shrink[None, :]", "gram = gram * shrink[:, None]", *TILES),
    kernel(
        "staged_forward.py", "return block % KB * K_PAD, block // KB * R_PAD", "return block % KB * K_PAD, 0", *STAGED
    ),
    kernel(
        "pool.py", "first = part * SLICE_C", "first = 0", NUMBERS, "-k", "test_paths and two and max and not bfloat16"
    ),
    # The winner of the maximum.
    kernel(
        "merge.py",
        "has_nan = tl.max(is_nan.to(tl.int32), 0) > 0",
        "has_nan = tl.max(is_nan.to(tl.int32), 0) > 1",
        EDGES,
        "-k",
        "nan_wins",
    ),
    kernel(
        "merge.py",
        "tl.min(tl.where(takes & (k < K), k, K), 0)",
        "tl.max(tl.where(takes & (k < K), k, 0), 0)",
        EDGES,
        "-k",
        "first_maximum",
    ),
    kernel("staged_forward.py", "better = (found > a)", "better = (found >= a)", EDGES, "-k", "first_maximum"),
    kernel(
        "gram.py",
        "tl.where(excess <= 0.0, 0.0, excess)",
        "tl.where(excess > 0.0, excess, 0.0)",
        EDGES,
        "-k",
        "nan_cosine",
    ),
    # An unwritten tail, and an order that depends on nothing but the launch.
    kernel(
        "plan.py",
        "reduce = Launch((ceil_div(parameters, block),)",
        "reduce = Launch((parameters // block,)",
        *GROUPED,
    ),
    kernel(
        "pool.py",
        "min(l_first + CHUNK_L, L)",
        "min(l_first + CHUNK_L, L // BLOCK_L * BLOCK_L)",
        GUARDS,
        "-k",
        "several and max",
    ),
    # Tiles that spill.
    Mutant(
        "sma_kernels/triton_kernels/plan.py",
        "        block_l = 16  # float16",
        "        block_l = 64  # float16",
        (CODEGEN, "-k", "S3-float16"),
    ),
    Mutant(
        "sma_kernels/triton_kernels/plan.py",
        "self.held <= self.max_rows",
        "self.held <= MAX_ROWS",
        (CODEGEN, "-k", "smaller_cards"),
    ),
    # Launchers.
    kernel("launch_backward.py", "self.gradient.copy_(self.written)", "pass", EDGES, "-k", "parameters_of_other"),
    kernel(
        "launch_staged.py",
        "walk(groups, sharing, groups, True, False)",
        "walk(groups, 1, groups, True, False)",
        NUMBERS,
        "-k",
        "staged and shared",
    ),
]
