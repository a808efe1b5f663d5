"""Mutants of the places where the Triton kernels apply a mask, detected in Triton's interpreter."""

from tests.mutants.mutant import Mutant
from tests.mutants.triton import kernel

FILE = "tests/triton/interpreter/test_interpreter_mask.py"
READ = "test_nothing_at_invalid_positions_is_read"
ZERO = "test_gradients_of_invalid_positions_are_zero_even_if_all_others_are_nan"
RULE = "test_error_rule_in_bfloat16"
INFINITE = "test_a_map_of_infinite_logits_is_nan_unless_no_position_is_valid"
POOLED = "values_tile(x_data, x_c, x_l, c, pos, C, X_L)"
SOURCE_MASK = "advance(inputs.mask, sample * L)"


def mutant(file: str, old: str, new: str, test: str, case: str):
    return kernel(file, old, new, f"{FILE}::{test}[{case}]")


def inside(file: str, after: str, case: str, rows: str = "valid", test: str = READ):
    """Positions that are not valid count as inside; `after` is what follows the place."""
    old = f"inside = {rows}[:, None] & valid_positions(source.mask, pos, L)[None, :]"
    new = f"inside = {rows}[:, None] & (pos < L)[None, :]"
    return mutant(file, old + after, new + after, test, case)


MUTANTS = [
    # Maps: what their softmax sums, what the second pass computes, and what a map that is NaN holds at other positions.
    inside("attention_maps.py", "\n    if source.features is None:\n        m =", "one launch-max-nchw", test=RULE),
    inside("attention_maps.py", "\n    if source.features is None:\n        return", "blocked-max-nchw", test=RULE),
    mutant(
        "fused/forward.py",
        "valid_only(m * inverse_row_sum[:, None], source.mask, pos[None, :], L)",
        "m * inverse_row_sum[:, None]",
        INFINITE,
        "one launch",
    ),
    # A sample without a valid position, and one whose first is far from the start.
    mutant("mask.py", "tl.where(count_valid(mask, 0, L) > 0, inverse, 0.0)", "inverse", RULE, "one launch-max-nchw"),
    mutant("mask.py", "tl.where(count_valid(mask, 0, L) > 0, inverse, 0.0)", "inverse", RULE, "blocked-max-nchw"),
    mutant(
        "mask.py",
        "return tl.where(count_valid(mask, 0, L) > 0, inverse, 0.0)",
        "return tl.where(row_sum > 0.0, inverse, 0.0)",
        INFINITE,
        "one launch",
    ),
    mutant(
        "mask.py",
        "l0 + tl.arange(0, BLOCK)",
        "tl.arange(0, BLOCK)",
        "test_a_valid_position_far_from_the_first",
        "blocked",
    ),
    # Positions past the end, and other samples.
    mutant("mask.py", "mask=pos < L, other=0", "mask=pos < L, other=1", RULE, "one launch-max-nchw"),
    mutant("fused/forward.py", SOURCE_MASK, "inputs.mask", RULE, "one launch-max-nchw"),
    mutant("fused/backward.py", SOURCE_MASK, "inputs.mask", RULE, "one launch-max-nchw"),
    mutant("blocked/backward.py", SOURCE_MASK, "inputs.mask", RULE, "blocked-max-nchw"),
    *(
        mutant(
            "blocked/forward.py",
            f"{SOURCE_MASK},\n        f_c,\n        f_l,\n    )\n    {after}",
            f"inputs.mask,\n        f_c,\n        f_l,\n    )\n    {after}",
            RULE,
            "blocked-max-nchw",
        )
        for after in ("grads =", "statistics =")
    ),
    *(
        mutant("pool.py", f"    mask = advance(mask, sample * L)\n    {after}", f"    {after}", RULE, case)
        for after, case in (
            ("acc =", "two launches-max-nchw"),
            ("if outputs.data", "one launch-max-nchw"),
            ("dx =", "blocked, many pooled rows-none-nhwc"),
        )
    ),
    # Values.
    *(
        mutant(
            "fused/forward.py",
            f"x = valid_only({POOLED}, source.mask, pos[:, None], L)\n{' ' * 20}acc = pool_tile({maps},",
            f"x = {POOLED}\n{' ' * 20}acc = pool_tile({maps},",
            READ,
            case,
        )
        for maps, case in (("a", "one launch-max-nchw"), ("a_tile", "one launch, several tiles-max-nchw"))
    ),
    mutant(
        "pool.py",
        "valid_only(values_tile(x_data, x_c, x_l, c, pos, C, L), mask, pos[:, None], L)",
        "values_tile(x_data, x_c, x_l, c, pos, C, L)",
        READ,
        "two launches-max-nchw",
    ),
    # Gradients of A, of the maps and of the logits.
    mutant(
        "pool.py",
        "valid_only(tl.where(inside_a, da * inverse[:, None], 0.0), mask, pos[None, :], L)",
        "tl.where(inside_a, da * inverse[:, None], 0.0)",
        READ,
        "one launch-max-nchw",
    ),
    inside("fused/backward.py", "\n            tile_delta", "one launch-max-nchw"),
    inside("fused/backward.py", "\n            m =", "one launch-max-nchw"),
    inside("blocked/forward.py", "", "blocked-max-nchw", "valid_i"),
    inside("blocked/backward.py", "", "blocked-max-nchw", "valid_i"),
    # Features: in the gradient of the weight, each in the other arrangement of groups.
    mutant(
        "attention_maps.py", "f = valid_only(f, source.mask, pos[None, :], L)", "pass", READ, "one launch-none-nhwc"
    ),
    mutant(
        "attention_maps.py",
        "f = valid_only(f, source.mask, pos[None, None, :], L)",
        "pass",
        READ,
        "one launch-max-nchw",
    ),
    # Gradients that are written.
    mutant("attention_maps.py", "valid_only(df, mask, pos[None, :], L)", "df", ZERO, "one launch-none-nhwc"),
    mutant(
        "attention_maps.py", "df = valid_only(df, mask, pos[None, None, :], L)", "pass", ZERO, "one launch-max-nchw"
    ),
    mutant(
        "pool.py",
        "c[None, :] * dx_c,\n                    valid_only(dx, mask, pos[:, None], L)",
        "c[None, :] * dx_c,\n                    dx",
        ZERO,
        "one launch-max-nchw",
    ),
    mutant(
        "pool.py",
        "c[None, :] * dx_c,\n        valid_only(dx, mask, pos[:, None], L)",
        "c[None, :] * dx_c,\n        dx",
        ZERO,
        "blocked, many pooled rows-none-nhwc",
    ),
    # A masked load instead of a mask on what was loaded.
    Mutant(
        "sma_kernels/triton_kernels/pool.py",
        "x = valid_only(values_tile(x_data, x_c, x_l, c, pos, C, L), mask, pos[:, None], L)",
        "x = values_tile(x_data, x_c, x_l, c, tl.where(tl.load(mask + pos), pos, L) if mask is not None else pos, C, L)",
        ("tests/triton/test_codegen.py", "-k", "a_mask"),
    ),
]
