// What the CPU kernels offer to their caller: one table of functions per dtype, built once per instruction set.
#pragma once

#include <cstddef>

#include "../sma_attention.h"

namespace sma::cpu {

// Channels of `values` that are pooled at a time; the least that a thread takes where a single sample is shared.
constexpr int64_t kPoolChunk = 528;

// Rows of A that the merge leaves.
inline int64_t merged_rows(const Shape& shape, const Inputs& in) {
  return in.merge == Merge::none ? shape.maps() : shape.regions;
}

struct Kernels {
  const char* instructions;

  // Bytes of scratch that one job needs.
  size_t (*forward_scratch)(const Shape&, const Inputs&);
  size_t (*backward_scratch)(const Shape&, const Inputs&);

  // Everything before the pooling, for one sample. `attention` is wide [B,A,L] (null without values).
  void (*forward_maps)(const Shape&, const Inputs&, const Outputs&, void* attention, int64_t sample, void* scratch);

  // pooled[sample, :, first:last] from the wide attention.
  void (*forward_pool)(const Shape&, const Inputs&, const Outputs&, const void* attention, int64_t sample,
                       int64_t first, int64_t last, void* scratch);

  // Gradients of one sample; parameter gradients are added to `partial`, wide, `partial_size` elements.
  size_t (*partial_size)(const Shape&);
  void (*backward)(const Shape&, const Inputs&, const Saved&, const Cotangents&, const Gradients&, void* partial,
                   int64_t sample, void* scratch);

  // Parameter gradients from `count` partials, added in their order.
  void (*reduce_partials)(const Shape&, const Gradients&, const void* partials, int64_t count);
};

// The table for a dtype, for the widest instruction set that this CPU has (SMA_CPU_CAPABILITY=baseline or avx2
// asks for a narrower one).
const Kernels& kernels(Dtype dtype);

}  // namespace sma::cpu
