// One instruction set's table of kernels. The including file defines SMA_ISA (a namespace) and SMA_VECTOR_BYTES and
// selects the target beforehand; every function here has internal linkage, so that no other file links to code its
// CPU may not have.
#pragma once

#include "backward.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename W>
size_t forward_scratch(const Shape& shape, const Inputs& in) {
  Arena arena{nullptr};
  ForwardScratch<T, W>(arena, shape, in);
  return arena.used;
}

template <typename T, typename W>
size_t backward_scratch(const Shape& shape, const Inputs& in) {
  Arena arena{nullptr};
  BackwardScratch<T, W>(arena, shape, in);
  return arena.used;
}

template <typename T, typename W>
void forward_maps(const Shape& shape, const Inputs& in, const Outputs& out, void* attention, int64_t sample,
                  void* memory) {
  Arena arena{static_cast<char*>(memory)};
  ForwardScratch<T, W> scratch(arena, shape, in);
  W* own = static_cast<W*>(attention);
  if (own) own += sample * merged_rows(shape, in) * shape.positions;
  Forward<T, W>{shape, in, out, sample, scratch}.maps_to_attention(own);
}

template <typename T, typename W>
void forward_pool(const Shape& shape, const Inputs& in, const Outputs& out, const void* attention, int64_t sample,
                  int64_t first, int64_t last, void* memory) {
  Arena arena{static_cast<char*>(memory)};
  ForwardScratch<T, W> scratch(arena, shape, in);
  const W* own = static_cast<const W*>(attention) + sample * merged_rows(shape, in) * shape.positions;
  Forward<T, W>{shape, in, out, sample, scratch}.pool(own, first, last);
}

template <typename W>
size_t partial_size(const Shape& shape) {
  Arena arena{nullptr};
  Partial<W>(arena, shape);
  return arena.used / sizeof(W);
}

template <typename T, typename W>
void backward(const Shape& shape, const Inputs& in, const Saved& saved, const Cotangents& given, const Gradients& out,
              void* partial_memory, int64_t sample, void* memory) {
  Arena arena{static_cast<char*>(memory)}, partial_arena{static_cast<char*>(partial_memory)};
  const BackwardScratch<T, W> scratch(arena, shape, in);
  const Partial<W> partial(partial_arena, shape);
  Backward<T, W>{shape, in, saved, given, out, sample, scratch, partial}.run();
}

template <typename W>
void add_rows(int64_t rows, int64_t columns, const W* from, int64_t from_row, void* to, bool first) {
  if (!to) return;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      W* target = static_cast<W*>(to) + i * columns + j;
      *target = (first ? W(0) : *target) + from[i * from_row + j];
    }
}

template <typename W>
void reduce_partials(const Shape& shape, const Gradients& out, const void* partials, int64_t count) {
  char* memory = static_cast<char*>(const_cast<void*>(partials));
  const int64_t maps = shape.maps();
  for (int64_t i = 0; i < count; ++i) {
    Arena arena{memory + i * partial_size<W>(shape) * sizeof(W)};
    const Partial<W> partial(arena, shape);
    const bool first = i == 0;
    add_rows(maps, shape.embed, partial.weight, padded<W>(shape.embed), out.weight, first);
    add_rows(1, maps, partial.bias, maps, out.bias, first);
    add_rows(maps, maps, partial.relation_bias, padded<W>(maps), out.relation_bias, first);
    add_rows(1, 1, partial.temperature, 1, out.temperature, first);
    add_rows(1, 1, partial.gate, 1, out.gate, first);
  }
}

template <typename T, typename W>
constexpr Kernels table(const char* instructions) {
  return {instructions,       forward_scratch<T, W>, backward_scratch<T, W>, forward_maps<T, W>,
          forward_pool<T, W>, partial_size<W>,       backward<T, W>,         reduce_partials<W>};
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
