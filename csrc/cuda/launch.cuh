// Launches a kernel that takes one struct.
#pragma once

#include <climits>

#include "primitives.cuh"

namespace sma::cuda {

template <auto kKernel, class Argument>
const char* launch(int64_t blocks, int threads_per_block, int shared, void* stream, const Argument& argument,
                   int cluster = 1, bool cooperative = false) {
  if (blocks > INT_MAX) return "the call needs more blocks than one launch allows; split the batch";
  return launch_kernel<kKernel>(Grid{static_cast<unsigned>(blocks), threads_per_block, shared, cluster, cooperative},
                                stream, argument);
}

}  // namespace sma::cuda
