// Backward, last launch: sums the partial gradients of the parameters, in a fixed order.
#pragma once

#include <cstdint>

namespace sma::cuda {

struct Reduction {
  const float* memory;  // [partials,count]
  float* total;         // [count]
  int64_t partials;     // one per block of the head's backward, or per sample
  int64_t count;
  int64_t first_block;  // in the grid
};

struct Reductions {
  static constexpr int kMaxEntries = 5;
  Reduction entries[kMaxEntries];
  int size;
};

const char* launch_reductions(const Reductions& reductions, int64_t blocks, void* stream);

}  // namespace sma::cuda
