"""Mutants of the Triton kernels and their launchers, detected in Triton's interpreter."""

from tests.mutants.mutant import Mutant

NUMBERS = "tests/triton/interpreter/test_numbers.py"
EDGES = "tests/triton/interpreter/test_interpreter_edges.py"
GUARDS = "tests/triton/interpreter/test_guards.py"
LAYOUT = "tests/triton/test_layout.py"
CODEGEN = "tests/triton/test_codegen.py"
GROUPED = (NUMBERS, "-k", "test_float32 and sma_attention and softmax-max-grouped")
SIGMOID = (NUMBERS, "-k", "test_float32 and sma_attention and sigmoid-mean-grouped")
TILES = (NUMBERS, "-k", "test_paths and several and max and not bfloat16 and not shared")
BLOCKED = (NUMBERS, "-k", "test_paths[blocked-max]")


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
    kernel("gram.py", "dcos_sym = dcos + tl.trans(dcos)", "dcos_sym = 2.0 * dcos", *TILES),
    kernel("gram.py", "- tl.where(i[:, None] == i[None, :], row_projection[:, None], 0.0)", "", *TILES),
    kernel("blocked/correlation.py", "diag_i - row_projection", "diag_i", *BLOCKED),
    kernel(
        "blocked/correlation.py",
        "tl.where(on_diagonal, q_ij, 0.0)",
        "tl.where(on_diagonal, 0.0, q_ij)",
        *BLOCKED,
    ),
    kernel("correlation.py", "return s * (ds - tl.sum(ds * s, 1)[:, None])", "return s * ds", *TILES),
    kernel("fused/backward.py", "/ (t * t)", "/ t", *TILES),
    kernel("fused/backward.py", "g * tl.trans(s)", "g * s", *TILES),
    kernel("fused/backward.py", "delta = delta * alpha + tile_delta", "delta = delta + tile_delta", *TILES),
    kernel("pool.py", "delta = tl.where(total > SUM_FLOOR, delta * inverse, 0.0)", "delta = delta * 0.0", *TILES),
    kernel(
        "merge.py",
        "spread = tl.where(k < TILE.K, da[None, :, :] / TILE.K, 0.0)",
        "spread = tl.where(k < TILE.K, da[None, :, :], 0.0)",
        *SIGMOID,
    ),
    kernel("attention_maps.py", "return dm * m * (1.0 - m)", "return dm * m", *SIGMOID),
    kernel(
        "attention_maps.py",
        " * tl.where(L > 1, 1.0, 0.0)",
        "",
        NUMBERS,
        "-k",
        "odd_sizes and height and not values",
    ),
    # Sums of earlier tiles, and an offset.
    kernel("attention_maps.py", "row_sum * alpha + tl.sum(m, 1)", "row_sum + tl.sum(m, 1)", *TILES),
    kernel("fused/forward.py", "gram = gram * alpha[:, None] * alpha[None, :]", "gram = gram * alpha[:, None]", *TILES),
    kernel(
        "blocked/forward.py",
        "return block % KB * TILE.K_PAD, block // KB * TILE.R_PAD",
        "return block % KB * TILE.K_PAD, 0",
        *BLOCKED,
    ),
    kernel(
        "pool.py",
        "first = slice_id * POOL.SLICE_C",
        "first = 0",
        NUMBERS,
        "-k",
        "test_paths and two and max and not bfloat16",
    ),
    # The argmax.
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
        "tl.min(tl.where(is_max & (k < K), k, K), 0)",
        "tl.max(tl.where(is_max & (k < K), k, 0), 0)",
        EDGES,
        "-k",
        "first_maximum",
    ),
    kernel(
        "blocked/forward.py",
        "greater_or_nan = (block_a > a)",
        "greater_or_nan = (block_a >= a)",
        EDGES,
        "-k",
        "first_maximum",
    ),
    kernel(
        "gram.py",
        "tl.where(excess <= 0.0, 0.0, excess)",
        "tl.where(excess > 0.0, excess, 0.0)",
        EDGES,
        "-k",
        "nan_cosine",
    ),
    # An unwritten tail, and an order that must depend only on the launch.
    kernel(
        "plan.py",
        "reduce = Launch((ceil_div(parameters, block),)",
        "reduce = Launch((parameters // block,)",
        *GROUPED,
    ),
    kernel(
        "pool.py",
        "min(l_first + POOL.CHUNK_L, L)",
        "min(l_first + POOL.CHUNK_L, L // BLOCK_L * BLOCK_L)",
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
        "self.register_rows <= self.max_rows",
        "self.register_rows <= MAX_ROWS",
        (CODEGEN, "-k", "smaller_gpus"),
    ),
    # Launchers.
    Mutant("sma_kernels/triton_kernels/call.py", "size == 1 or stride == step", "stride == step", (LAYOUT,)),
    Mutant("sma_kernels/triton_kernels/call.py", "height * width == 1 or not nchw", "not nchw", (LAYOUT,)),
    Mutant(
        "sma_kernels/triton_kernels/call.py",
        "(batch_stride if batch > 1 else",
        "(batch_stride if batch else",
        (LAYOUT,),
    ),
    kernel("launch.py", "self.gradient.copy_(self.written)", "pass", EDGES, "-k", "parameters_of_other"),
    kernel(
        "blocked/launch.py",
        "launch(plan.features_l, groups, sharing, groups,",
        "launch(plan.features_l, groups, 1, groups,",
        NUMBERS,
        "-k",
        "blocked and shared",
    ),
]
