// The table of kernels for one instruction set. The including file selects the target and defines SMA_ISA (a namespace)
// and SMA_VECTOR_BYTES. Functions have internal linkage, so that the linker cannot merge code across instruction sets.
#pragma once

#include "backward.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
size_t forward_scratch(const Shape& shape, const Inputs& in, int64_t workers) {
  Arena arena{nullptr};
  ForwardScratch<T, acc_t>(arena, shape, in, workers);
  return arena.used;
}

template <typename T, typename acc_t>
size_t backward_scratch(const Shape& shape, const Inputs& in, int64_t workers) {
  Arena arena{nullptr};
  BackwardScratch<T, acc_t>(arena, shape, in, workers);
  return arena.used;
}

template <typename T, typename acc_t>
void forward(const Shape& shape, const Inputs& in, const Outputs& out, void* attention, int64_t sample,
             const Team& team, void* memory) {
  Arena arena{static_cast<char*>(memory)};
  const ForwardScratch<T, acc_t> scratch(arena, shape, in, team.workers);
  acc_t* sample_attention = static_cast<acc_t*>(attention);
  if (sample_attention) sample_attention += sample * merged_rows(shape, in) * shape.positions;
  Forward<T, acc_t>{shape, in, out, sample, team, scratch}.run(sample_attention);
}

template <typename acc_t>
size_t partial_size(const Shape& shape) {
  Arena arena{nullptr};
  Partial<acc_t>(arena, shape);
  return arena.used / sizeof(acc_t);
}

template <typename T, typename acc_t>
void backward(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& grad_outputs,
              const GradInputs& grad_inputs, void* partial_memory, int64_t sample, const Team& team, void* memory) {
  Arena arena{static_cast<char*>(memory)}, partial_arena{static_cast<char*>(partial_memory)};
  const BackwardScratch<T, acc_t> scratch(arena, shape, in, team.workers);
  const Partial<acc_t> partial(partial_arena, shape);
  Backward<T, acc_t>{shape, in, saved, grad_outputs, grad_inputs, sample, team, scratch, partial}.run();
}

template <typename acc_t>
void add_rows(int64_t rows, int64_t columns, const acc_t* from, int64_t from_row, void* to, bool first) {
  if (!to) return;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      acc_t* target = static_cast<acc_t*>(to) + i * columns + j;
      *target = (first ? acc_t(0) : *target) + from[i * from_row + j];
    }
}

template <typename acc_t>
void reduce_partials(const Shape& shape, const GradInputs& grad_inputs, const void* partials, int64_t count) {
  char* memory = static_cast<char*>(const_cast<void*>(partials));
  const int64_t maps = shape.maps();
  for (int64_t i = 0; i < count; ++i) {
    Arena arena{memory + i * partial_size<acc_t>(shape) * sizeof(acc_t)};
    const Partial<acc_t> partial(arena, shape);
    const bool first = i == 0;
    add_rows(maps, shape.embed, partial.weight, padded<acc_t>(shape.embed), grad_inputs.weight, first);
    add_rows(1, maps, partial.bias, maps, grad_inputs.bias, first);
    add_rows(maps, maps, partial.relation_bias, padded<acc_t>(maps), grad_inputs.relation_bias, first);
    add_rows(1, 1, partial.temperature, 1, grad_inputs.temperature, first);
    add_rows(1, 1, partial.gate, 1, grad_inputs.gate, first);
  }
}

template <typename T, typename acc_t>
constexpr Kernels table(const char* instructions) {
  return {instructions,        forward_scratch<T, acc_t>, backward_scratch<T, acc_t>, forward<T, acc_t>,
          partial_size<acc_t>, backward<T, acc_t>,        reduce_partials<acc_t>};
}

}  // namespace

#define SMA_NAME_(name) #name
#define SMA_NAME(name) SMA_NAME_(name)

const Kernels& kernels(Dtype dtype) {
  static const Kernels f32 = table<float, float>(SMA_NAME(SMA_ISA)), f64 = table<double, double>(SMA_NAME(SMA_ISA)),
                       b16 = table<bf16, float>(SMA_NAME(SMA_ISA)), h16 = table<f16, float>(SMA_NAME(SMA_ISA));
  switch (dtype) {
    case Dtype::f64:
      return f64;
    case Dtype::bf16:
      return b16;
    case Dtype::f16:
      return h16;
    default:
      return f32;
  }
}

}  // namespace sma::cpu::SMA_ISA
