// Interface of the CPU kernels: one table of functions per dtype, compiled once per instruction set.
#pragma once

#include <cstddef>

#include "../sma_attention.h"

namespace sma::cpu {

// Channels of `values` that are pooled together.
constexpr int64_t kPoolChunk = 528;

// Rows of A, after the merge.
inline int64_t merged_rows(const Shape& shape, const Inputs& in) {
  return in.merge == Merge::none ? shape.maps() : shape.regions;
}

// The threads that work on a sample. `run` calls task(closure, i, worker) for every i below `tasks`, with a different
// worker, below `workers`, on each thread; it is not called if there is one worker.
struct Team {
  using Task = void (*)(const void* closure, int64_t task, int64_t worker);

  int64_t workers;
  void (*run)(void* crew, int64_t tasks, Task task, const void* closure);
  void* crew;
};

struct Kernels {
  const char* instructions;

  // Bytes of scratch of a team.
  size_t (*forward_scratch)(const Shape&, const Inputs&, int64_t workers);
  size_t (*backward_scratch)(const Shape&, const Inputs&, int64_t workers);

  // One sample. `attention` is acc_t [B,A,L], null without values.
  void (*forward)(const Shape&, const Inputs&, const Outputs&, void* attention, int64_t sample, const Team&,
                  void* scratch);

  // Gradients of one sample; parameter gradients are added to `partial`, acc_t [partial_size].
  size_t (*partial_size)(const Shape&);
  void (*backward)(const Shape&, const Inputs&, const Saved&, const GradOutputs&, const GradInputs&, void* partial,
                   int64_t sample, const Team&, void* scratch);

  // Parameter gradients from `count` partials, added in order.
  void (*reduce_partials)(const Shape&, const GradInputs&, const void* partials, int64_t count);
};

// The table for a dtype and the widest instruction set of this CPU (SMA_CPU_CAPABILITY=baseline or avx2 selects a
// narrower one).
const Kernels& kernels(Dtype dtype);

}  // namespace sma::cpu
