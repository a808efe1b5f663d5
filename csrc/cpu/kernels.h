// Interface of the CPU kernels: one table of functions per dtype, compiled once per instruction set.
#pragma once

#include <cstddef>

#include "../sma_attention.h"

namespace sma::cpu {

// Channels of `values` that are pooled together, and the least work per thread if threads share a sample.
constexpr int64_t kPoolChunk = 528;

// Rows of A, after the merge.
inline int64_t merged_rows(const Shape& shape, const Inputs& in) {
  return in.merge == Merge::none ? shape.maps() : shape.regions;
}

struct Kernels {
  const char* instructions;

  // Bytes of scratch per job.
  size_t (*forward_scratch)(const Shape&, const Inputs&);
  size_t (*backward_scratch)(const Shape&, const Inputs&);

  // Everything before the pooling, for one sample. `attention` is acc_t [B,A,L], null without values.
  void (*forward_maps)(const Shape&, const Inputs&, const Outputs&, void* attention, int64_t sample, void* scratch);

  // pooled[sample, :, first:last] from that attention.
  void (*forward_pool)(const Shape&, const Inputs&, const Outputs&, const void* attention, int64_t sample,
                       int64_t first, int64_t last, void* scratch);

  // Gradients of one sample; parameter gradients are added to `partial`, acc_t [partial_size].
  size_t (*partial_size)(const Shape&);
  void (*backward)(const Shape&, const Inputs&, const Saved&, const GradOutputs&, const GradInputs&, void* partial,
                   int64_t sample, void* scratch);

  // Parameter gradients from `count` partials, added in order.
  void (*reduce_partials)(const Shape&, const GradInputs&, const void* partials, int64_t count);
};

// The table for a dtype and the widest instruction set of this CPU (SMA_CPU_CAPABILITY=baseline or avx2 selects a
// narrower one).
const Kernels& kernels(Dtype dtype);

}  // namespace sma::cpu
