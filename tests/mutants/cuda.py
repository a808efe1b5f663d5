"""Mutants of the CUDA kernels, detected on the emulated GPU."""

from tests.mutants.mutant import Mutant

OPERATORS = "tests/cuda_emulator/test_operators.py"
MASKS = "tests/cuda_emulator/test_emulated_mask.py"
LIMIT = "tests/cuda_emulator/test_shared_memory_limit.py"


def kernel(file: str, old: str, new: str, keywords: str) -> Mutant:
    return Mutant(f"csrc/cuda/{file}", old, new, (OPERATORS, "-k", keywords))


def mask(file: str, old: str, new: str, keywords: str) -> Mutant:
    return Mutant(f"csrc/cuda/{file}", old, new, (MASKS, "-k", keywords))


def limit(old: str, new: str) -> Mutant:
    return Mutant("csrc/cuda/shared_memory_limit.h", old, new, (LIMIT,))


FLAT = "paths and flat-torch and bfloat16"
WIDE = "paths and wide"
NHWC = "paths and channels-last-torch and bfloat16"
STREAM = "paths and stream-torch and bfloat16"
MORE_ROWS = "paths and more-rows"
MANY_VISITS = "paths and many-visits"
MUCH_MEMORY = "much_shared_memory and flat"
CLUSTERS = "clusters_share and short-last"
SMALL = "error_rule and sma_attention and softmax-max-grouped and float32"
MASKED_WIDE = "masked_paths and wide and bfloat16"
MASKED_NHWC = "masked_paths and channels-last and bfloat16 and not much"
MASKED_STREAM = "masked_paths and stream-torch and bfloat16"
MASKED_CLUSTER = "share_masked and channels-last"
MASKED_MUCH_MEMORY = "masked_paths and much and flat-torch and bfloat16"

