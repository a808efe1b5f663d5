"""Mutants of the CPU kernels, of their caller and of the autograd code."""

from tests.mutants.mutant import Mutant

ACCURACY = "tests/operators/test_accuracy.py"
EDGES = "tests/operators/test_edges.py"
TEAMS = "tests/operators/test_threads.py"
THREADS = (TEAMS, "-k", "of_a_sample and float32")
LAYOUTS = "tests/operators/test_layouts.py"
GRADCHECK = (ACCURACY, "-k", "formula")
LONG = (ACCURACY, "-k", "long_sums and float32")
ODD = (ACCURACY, "-k", "odd_sizes and float32")
POSITIVE = (ACCURACY, "-k", "positive")
LENGTH = "tests/operators/test_long_sequences.py"
REPEATED = (LENGTH, "-k", "repeated")


def kernel(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"csrc/cpu/{file}", old, new, tests)


MUTANTS = [
    # A dropped term, a wrong sign, a wrong factor.
    kernel("gram.h", "if (cosines.above_floor[i])\n", "if (false)\n", *GRADCHECK),
    kernel("gram.h", "+ load(q + i * width + j)", "+ load(dcos + i * width + j)", *GRADCHECK),
    kernel("gram.h", "total += excess <= 0 ? acc_t(0) : excess;", "total += excess;", *GRADCHECK),
    kernel("gram.h", "if (!(cosines.cos[i * cosines.width + j] <= margin))", "if (true)", *GRADCHECK),
    kernel(
        "gram.h",
        "static_cast<acc_t>(shape.maps() * (shape.channels - 1))",
        "static_cast<acc_t>(shape.maps())",
        ACCURACY,
        "-k",
        "alone",
    ),
    kernel("correlation.h", "(load(d_row + j) - delta)", "load(d_row + j)", *GRADCHECK),
    kernel("correlation.h", "(temperature * temperature)", "temperature", *GRADCHECK),
    kernel("correlation.h", "mix[i * mix_width + i] -= acc_t(1);", "", *GRADCHECK),
    kernel("correlation.h", "transposed ? s[j * width + i] : s[i * width + j]", "s[i * width + j]", *GRADCHECK),
    kernel("attention_maps.h", "load(m + l) * (load(d + l) - delta)", "load(m + l) * load(d + l)", *GRADCHECK),
    kernel("attention_maps.h", "load(d + l) * x * (acc_t(1) - x)", "load(d + l) * x", *GRADCHECK),
    kernel("pool.h", "row[l] -= delta;", "row[l] += delta;", *GRADCHECK),
    kernel("correlation.h", "dcorrelation ? count : 0", "0", *GRADCHECK),
    kernel("merge.h", "dattention[l] / static_cast<acc_t>(channels)", "dattention[l]", *GRADCHECK),
    kernel("merge.h", "dmaps[argmax[l] * width + l] = ", "dmaps[l] = ", *GRADCHECK),
    # A swapped index, the wrong maximum.
    kernel("attention_maps.h", "first(shape.groups == 1 ? 0 : group)", "first(0)", *GRADCHECK),
    kernel("merge.h", "!(row[l] <= attention[l])", "!(row[l] < attention[l])", EDGES, "-k", "first_maximum"),
    kernel("merge.h", "& (attention[l] == attention[l])", "", EDGES, "-k", "nan_wins"),
    kernel("merge.h", "!(row[l] <= attention[l])", "(row[l] > attention[l])", EDGES, "-k", "nan_wins"),
    # A missed tail, an unwritten element, memory from another strip.
    kernel("matrix.h", "for (; j < columns; ++j) from_acc(source[j], target + j);", "", EDGES, "-k", "every_element"),
    kernel("matrix.h", "for (; j < width; ++j) target[j] = 0;", "", *ODD),
    kernel("gemm.h", "if (rows - i == 3)\n", "if (false)\n", *ODD),
    kernel(
        "gemm.h",
        "const int64_t count = min_of(depth - p, depth_block);",
        "const int64_t count = 0 * p;",
        ACCURACY,
        "-k",
        "beyond",
    ),
    kernel("pool.h", "if (tile.position % kPoolPositions == 0)", "if (true)", ACCURACY, "-k", "beyond"),
    kernel("pool.h", "(end % kPoolPositions == 0 || end == shape.positions)", "false", ACCURACY, "-k", "beyond"),
    kernel(
        "pool.h",
        "else if (dattention)\n          sum_channels<true>",
        "else if (dattention)\n          sum_channels<false>",
        *ODD,
    ),
    kernel("gemm.h", "if (p < depth) add(", "if (false) add(", *LONG),
    kernel("gemm.h", "load(end - lanes<acc_t>);", "load(end - count);", *LONG),
    kernel("gemm.h", "static_cast<IndexOf<acc_t>>(lanes<acc_t> - count)", "static_cast<IndexOf<acc_t>>(0)", *LONG),
    kernel("gemm.h", "a + min_of(i, rows - 1) * a_row", "a + 0 * i", *LONG),
    kernel("gemm.h", "c[i * c_row + j] = (accumulate ?", "c[i * c_row + j] = (false ?", *LONG),
    kernel(
        "map_gemm.h", "l < padded<acc_t>(positions); ++l) out", "l < positions; ++l) out", EDGES, "-k", "every_element"
    ),
    kernel("prefetch.h", "l < min_of(l0 + run_positions, whole.positions)", "l < l0 + 1", ACCURACY, "-k", "beyond"),
    kernel("map_gemm.h", "buffer, buffer_row, out + whole, out_row,", "buffer, buffer_row, out, out_row,", *ODD),
    kernel("map_gemm.h", "to + whole, to_row);", "to, to_row);", *ODD),
    kernel("map_gemm.h", "second + whole, second_row", "second, second_row", *ODD),
    kernel("map_gemm.h", "second + whole, 1, second_row, first", "second, 1, second_row, first", *ODD),
    kernel("map_gemm.h", "from_acc(buffer[(j - whole) * buffer_row + i]", "from_acc(buffer[i]", *ODD),
    kernel("map_gemm.h", "{buffer, buffer_row}, out + whole,", "{buffer, buffer_row}, out,", *ODD),
    kernel("pool.h", "pooled + a * shape.values + start + i", "pooled + a * shape.values + i", *LONG),
    kernel("vector.h", "for (int64_t i = whole; i < count; ++i) total += row[i];", "", *ODD),
    kernel("vector.h", "((j + step) % lanes<acc_t>)", "((j + step / 2) % lanes<acc_t>)", *ODD),
    kernel("backward_scratch.h", "Arena of_values = of_features;", "Arena of_values = arena;", *ODD),
    # A lost floor, a lost NaN.
    kernel("pool.h", "sum < acc_t(kSumFloor) ? acc_t(kSumFloor) : sum", "sum", EDGES, "-k", "all_zero"),
    kernel("gram.h", "norm < acc_t(kNormFloor) ? acc_t(kNormFloor) : norm", "norm", EDGES, "-k", "all_zero"),
    kernel("gram.h", "excess <= 0 ? acc_t(0) : excess", "excess > 0 ? excess : acc_t(0)", EDGES, "-k", "nan_stays"),
    kernel("vector.h", "return x == x ? result : x;", "return result;", EDGES, "-k", "nan_stays"),
    # Rounding that loses digits.
    kernel("gemm.h", "constexpr int64_t depth_block = 256;", "constexpr int64_t depth_block = 1 << 20;", *POSITIVE),
    kernel("gemm.h", "accumulate ? load(to) + sums[i][v] : sums[i][v]", "sums[i][v]", ACCURACY, "-k", "beyond"),
    kernel("vector.h", "kSumBlock = 64 * lanes<acc_t>;", "kSumBlock = 1 << 20;", ACCURACY, "-k", "many_positions"),
    # Running sums over positions: of the softmax, the pooling, its divisor, the Gram matrix, and the gradient of weights.
    kernel(
        "attention_maps.h",
        "  const Vector<acc_t> sum = broadcast(sum_lanes<acc_t>(sums));",
        "  Vector<acc_t> running = sums - sums;\n"
        "  for (int64_t l = 0; l < width; l += lanes<acc_t>) running += load(row + l);\n"
        "  const Vector<acc_t> sum = broadcast(sum_lanes<acc_t>(running));",
        *REPEATED,
    ),
    kernel("pool.h", "kPoolPositions = 512,", "kPoolPositions = 1 << 20,", *REPEATED),
    kernel(
        "vector.h",
        "sum_lanes<acc_t>(sum_vectors<acc_t>(whole, [&](int64_t i) { return load(row + i); }));",
        "0;\n  Vector<acc_t> running{};\n"
        "  for (int64_t i = 0; i < whole; i += lanes<acc_t>) running += load(row + i);\n"
        "  total = sum_lanes<acc_t>(running);",
        *REPEATED,
    ),
    kernel(
        "gram.h",
        "multiply<acc_t, false>(last - first, columns, positions, left",
        "multiply_block<acc_t, false>(last - first, columns, positions, left",
        *(LENGTH, "-k", "error_rule and float32"),
    ),
    kernel(
        "map_gemm.h",
        "multiply_transposed<acc_t, accumulate>(rows, channels, positions, right",
        "dot_block<acc_t, accumulate>(rows, channels, positions, right",
        *REPEATED,
    ),
    # The same in the yardstick.
    Mutant(
        "sma_kernels/reference.py",
        "maps.square().sum(-1, keepdim=True).clamp_min(NORM_FLOOR**2).sqrt()",
        "torch.linalg.vector_norm(maps, dim=-1, keepdim=True).clamp_min(NORM_FLOOR)",
        *((LENGTH, "-k", "yardstick"),),
    ),
    kernel("gram.h", "double total = 0;", "acc_t total = 0;", ACCURACY, "-k", "many_maps"),
    kernel(
        "vector.h",
        "(bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;\n  const Words bf16_bits",
        "bits >> 16;\n  const Words bf16_bits",
        EDGES,
        "-k",
        "rounded_once",
    ),
    kernel(
        "backward.h",
        "if (sizeof(T) == sizeof(acc_t) || !needs_map_gradients())",
        "if (true)",
        *(ACCURACY, "-k", "float32_parameters"),
    ),
    # The caller: threads, strides, partial sums.
    Mutant(
        "csrc/ops/cpu.cpp",
        "at::zeros({groups, partial_size}",
        "at::empty({groups, partial_size}",
        (EDGES, "-k", "every_element"),
    ),
    Mutant("csrc/ops/cpu.cpp", "std::atomic<int64_t> next = 0;", "std::atomic<int64_t> next = 1;", ODD),
    # Threads that share a sample.
    kernel("team.h", "part == count ? size :", "part == count ? size / step * step :", *THREADS),
    kernel("team.h", "units * part / count * step", "size * part / count", *THREADS),
    kernel("team.h", "max_of(1, size / step)", "size", *THREADS),
    kernel("team.h", "start_ + worker * stride_", "start_", *THREADS),
    kernel("pool.h", "chunk = 1; chunk < chunks", "chunk = 2; chunk < chunks", *THREADS),
    kernel(
        "pool.h",
        "for (int64_t chunk = 1; chunk < chunks; ++chunk)",
        "for (int64_t chunk = chunks - 1; chunk > 0; --chunk)",
        *THREADS,
    ),
    kernel("attention_maps.h", "rows.first * row + tile.channel % embed", "rows.first * row", *THREADS),
    Mutant("csrc/ops/cpu.cpp", "is_worth_sharing(call) ? rest : 0", "false ? rest : 0", (TEAMS, "-k", "spread")),
    Mutant("csrc/ops/crew.h", "unfinished_.load(std::memory_order_acquire) != 0;", "false;", THREADS),
    Mutant("csrc/ops/args.cpp", "position_stride(x) == 1 || x.stride(1) == 1", "true", (LAYOUTS,)),
    Mutant("csrc/ops/args.cpp", "held_.push_back(tensor->contiguous());", "held_.push_back(*tensor);", (LAYOUTS,)),
    # Autograd and registration.
    Mutant(
        "sma_kernels/ops/registration.py",
        "needs[values] = False",
        "pass",
        ("tests/operators/test_registration.py", "-k", "unneeded"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "ctx.set_materialize_grads(False)",
        "pass",
        ("tests/operators/test_registration.py", "-k", "unneeded"),
    ),
    Mutant(
        "sma_kernels/backends/__init__.py",
        "values=torch.zeros_like(args.values)",
        "values=torch.empty_like(args.values)",
        ("tests/operators/test_registration.py", "-k", "values_reach"),
    ),
    Mutant(
        "sma_kernels/ops/registration.py",
        "ctx.needs_input_grad[index] for index in differentiable",
        "True for index in differentiable",
        ("tests/operators/test_registration.py", "-k", "unneeded"),
    ),
    Mutant(
        "csrc/ops/cpu.cpp",
        "at::parallel_for(0, std::min(jobs, threads), 1,",
        "at::parallel_for(0, 1, 1,",
        (TEAMS, "-k", "spread"),
    ),
]
