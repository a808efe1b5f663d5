"""Mutants of the mask of valid positions: the CPU kernels, the registration, and the module."""

from tests.mutants.mutant import Mutant

MASK = "tests/operators/test_mask.py"
GARBAGE = (MASK, "-k", "nothing_at_invalid")
EMPTY = (MASK, "-k", "without_a_valid")
MODES = "tests/torch_integration/test_mask_modes.py"


def kernel(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"csrc/cpu/{file}", old, new, tests)


MUTANTS = [
    kernel("matrix.h", "in.mask + sample * shape.positions", "in.mask", MASK, "-k", "alone"),
    kernel("attention_maps.h", "if (!valid[l]) row[l] = -INFINITY;", "", MASK, "-k", "alone"),
    kernel("attention_maps.h", "l >= shape.positions || !valid[l]", "l >= shape.positions", *EMPTY),
    kernel("attention_maps.h", "valid && l < width", "valid && l < shape.positions", *EMPTY),
    kernel("map_gemm.h", "positions >= kLongSum && all_valid(map, tile)", "positions >= kLongSum", *GARBAGE),
    kernel("matrix.h", "i < to_row; ++i) to[l * to_row + i] = 0;", "false; ++i) {}", *GARBAGE),
    kernel("matrix.h", "!map.valid[tile.position + l]", "!map.valid[l]", MASK, "-k", "odd_sizes"),
    kernel("forward.h", "sample, valid_positions(shape, in, sample));", "sample);", *GARBAGE),
    kernel("attention_maps.h", "features(in.features, sample, valid)", "features(in.features, sample)", *GARBAGE),
    kernel(
        "backward.h",
        "clear_invalid(valid(), positions, last - first, width(), dattention + first * width());",
        "",
        *GARBAGE,
    ),
    kernel(
        "backward.h",
        "clear_invalid(valid(), positions, last - first, width(), scratch.dmaps + first * width());",
        "",
        *(MASK, "-k", "bad_incoming"),
    ),
    kernel("pool.h", "clear_invalid(dvalues, tile);", "", MASK, "-k", "infinite_loss"),
    kernel("attention_maps.h", "clear_invalid(dfeatures, tile);", "", MASK, "-k", "infinite_loss"),
    Mutant(
        "csrc/ops/args.cpp",
        "held_.push_back(args.mask->contiguous());",
        "held_.push_back(*args.mask);",
        (MASK, "-k", "strides"),
    ),
    Mutant(
        "csrc/ops/checks.cpp",
        'return invalid_memory("mask", *mask);',
        "return std::nullopt;",
        (MODES, "-k", "freed_mask"),
    ),
    Mutant(
        "csrc/ops/autograd.cpp",
        "returned.size() + (args.mask ? 1 : 0) + 3",
        "returned.size() + 3",
        (MODES, "-k", "both_paths"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "tuple(field for field in arguments if field in TENSOR_FIELDS)",
        "tuple(field for field in arguments if field in GRAD_OF)",
        (MODES, "-k", "changing_the_mask"),
    ),
    Mutant("sma_kernels/reference.py", "valid | ~valid.any(-1, keepdim=True)", "valid", EMPTY),
    Mutant("sma_kernels/modules.py", "if not self.training:", "if True:", (MODES, "-k", "module_in_training")),
    Mutant("sma_kernels/modules.py", "self.embed(valid_only(x, mask))", "self.embed(x)", (MODES, "-k", "module")),
]