MUTANTS = [
    # A removed barrier.
    kernel("pool.cuh", "sync_block();\n      start(", "start(", STREAM),
    kernel("pool.cuh", "sync_block();\n        x = spread;", "x = spread;", STREAM),
    kernel("pool_backward.cuh", "sync_block();\n    row_scale", "row_scale", STREAM),
    kernel("pool_backward.cuh", "sync_block();\n    start(", "start(", STREAM),
    kernel("pool_backward.cuh", "sync_block();\n        x = spread;", "x = spread;", STREAM),
    kernel("pool_backward.cuh", "sync_block();  // all warps", "// all warps", STREAM),
    kernel("pool_backward.cuh", "values[i]);\n    sync_block();", "values[i]);", STREAM),
    kernel("grad_values.cuh", "wait_copies<0>();\n      sync_block();", "wait_copies<0>();", MORE_ROWS),
    kernel("grad_values.cuh", "attention[i]);\n      sync_block();", "attention[i]);", MORE_ROWS),
    kernel("grad_values.cuh", "out);\n    sync_block();", "out);", MORE_ROWS),
    kernel("reduce_parameters.cu", "sums[thread()] = total;\n  sync_block();", "sums[thread()] = total;", SMALL),
    kernel("math.cuh", "scratch[warp()] = value;\n  sync_block();", "scratch[warp()] = value;", SMALL),
    # A copy that is not awaited, not committed, or out of bounds.
    kernel("pool.cuh", "wait_copies<kStages - 2>();", "wait_copies<kStages - 1>();", STREAM),
    kernel(
        "pool_backward.cuh",
        "wait_copies<kStages - 2>();\n    sync_block();\n    row_scale",
        "wait_copies<kStages - 1>();\n    sync_block();\n    row_scale",
        STREAM,
    ),
    kernel(
        "pool_backward.cuh",
        "wait_copies<kStages - 2>();\n    sync_block();\n    start",
        "wait_copies<kStages - 1>();\n    sync_block();\n    start",
        STREAM,
    ),
    kernel("grad_values.cuh", "wait_copies<0>();", "wait_copies<1>();", MORE_ROWS),
    kernel("pool.cuh", "commit_copies();", "", WIDE),
    kernel(
        "tiles.cuh",
        "copy_async<kBytes>(to, source, inside ? kBytes : 0);",
        "copy_async<kBytes>(to, source, inside || rows > 0 ? kBytes : 0);",
        NHWC,
    ),
    kernel("tiles.cuh", "i < channels * positions - first ? 16 : 0", "16", FLAT),
    kernel(
        "tiles.cuh", "if (i < rows - first_row && column < columns)", "if (i < rows - first_row && columns > 0)", STREAM
    ),
    # A buffer of the wrong tile, or of no tile.
    kernel("tiles.cuh", "first + i % kStages * size", "first + i % 2 * size", STREAM),
    kernel("pool.cuh", "attention[one_tile ? 0 : i]", "attention[i]", "paths and flat-stream and bfloat16"),
    kernel("pool.cuh", "start(i + kStages - 1);", "start(i + kStages - 2);", STREAM),
    kernel("pool_backward.cuh", "start(i + kStages - 1);", "start(i + kStages - 2);", STREAM),
    # An index off by one, into a neighbour or within the array; too little room.
    kernel(
        "tiles.cuh",
        "read_vector(flat, channel * positions + position, words);",
        "read_vector(flat, channel * positions + position + 1, words);",
        FLAT,
    ),
    kernel("tiles.cuh", "first % 2 * 16", "0", FLAT),
    kernel("tiles.cuh", "kBits - 32 * w;", "kBits - 32 * w + 16;", "nan_stays_in_its_channel"),
    kernel(
        "tiles.cuh", "source + i * kRowsAtOnce * row_stride : from", "source + i * row_stride : from", "any_address"
    ),
    kernel("pool_backward.cuh", "i * kStreamThreads) / kVectors", "i) / kVectors", MORE_ROWS),
    kernel("pool_backward.cuh", "{first, second};", "{second, first};", STREAM),
    kernel("pool_backward.cuh", "if (column + 1 < positions)", "if (column < positions)", FLAT),
    kernel("pool_backward.cuh", "map.channels_last ? attention : grads", "grads", NHWC),
    kernel("grad_values.cuh", "next_row += kRows;", "next_row += 16;", MORE_ROWS),
    kernel("axis.cuh", " + divisor - 1) / divisor", ") / divisor", MORE_ROWS),
    kernel("axis.cuh", "index - rest * size;", "rest;", MORE_ROWS),
    kernel("plan.cuh", "(channels_last ? group : positions) * size", "(group - group) * size", "input_layouts"),
    kernel("plan.cuh", " + vector - 1) / vector * vector", " + vector - 1)", STREAM),
    kernel("plan.cuh", "(stages + (flat ? 1 : 0))", "(stages + (flat ? 0 : 0))", FLAT),
    # A swapped lane layout.
    kernel("mma.cuh", "2 * (lane() % 4) + e % 2", "2 * (lane() % 4) + 1 - e % 2", FLAT),
    kernel(
        "mma.cuh",
        "(row + i + 8 * upper) * tile.pitch + k + 8 * last",
        "(row + i + 8 * last) * tile.pitch + k + 8 * upper",
        WIDE,
    ),
    kernel(
        "mma.cuh",
        "(column + i + 8 * last) * tile.pitch + k + 8 * upper",
        "(column + i + 8 * upper) * tile.pitch + k + 8 * last",
        WIDE,
    ),
    kernel("mma.cuh", "k + lane() % 4 + 4 * (e / 2)", "k + lane() % 4 + 4 * (e % 2)", "tf32_when"),
    # An incomplete reduction.
    kernel(
        "math.cuh",
        "for (int mask = kLanes / 2; mask > 0; mask /= 2) value += shuffle_xor",
        "for (int mask = kLanes / 2; mask > 1; mask /= 2) value += shuffle_xor",
        SMALL,
    ),
    kernel("reduce_parameters.cu", "for (int w = 1; w < warps(); ++w)", "for (int w = 2; w < warps(); ++w)", SMALL),
    # A term of the formulas, and NaN.
    kernel("math.cuh", "value > best || (value != value && best == best)", "value > best", "nan_wins"),
    # The head: a removed barrier, of the block or of the cluster.
    kernel("features.cuh", "run(visit, buffers_[i]);\n      sync_block();", "run(visit, buffers_[i]);", MANY_VISITS),
    kernel("features.cuh", "}\n      sync_block();\n      if (!res", "}\n      if (!res", WIDE),
    kernel(
        "features.cuh", "split(visit, buffers_[i]);\n        sync_block();", "split(visit, buffers_[i]);", MUCH_MEMORY
    ),
    kernel("products.cuh", "sync_block();  // the previous", "// the previous", SMALL),
    kernel("products.cuh", "sync_block();\n        if (warp", "if (warp", SMALL),
    kernel("cluster.cuh", "offer(sum);\n    sync();", "offer(sum);", CLUSTERS),
    kernel("attention_maps.cuh", "slice.sync();\n    softmax", "softmax", CLUSTERS),
    kernel("attention_maps.cuh", "}\n  sync_block();\n  for_each_element", "}\n  for_each_element", SMALL),
    kernel("head_backward.cuh", "sync_block();\n    const int product_rows", "const int product_rows", CLUSTERS),
    kernel("head_backward.cuh", "has_product ? n.maps : 0;", "0;", CLUSTERS),
    kernel("head_backward.cuh", "product);\n    sync_block();\n    row_proj", "product);\n    row_proj", SMALL),
    kernel("attention_maps_backward.cuh", "if (start == 0) sync_block();", "", WIDE),
    kernel(
        "attention_maps_backward.cuh",
        "sync_block();\n        features.clear",
        "features.clear",
        WIDE,
    ),
    # A copy that is not awaited, not committed, or of the wrong visit.
    kernel("features.cuh", "wait_copies<1>();", "wait_copies<2>();", MANY_VISITS),
    kernel("features.cuh", "wait_copies<0>();", "", WIDE),
    kernel(
        "features.cuh",
        "slice_.first, buffers_[i]);\n    commit",
        "slice_.first, buffers_[0]);\n    commit",
        MANY_VISITS,
    ),
    kernel("features.cuh", "resident_ = count == 1;", "resident_ = true;", MANY_VISITS),
    kernel("parts.cuh", "x -= __low2float(pair);", "", SMALL),
    kernel("parts.cuh", "int order = kLast; order >= 0", "int order = kLast; order >= kLast", SMALL),
    kernel("parts.cuh", "first + t * step;", "first + t * step / step;", WIDE),
    kernel("parts.cuh", "row < rows && has_second", "row < rows && (has_second || has_first)", SMALL),
    kernel("products.cuh", "strip + t * warp_tiles.strips", "strip + t", WIDE),
    kernel("products.cuh", "transposed ? a(j, i) : a(i, j)", "transposed ? a(i, j) : a(i, j)", SMALL),
    kernel("features.cuh", "i < maps.count ? maps(i) : -1", "maps(i)", SMALL),
    kernel("features.cuh", "group + (row >> group_shift)", "group + (row >> group_shift >> 31)", SMALL),
    kernel("attention_maps_backward.cuh", "tile == 0 ? sum : gradient + sum", "tile >= 0 ? sum : 0", MANY_VISITS),
    kernel("attention_maps_backward.cuh", "start + own.strip, own.strips", "own.strip, own.strips", WIDE),
    kernel(
        "attention_maps.cuh", "visit.channel > 0 ? logit : shared_bias[map]", "shared_bias[map]", "paths and embedding"
    ),
    kernel("elements.cuh", "mask > 0; mask /= 2) value +=", "mask > 1; mask /= 2) value +=", SMALL),
    # Sums over a cluster: a slice left out, two exchanges at one address, a slice without finite logits.
    kernel("cluster.cuh", "cooperative ? 1 : blocks()", "cooperative ? 1 : 1", CLUSTERS),
    kernel("cluster.cuh", "1 : blocks());\n    sync_block();", "1 : blocks());", CLUSTERS),
    kernel("head_backward.cuh", "delta(2 * n.maps),", "delta(0),", CLUSTERS),
    kernel("attention_maps.cuh", "maximum == -INFINITY ? 0.0f : maximum", "maximum", "without_finite"),
    kernel(
        "plan_head.cuh",
        "ceil_div(positions, blocks), 8)",
        "ceil_div(positions, blocks), 1)",
        CLUSTERS,
    ),
    # A term of its formulas, or an array that is too small.
    kernel("correlation_backward.cuh", "!(inverse_norm[i] < 0) ?", "false ?", SMALL),
    kernel("correlation_backward.cuh", "s(i, j) * (product(i, j) - p_diag)", "s(i, j) * product(i, j)", SMALL),
    kernel("head_backward.cuh", "square > strip ? square", "square < 0 ? square", MORE_ROWS),
    # A mask that is not applied, or is that of another position, and a removed barrier after it.
    mask("attention_maps.cuh", "slice.fill_invalid(m, n.maps, -INFINITY);", "", MASKED_WIDE),
    mask("attention_maps.cuh", "slice.fill_invalid(m, n.maps, 0.0f);", "", "without_a_valid_position and softmax"),
    mask("attention_maps.cuh", "slice.fill_invalid(m, n.maps, 0.0f);", "", "without_finite"),
    mask("head_backward.cuh", "slice.fill_invalid(d, n.maps, 0.0f);  // the", "// the", MASKED_WIDE),
    mask("head_backward.cuh", "slice.fill_invalid(d, n.maps, 0.0f);  // so", "// so", "bad_incoming"),
    mask("features.cuh", "if (!resident_) clear_invalid(features_, visit, buffers_[i]);", "", MASKED_WIDE),
    mask(
        "attention_maps_backward.cuh", "features.clear_invalid(p.grad_features, visit, out);", "", "nan_loss and wide"
    ),
    mask(
        "pool.cuh",
        "clear_invalid<kStreamThreads>(p.values, p.mask,",
        "clear_invalid<kStreamThreads>(p.values, nullptr,",
        MASKED_WIDE,
    ),
    mask(
        "pool_backward.cuh",
        "clear_invalid<kStreamThreads>(p.grad_values, p.mask,",
        "clear_invalid<kStreamThreads>(p.grad_values, nullptr,",
        "nan_loss and wide",
    ),
    mask(
        "grad_values.cuh",
        "clear_invalid<kStreamThreads>(p.grad_values, p.mask,",
        "clear_invalid<kStreamThreads>(p.grad_values, nullptr,",
        "nan_loss and more-rows",
    ),
    mask("pool.cuh", "p.mask, sample * n.positions + position,", "p.mask, position,", MASKED_STREAM),
    mask("pool.cuh", "p.mask, sample * n.positions + position,", "p.mask, sample * n.positions,", MASKED_STREAM),
    mask("pool.cuh", "min(p.tile_positions, end_position - position), values", "p.tile_positions, values", MASKED_NHWC),
    mask("pool_backward.cuh", "p.mask, sample * n.positions + position,", "p.mask, position,", "nan_loss and stream"),
    mask("pool_backward.cuh", "p.mask, sample * n.positions + position,", "p.mask, sample,", "nan_loss and wide"),
    mask("grad_values.cuh", "p.mask, sample * n.positions + position,", "p.mask, position,", "nan_loss and more"),
    mask("cluster.cuh", "mask_[sample() * n_.positions + (first + l)]", "mask_[first + l]", MASKED_STREAM),
    mask("cluster.cuh", "n_.positions + (first + l)]", "n_.positions + l]", MASKED_CLUSTER),
    mask(
        "cluster.cuh",
        "matrix(i, l) = value;\n    }\n    sync_block();",
        "matrix(i, l) = value;\n    }",
        "masked_paths and more-rows",
    ),
    mask("cluster.cuh", "if (is_valid(l)) continue;", "if (is_valid(l)) break;", MASKED_WIDE),
    mask("features.cuh", "(map.channels_last ? row : own.column)", "(own.column)", MASKED_NHWC),
    mask("features.cuh", "visit.position + (map.channels_last", "(map.channels_last", MASKED_WIDE),
    mask("features.cuh", "map.flat ? visit.positions : pitch_of", "pitch_of", MASKED_MUCH_MEMORY),
    mask(
        "features.cuh",
        "from_acc<T>(0.0f);\n      }\n    }\n    sync_block();",
        "from_acc<T>(0.0f);\n      }\n    }",
        "masked_paths and many-visits",
    ),
    mask("features.cuh", "g < visit.groups; ++g) {\n        buffer[", "g < 1; ++g) {\n        buffer[", MASKED_WIDE),
    mask("tiles.cuh", "if (map.channels_last && valid[row]) continue;", "", MASKED_NHWC),
    mask("tiles.cuh", "column < positions && !valid[column]", "column < positions && !valid[0]", MASKED_WIDE),
    mask(
        "tiles.cuh", "from_acc<T>(0.0f);\n    }\n  }\n  sync_block();", "from_acc<T>(0.0f);\n    }\n  }", MASKED_STREAM
    ),
    # The limit on shared memory: lowered, raised by two threads at once, not raised, or that of another device.
    limit("if (bytes <= limit.load(std::memory_order_acquire)) return nullptr;", ""),
    limit("if (bytes <= limit.load(std::memory_order_relaxed)) return nullptr;", ""),
    limit("const std::lock_guard lock(growing_);", ""),
    limit("if (const char* error = raise(bytes)) return error;", "raise(bytes);"),
    limit("limit.store(bytes, std::memory_order_release);", ""),
    limit("limits_[static_cast<size_t>(device)]", "limits_[0]"),
    limit("device < 0 || device >= kMaxDevices", "false"),
]
